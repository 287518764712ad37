#include <algorithm>

#include "control/control_api.h"
#include "directory/json_fields.h"
#include "directory/json_text.h"
#include "directory/records_json.h"
#include "identity/key_text.h"

namespace perigee::control {
namespace {

constexpr std::int64_t kExpirySecondsMax = std::int64_t{10} * 365 * 86'400;
constexpr std::size_t kIdChars = 12;

bool usable(const KeyRecord& key, WallTime now) {
  return !key.revoked && (key.expires.micros == 0 || key.expires > now);
}

struct KeyRequest {
  KeyRecord key;
  std::int64_t expires_in_s = 0;
};

Result<KeyRequest> key_from_request(std::string_view body) {
  PERIGEE_TRY(object, parse_json_object(body));
  JsonFields fields{object};
  KeyRequest request;
  const std::string role = fields.text("role", Need::Optional, kNameBytesMax);
  if (!role.empty() && role != "tenant" && role != "operator") {
    fields.refuse("role", "tenant or operator");
  }
  request.key.role = role == "operator" ? Role::Operator : Role::Tenant;
  const Need tenant_need = request.key.role == Role::Tenant ? Need::Required : Need::Optional;
  request.key.tenant = TenantId{fields.text("tenant", tenant_need, kNameBytesMax)};
  if (request.key.role == Role::Operator && !request.key.tenant.empty()) {
    fields.refuse("tenant", "absent for an operator's key");
  }
  request.key.label = fields.text("label", Need::Optional, 2 * kNameBytesMax);
  request.expires_in_s = fields.integer("expires_in_s", Need::Optional, 1, kExpirySecondsMax);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  return request;
}

}  // namespace

Result<ApiAnswer> ControlApi::keys(const Call& call) {
  const auto& keys = table_.snapshot().keys;
  if (call.name.empty()) {
    if (call.method == "POST") return create_key(call);
    if (call.method != "GET") return wrong_method(call.method, "GET or POST");
    std::vector<std::string> views;
    for (const auto& [id, key] : keys) {
      views.push_back(with_revision(to_view(key), table_.row_revision(row_kind::kKey, id)));
    }
    return list_of(views);
  }
  if (call.method == "DELETE") return revoke_key(call);
  if (call.method != "GET") return wrong_method(call.method, "GET or DELETE");
  const auto key = keys.find(call.name);
  if (key == keys.end()) return no_such("key", call.name);
  return item(row_kind::kKey, call.name, to_view(key->second));
}

Result<ApiAnswer> ControlApi::create_key(const Call& call) {
  PERIGEE_TRY(request, key_from_request(call.body));
  KeyRecord& key = request.key;
  const DirectorySnapshot& snapshot = table_.snapshot();
  if (key.role == Role::Tenant && !snapshot.tenants.contains(key.tenant)) {
    Error missing = no_such("tenant", key.tenant.str());
    missing.message += ": create it first";
    return missing;
  }
  PERIGEE_CHECK(check_room("keys", snapshot.keys.size(), kKeysMax));
  const std::string text =
      make_key(key.role == Role::Operator ? KeyKind::Operator : KeyKind::Tenant);
  key.id = "key_" + random_base62(kIdChars);
  key.hash = sha256(text);
  key.created = clock_.wall();
  if (request.expires_in_s > 0) {
    key.expires = WallTime{key.created.micros + request.expires_in_s * 1'000'000};
  }
  Call named = call;
  named.name = key.id;
  named.expected = 0;
  const std::string view = to_view(key);
  const std::string shown_once =
      view.substr(0, view.size() - 1) + ",\"key\":" + json_quote(text) + "}";
  return put_row(named, row_kind::kKey, key.id, to_row(key), shown_once);
}

Result<ApiAnswer> ControlApi::revoke_key(const Call& call) {
  const auto& keys = table_.snapshot().keys;
  const auto stored = keys.find(call.name);
  if (stored == keys.end()) return no_such("key", call.name);
  KeyRecord key = stored->second;
  const WallTime now = clock_.wall();
  if (key.role == Role::Operator && usable(key, now)) {
    const auto usable_operators = std::ranges::count_if(keys, [now](const auto& entry) {
      return entry.second.role == Role::Operator && entry.second.expires.micros == 0 &&
             usable(entry.second, now);
    });
    if (usable_operators == 1 && key.expires.micros == 0) {
      return Error{Code::FailedPrecondition,
                   "this is the last operator key without an expiry: create another one first"};
    }
  }
  key.revoked = true;
  return put_row(call, row_kind::kKey, key.id, to_row(key), to_view(key));
}

}  // namespace perigee::control
