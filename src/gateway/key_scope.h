// What the scope of a key lets one request be, and whether the key still stands while it runs.
// Errors say what the key allows.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "directory/records.h"

namespace perigee {

bool allows_model(const KeyScope& scope, const ModelId& model);

// PermissionDenied (`param` "model").
Result<> check_model(const KeyScope& scope, const ModelId& model);

// The class to serve it in: what was asked for, if allowed; when nothing was asked for, standard,
// or the best below it that is allowed, or else the least that is. PermissionDenied names the rest.
Result<ServiceClass> allowed_class(const KeyScope& scope, std::optional<ServiceClass> asked);

// What both lists allow; an empty one allows everything. DataResidency when they have nothing in
// common; `whose` completes "... is allowed to this".
Result<std::vector<JurisdictionId>> both_allow(const std::vector<JurisdictionId>& bound,
                                               std::string_view whose,
                                               std::vector<JurisdictionId> wanted);

// Whether what runs for this key, or for this token's account, may run on by what the directory
// says now: as Identity would refuse it, but for an expiry, which no running answer is ended by.
Result<> still_stands(const DirectorySnapshot& directory, const TenantId& tenant,
                      std::string_view key_id);

}  // namespace perigee
