#include "control/control_api.h"
#include "control/jwks_client.h"
#include "directory/json_text.h"
#include "directory/records_json.h"
#include "identity/bearer_tokens/jwk_set.h"

namespace perigee::control {

Result<ApiAnswer> ControlApi::list_issuers() const {
  std::vector<std::string> views;
  for (const auto& [id, issuer] : table_.snapshot().issuers) {
    views.push_back(with_revision(view_of(issuer), table_.row_revision(row_kind::kIssuer, id)));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_issuer(const Call& call) const {
  const auto& issuers = table_.snapshot().issuers;
  const auto issuer = issuers.find(call.name);
  if (issuer == issuers.end()) return no_such("issuer", call.name);
  return item(row_kind::kIssuer, call.name, view_of(issuer->second));
}

Result<ApiAnswer> ControlApi::put_issuer(const Call& call) {
  PERIGEE_TRY(issuer, issuer_from_request(call.name, call.body));
  if (!issuer.jwks_url.empty()) {
    PERIGEE_CHECK(parse_jwks_url(issuer.jwks_url));
    if (call.fetched_jwks.empty()) {
      return Error{Code::FailedPrecondition, "this control fetches no keys: send `jwks`",
                   "jwks_url"};
    }
    issuer.jwks = call.fetched_jwks;
  }
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
  return put_row(call, row_kind::kIssuer, issuer.id, to_row(issuer), view_of(issuer));
}

// By an operator, or by control itself; what is fetched is in `call`.
Result<ApiAnswer> ControlApi::refresh_issuer(const Call& call) {
  const auto& issuers = table_.snapshot().issuers;
  const auto stored = issuers.find(call.name);
  if (stored == issuers.end()) return no_such("issuer", call.name);
  IssuerRecord issuer = stored->second;
  if (issuer.jwks_url.empty() || call.fetched_jwks.empty()) {
    return Error{Code::FailedPrecondition,
                 "the keys of " + call.name + " are not fetched: an operator brings them (jwks)",
                 "jwks_url"};
  }
  if (issuer.jwks == call.fetched_jwks) {
    return item(row_kind::kIssuer, issuer.id, view_of(issuer));
  }
  issuer.jwks = call.fetched_jwks;
  return put_row(call, row_kind::kIssuer, issuer.id, to_row(issuer), view_of(issuer));
}

Result<> ControlApi::refresh_issuer(const std::string& id, std::string_view jwks,
                                    const std::string& url) {
  Call call;
  call.method = "POST";
  call.name = id;
  call.action = "refresh";
  call.actor = "control";
  call.from = url;
  call.fetched_jwks = jwks;
  PERIGEE_CHECK(refresh_issuer(call));
  return {};
}

std::string ControlApi::view_of(const IssuerRecord& issuer) const {
  std::string view = to_view(issuer);
  if (issuer.jwks_url.empty() || !issuer_keys_) return view;
  const IssuerKeysState state = issuer_keys_(issuer.id);
  JsonObject more;
  more.add("keys_fetched_us", state.fetched.micros).add("keys_error", state.error);
  view.pop_back();
  return view + "," + more.take().substr(1);
}

}  // namespace perigee::control
