#include "control/control_api.h"

#include <charconv>
#include <utility>

#include "base/log.h"
#include "directory/json_text.h"
#include "directory/records_json.h"
#include "identity/member_check.h"

namespace perigee::control {
namespace {

Result<std::optional<std::uint64_t>> expected_revision(const ApiRequest& request) {
  if (!request.if_none_match.empty()) {
    if (request.if_none_match == "*" && request.if_match.empty()) return std::optional{0UL};
    return Error{Code::InvalidArgument, "if-none-match must be * and stand alone", "if-none-match"};
  }
  std::string_view text = request.if_match;
  if (text.empty() || text == "*") return std::optional<std::uint64_t>{};
  if (text.size() > 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  std::uint64_t revision = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), revision);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || revision == 0) {
    return Error{Code::InvalidArgument, "if-match must be the row's revision, as in its ETag",
                 "if-match"};
  }
  return std::optional{revision};
}

// For the audit line: "drain ", "create ", "revoke ", "put ".
std::string change_name(std::string_view action, std::string_view method) {
  if (!action.empty()) return std::string{action} + " ";
  if (method == "POST") return "create ";
  return method == "DELETE" ? "revoke " : "put ";
}

}  // namespace

Error no_such(std::string_view what, std::string_view name) {
  return {Code::NotFound, "there is no " + std::string{what} + " named " +
                              std::string{name.substr(0, 2 * kNameBytesMax)}};
}

Result<> check_room(std::string_view what, std::size_t count, std::size_t most) {
  if (count < most) return {};
  return Error{Code::ResourceExhausted, "the directory holds its most " + std::string{what} + " (" +
                                            std::to_string(most) + "): remove some first"};
}

std::string with_revision(std::string_view object, std::uint64_t revision) {
  std::string text{object.substr(0, object.size() - 1)};
  text += ",\"revision\":" + std::to_string(revision) + "}";
  return text;
}

Result<ControlApi::Permitted> ControlApi::permit(const ApiRequest& request) const {
  Permitted permitted;
  auto path = parse_control_path(request.path.substr(kPathPrefix.size()));
  const auto found =
      path ? find_route(request.method, *path) : Result<const ControlRoute*>{path.error()};
  if (found && (*found)->callers == callers::kAnyone) {
    permitted.route = *found;
    permitted.path = std::move(*path);
    return permitted;
  }
  // Whoever has no key learns nothing of what there is.
  PERIGEE_TRY(caller, table_.identity().authenticate(request.authorization));
  if (!found) return found.error();
  PERIGEE_CHECK(check_member(caller, members_of_, request.member));
  PERIGEE_CHECK(check_caller(**found, caller));
  permitted.route = *found;
  permitted.path = std::move(*path);
  permitted.caller = std::move(caller);
  return permitted;
}

Result<ApiAnswer> ControlApi::answer(const ApiRequest& request) {
  PERIGEE_TRY(permitted, permit(request));
  return answer(request, std::move(permitted));
}

Result<ApiAnswer> ControlApi::answer(const ApiRequest& request, Permitted permitted) {
  Call call;
  call.method = request.method;
  call.body = request.body;
  call.name = std::move(permitted.path.name);
  call.action = std::move(permitted.path.action);
  call.actor = permitted.caller.key_id;
  call.site = permitted.caller.site;
  call.actor_role = permitted.caller.operator_role;
  call.from = request.from;
  call.fetched_jwks = request.fetched_jwks;
  PERIGEE_TRY(expected, expected_revision(request));
  call.expected = expected;
  return dispatch(permitted.route->call, call);
}

Result<ApiAnswer> ControlApi::dispatch(ControlCallName name, const Call& call) {
  switch (name) {
    case ControlCallName::Join: return join(call);
    case ControlCallName::RenewCertificate: return renew(call.site, call.body);
    case ControlCallName::Snapshot: return ApiAnswer{200, {}, 0, table_.snapshot_json()};
    case ControlCallName::ListSites: return list_sites();
    case ControlCallName::ShowSite: return show_site(call);
    case ControlCallName::ListModels: return list_models();
    case ControlCallName::ShowModel: return show_model(call);
    case ControlCallName::ListPlacements: return list_placements();
    case ControlCallName::ShowPlacement: return show_placement(call);
    case ControlCallName::ListTenants: return list_tenants();
    case ControlCallName::ShowTenant: return show_tenant(call);
    case ControlCallName::ListKeys: return list_keys();
    case ControlCallName::ShowKey: return show_key(call);
    case ControlCallName::ListIssuers: return list_issuers();
    case ControlCallName::ShowIssuer: return show_issuer(call);
    case ControlCallName::ListJoinTokens: return list_join_tokens();
    default: return change_grid(name, call);
  }
}

