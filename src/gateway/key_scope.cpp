#include "gateway/key_scope.h"

#include <algorithm>

#include "api/headers.h"
#include "identity/identity.h"

namespace perigee {
namespace {

constexpr std::size_t kNamedMax = 8;  // more would make no better sentence

template <class List, class Name>
std::string listed(const List& list, Name name) {
  std::string all;
  for (std::size_t i = 0; i < list.size() && i < kNamedMax; ++i) {
    all += (i == 0 ? "" : ", ") + std::string{name(list[i])};
  }
  return list.size() > kNamedMax ? all + " and others" : all;
}

}  // namespace

Result<> still_stands(const DirectorySnapshot& directory, const TenantId& tenant,
                      std::string_view key_id) {
  const auto refused = [](std::string message) {
    return Error{Code::Unauthenticated, std::move(message)};
  };
  const std::string issuer = issuer_of_account(key_id);
  const auto key = directory.keys.find(std::string{key_id});
  if (!issuer.empty() ? !directory.issuers.contains(issuer) : key == directory.keys.end()) {
    return refused("what this request was authorised by was removed while it ran");
  }
  if (issuer.empty() && key->second.revoked) {
    return refused("this API key was revoked: ask the operator for a new one");
  }
  if (tenant.str().empty()) return {};  // an operator's
  const auto owner = directory.tenants.find(tenant);
  if (owner == directory.tenants.end()) {
    return refused("this API key's tenant was removed: ask the operator for a new one");
  }
  if (owner->second.suspended) {
    return Error{Code::PermissionDenied,
                 "tenant " + tenant.str() + " is suspended: contact the operator"};
  }
  return {};
}

bool allows_model(const KeyScope& scope, const ModelId& model) {
  return scope.models.empty() || std::ranges::find(scope.models, model) != scope.models.end();
}

Result<> check_model(const KeyScope& scope, const ModelId& model) {
  if (allows_model(scope, model)) return {};
  return Error{Code::PermissionDenied,
               "This key may not use the model '" + model.str() + "'. It may use " +
                   listed(scope.models, [](const ModelId& each) { return each.str(); }) +
                   "; ask the operator to widen its scope.",
               "model"};
}

Result<ServiceClass> allowed_class(const KeyScope& scope, std::optional<ServiceClass> asked) {
  const ServiceClass wanted = asked.value_or(ServiceClass::Standard);
  if (scope.classes.empty()) return wanted;
  if (std::ranges::find(scope.classes, wanted) != scope.classes.end()) return wanted;
  if (asked) {
    return Error{Code::PermissionDenied,
                 "This key may not use the class " + std::string{to_string(wanted)} +
                     ". It may use " +
                     listed(scope.classes, [](ServiceClass each) { return to_string(each); }) +
                     "; set 'perigee-class' to that or ask the operator to widen its scope.",
                 std::string{api::headers::kClass}};
  }
  // Classes are ordered, the most urgent first.
  std::optional<ServiceClass> below;
  for (const ServiceClass each : scope.classes) {
    if (each > wanted && (!below || each < *below)) below = each;
  }
  return below.value_or(*std::ranges::max_element(scope.classes));
}

Result<std::vector<JurisdictionId>> both_allow(const std::vector<JurisdictionId>& bound,
                                               std::string_view whose,
                                               std::vector<JurisdictionId> wanted) {
  if (bound.empty()) return wanted;
  if (wanted.empty()) return bound;
  std::erase_if(wanted, [&bound](const JurisdictionId& each) {
    return std::ranges::find(bound, each) == bound.end();
  });
  if (!wanted.empty()) return wanted;
  return Error{Code::DataResidency,
               "None of the jurisdictions asked for is allowed to this " + std::string{whose} +
                   ": it may use " +
                   listed(bound, [](const JurisdictionId& each) { return each.str(); }) +
                   "; set 'perigee-jurisdictions' to those or leave it out.",
               std::string{api::headers::kJurisdictions}};
}

}  // namespace perigee
