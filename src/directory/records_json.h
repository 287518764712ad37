// The rows of the directory as JSON, and snapshots built from them. Two dialects: what an operator
// sends (strict: unknown fields are refused, nothing secret or derived may be set) and what is
// stored and sent to sites (tolerant: unknown fields are ignored, so that an older site follows a
// newer control). docs/directory.md lists the fields.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "directory/directory.h"
#include "directory/records.h"

namespace perigee {

namespace row_kind {
inline constexpr std::string_view kSite = "site";
inline constexpr std::string_view kModel = "model";
inline constexpr std::string_view kPlacement = "placement";
inline constexpr std::string_view kTenant = "tenant";
inline constexpr std::string_view kKey = "key";
inline constexpr std::string_view kIssuer = "issuer";
inline constexpr std::string_view kJoinToken = "join_token";  // control only
inline constexpr std::string_view kMeta = "meta";             // keys "grid" and "epoch"
}  // namespace row_kind

// The key of a placement's row: "SITE/MODEL" (a site's name has no '/').
std::string placement_key(const SiteId& site, const ModelId& model);

// --- stored rows ---
std::string to_row(const SiteRecord& record);
std::string to_row(const ModelRecord& record);
std::string to_row(const PlacementRecord& record);
std::string to_row(const TenantRecord& record);
std::string to_row(const KeyRecord& record);
std::string to_row(const IssuerRecord& record);
std::string to_row(const JoinTokenRecord& record);
std::string meta_row(std::string_view value);
// DataLoss when the text is not such a row.
Result<JoinTokenRecord> join_token_from_row(std::string_view json);

// --- what an operator sends; InvalidArgument names the field in `param` ---
// The body of a site: url, tier, jurisdiction, latitude, longitude, city, drained.
Result<SiteRecord> site_from_request(std::string_view name, std::string_view json);
Result<ModelRecord> model_from_request(std::string_view name, std::string_view json);
Result<PlacementRecord> placement_from_request(std::string_view site, std::string_view model,
                                               std::string_view json);
Result<TenantRecord> tenant_from_request(std::string_view name, std::string_view json);
// issuer, audience, algorithms, jwks, tenant_claim or tenant, clock_skew_s and a scope. What stands
// in `jwks` is not looked at here (identity/bearer_tokens does).
Result<IssuerRecord> issuer_from_request(std::string_view name, std::string_view json);
// Only the fields of a scope: models, classes, jurisdictions, requests_per_minute,
// tokens_per_minute.
Result<KeyScope> scope_from_request(std::string_view json);

// --- what an operator sees: no hashes ---
std::string to_view(const SiteRecord& record);
std::string to_view(const ModelRecord& record);
std::string to_view(const PlacementRecord& record);
std::string to_view(const TenantRecord& record);
std::string to_view(const KeyRecord& record);
std::string to_view(const IssuerRecord& record);
std::string to_view(const JoinTokenRecord& record);

// --- snapshots ---
// Puts one row into the snapshot, or takes it out when its value is empty. Rows of unknown kinds
// are ignored. DataLoss names a row that can't be read; the snapshot is then as before. Does not
// touch `snapshot.revision`.
Result<> apply_change(DirectorySnapshot& snapshot, const DirectoryChange& change);
// {"revision":R,"epoch":E,"grid":G,"rows":[{"kind","key","value"}...]}: what control serves and a
// site keeps on disk.
std::string to_json(const DirectorySnapshot& snapshot);
// What could be read of it; rows that could not are named in `skipped` ("site metro-a: why").
// Protocol when the frame itself is malformed.
Result<DirectorySnapshot> snapshot_from_json(std::string_view json,
                                             std::vector<std::string>& skipped);
// One revision's rows as sent on the watch: {"revision":R,"rows":[...]}, a deleted row's value
// null.
std::string to_event(std::uint64_t revision, const std::vector<DirectoryChange>& rows);
// Applies such an event, all rows of it, and sets the revision. Skips rows as above.
Result<> apply_event(DirectorySnapshot& snapshot, std::string_view event,
                     std::vector<std::string>& skipped);

}  // namespace perigee
