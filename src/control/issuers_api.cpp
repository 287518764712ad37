#include "control/control_api.h"
#include "directory/records_json.h"
#include "identity/bearer_tokens/jwk_set.h"

namespace perigee::control {

Result<ApiAnswer> ControlApi::list_issuers() const {
  std::vector<std::string> views;
  for (const auto& [id, issuer] : table_.snapshot().issuers) {
    views.push_back(with_revision(to_view(issuer), table_.row_revision(row_kind::kIssuer, id)));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_issuer(const Call& call) const {
  const auto& issuers = table_.snapshot().issuers;
  const auto issuer = issuers.find(call.name);
  if (issuer == issuers.end()) return no_such("issuer", call.name);
  return item(row_kind::kIssuer, call.name, to_view(issuer->second));
}

Result<ApiAnswer> ControlApi::put_issuer(const Call& call) {
  PERIGEE_TRY(issuer, issuer_from_request(call.name, call.body));
  PERIGEE_CHECK(JwkSet::parse(issuer.jwks));
  const DirectorySnapshot& snapshot = table_.snapshot();
  for (const auto& [id, other] : snapshot.issuers) {
    if (id != issuer.id && other.issuer == issuer.issuer) {
      return Error{Code::AlreadyExists, "issuer " + id + " has that `issuer` already: change it",
                   "issuer"};
    }
  }
  if (!snapshot.issuers.contains(issuer.id)) {
    PERIGEE_CHECK(check_room("issuers", snapshot.issuers.size(), kIssuersMax));
  }
  return put_row(call, row_kind::kIssuer, issuer.id, to_row(issuer), to_view(issuer));
}

}  // namespace perigee::control