Result<ApiAnswer> ControlApi::change_grid(ControlCallName name, const Call& call) {
  switch (name) {
    case ControlCallName::PutSite: return put_site(call);
    case ControlCallName::RemoveSite: return remove_site(call);
    case ControlCallName::DrainSite: return set_drained(call, true);
    case ControlCallName::UndrainSite: return set_drained(call, false);
    case ControlCallName::PutModel: return put_model(call);
    case ControlCallName::RemoveModel: return remove_model(call);
    case ControlCallName::PutPlacement: return put_placement(call);
    case ControlCallName::RemovePlacement: return remove_row(call, row_kind::kPlacement, call.name);
    case ControlCallName::CreateJoinToken: return create_join_token(call);
    case ControlCallName::RemoveJoinToken: return remove_row(call, row_kind::kJoinToken, call.name);
    default: return change_tenants(name, call);
  }
}

Result<ApiAnswer> ControlApi::change_tenants(ControlCallName name, const Call& call) {
  switch (name) {
    case ControlCallName::PutTenant: return put_tenant(call);
    case ControlCallName::RemoveTenant: return remove_tenant(call);
    case ControlCallName::SuspendTenant: return set_suspended(call, true);
    case ControlCallName::ResumeTenant: return set_suspended(call, false);
    case ControlCallName::CreateKey: return create_key(call);
    case ControlCallName::RevokeKey: return revoke_key(call);
    case ControlCallName::RotateKey: return rotate_key(call);
    case ControlCallName::ScopeKey: return scope_key(call);
    case ControlCallName::PutIssuer: return put_issuer(call);
    case ControlCallName::RefreshIssuer: return refresh_issuer(call);
    case ControlCallName::RemoveIssuer: return remove_row(call, row_kind::kIssuer, call.name);
    default: return Error{Code::NotFound, "this control does not serve that"};
  }
}

Result<std::uint64_t> ControlApi::apply(const Call& call, std::string_view what,
                                        std::vector<DirectoryWrite> writes) {
  return table_.record_and_apply({.time = clock_.wall(),
                                  .actor = call.actor,
                                  .from = std::string{call.from},
                                  .action = std::string{what},
                                  .name = call.name,
                                  .writes = std::move(writes)},
                                 audit_);
}

Result<ApiAnswer> ControlApi::put_row(const Call& call, std::string_view kind,
                                      const std::string& key, std::string row,
                                      std::string_view view) {
  const bool is_new = table_.row_revision(kind, key) == 0;
  PERIGEE_TRY(revision, apply(call, change_name(call.action, call.method) + std::string{kind},
                              {{std::string{kind}, key, std::move(row), call.expected_or_any()}}));
  return ApiAnswer{is_new ? 201 : 200, with_revision(view, revision), revision};
}

Result<ApiAnswer> ControlApi::remove_row(const Call& call, std::string_view kind,
                                         const std::string& key) {
  if (table_.row_revision(kind, key) == 0) return no_such(kind, key);
  PERIGEE_CHECK(apply(call, "remove " + std::string{kind},
                      {{std::string{kind}, key, "", call.expected_or_any()}}));
  return ApiAnswer{200, JsonObject{}.add("deleted", true).add("name", key).take(), 0};
}

ApiAnswer ControlApi::list_of(const std::vector<std::string>& views) const {
  JsonObject list;
  list.add("object", "list").add("revision", table_.snapshot().revision).add_list("data", views);
  return {200, list.take(), 0};
}

ApiAnswer ControlApi::item(std::string_view kind, std::string_view key,
                           std::string_view view) const {
  const std::uint64_t revision = table_.row_revision(kind, key);
  return {200, with_revision(view, revision), revision};
}

}  // namespace perigee::control
