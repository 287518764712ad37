#include "control/control_api.h"

#include <charconv>
#include <utility>

#include "base/log.h"
#include "directory/json_text.h"
#include "directory/records_json.h"

namespace perigee::control {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

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

bool has_actions(std::string_view collection) {
  return collection == "sites" || collection == "tenants";
}

}  // namespace

Error no_such(std::string_view what, std::string_view name) {
  return {Code::NotFound, "there is no " + std::string{what} + " named " +
                              std::string{name.substr(0, 2 * kNameBytesMax)}};
}

Error wrong_method(std::string_view method, std::string_view allowed) {
  return {Code::MethodNotAllowed,
          std::string{method.substr(0, 16)} + " is not possible here: use " + std::string{allowed}};
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

Result<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return Error{Code::InvalidArgument, "the path has a malformed percent escape", "path"};
    }
    decoded.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return decoded;
}

Result<ApiAnswer> ControlApi::answer(const ApiRequest& request) {
  std::string_view rest = request.path.substr(kPathPrefix.size());
  if (rest == "join") {
    if (request.method != "POST") return wrong_method(request.method, "POST");
    return join(request.body);
  }
  PERIGEE_TRY(caller, table_.identity().authenticate(request.authorization));
  const bool reads_snapshot = rest == "snapshot" && request.method == "GET";
  const bool allowed =
      caller.role == Role::Operator || (caller.role == Role::Site && reads_snapshot);
  if (!allowed) {
    return Error{Code::PermissionDenied, "this key may not do that: use an operator key (pgo_)"};
  }
  if (reads_snapshot) return ApiAnswer{200, table_.snapshot_json(), 0};

  Call call;
  call.method = request.method;
  call.body = request.body;
  call.actor = caller.key_id;
  PERIGEE_TRY(expected, expected_revision(request));
  call.expected = expected;
  const std::string_view collection = rest.substr(0, rest.find('/'));
  if (collection.size() < rest.size()) {
    PERIGEE_TRY(name, percent_decode(rest.substr(collection.size() + 1)));
    call.name = std::move(name);
  }
  return dispatch(collection, call);
}

Result<ApiAnswer> ControlApi::dispatch(std::string_view collection, Call& call) {
  if (has_actions(collection)) {
    if (const auto slash = call.name.find('/'); slash != std::string::npos) {
      call.action = call.name.substr(slash + 1);
      call.name.resize(slash);
      if (call.method != "POST") return wrong_method(call.method, "POST");
    }
  }
  if (collection == "sites") return sites(call);
  if (collection == "models") return models(call);
  if (collection == "placements") return placements(call);
  if (collection == "tenants") return tenants(call);
  if (collection == "keys") return keys(call);
  if (collection == "join-tokens") return join_tokens(call);
  return Error{Code::NotFound, "no such path: see docs/control_api.md"};
}

Result<std::uint64_t> ControlApi::apply(const Call& call, std::string_view what,
                                        const std::vector<DirectoryWrite>& writes) {
  PERIGEE_TRY(revision, table_.apply(writes));
  log::info("directory changed",
            {{"what", what}, {"name", call.name}, {"by", call.actor}, {"revision", revision}});
  return revision;
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
