#include <algorithm>

#include "control/control_api.h"
#include "directory/json_fields.h"
#include "directory/json_text.h"
#include "directory/record_fields.h"
#include "directory/records_json.h"
#include "identity/key_text.h"

namespace perigee::control {
namespace {

constexpr std::int64_t kExpirySecondsMax = std::int64_t{10} * 365 * 86'400;
constexpr std::size_t kIdChars = 12;

// For those who use a key to take its successor, unless the operator says otherwise.
constexpr std::int64_t kOverlapSecondsDefault = 86'400;
constexpr std::int64_t kOverlapSecondsMax = std::int64_t{365} * 86'400;

bool usable(const KeyRecord& key, WallTime now) {
  return !key.revoked && (key.expires.micros == 0 || key.expires > now);
}

WallTime later(WallTime time, std::int64_t seconds) {
  return WallTime{time.micros + seconds * 1'000'000};
}

struct KeyRequest {
  KeyRecord key;
  std::int64_t expires_in_s = 0;
};

Result<KeyRequest> key_from_request(std::string_view body) {
  PERIGEE_TRY(object, parse_json_object(body));
  JsonFields fields{object};
  KeyRequest request;
  KeyRecord& key = request.key;
  const std::string role = fields.text("role", Need::Optional, kNameBytesMax);
  if (!role.empty() && role != "tenant" && role != "operator") {
    fields.refuse("role", "tenant or operator");
  }
  const bool for_operator = role == "operator";
  key.role = for_operator ? Role::Operator : Role::Tenant;
  const std::string power = fields.text("operator_role", Need::Optional, kNameBytesMax);
  const auto parsed = power.empty() ? OperatorRole::Admin : parse_operator_role(power);
  if (!parsed || (!power.empty() && !for_operator)) {
    fields.refuse("operator_role", "viewer, operator, finance or admin, for an operator's key");
  }
  key.operator_role = parsed.value_or(OperatorRole::Viewer);
  const Need tenant_need = for_operator ? Need::Optional : Need::Required;
  key.tenant = TenantId{fields.text("tenant", tenant_need, kNameBytesMax)};
  if (for_operator && !key.tenant.empty()) {
    fields.refuse("tenant", "absent for an operator's key");
  }
  key.label = fields.text("label", Need::Optional, 2 * kNameBytesMax);
  key.scope = perigee::fields::read_scope(fields);
  if (for_operator && key.scope != KeyScope{}) {
    fields.refuse("role", "tenant for a key with models, classes, jurisdictions or rates");
  }
  request.expires_in_s = fields.integer("expires_in_s", Need::Optional, 1, kExpirySecondsMax);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  return request;
}

// Only an admin decides who is an operator.
Result<> check_power(const KeyRecord& key, OperatorRole actor) {
  if (key.role != Role::Operator || actor == OperatorRole::Admin) return {};
  return Error{Code::PermissionDenied,
               "only an operator key of role admin may change the keys of operators"};
}

std::string shown_once(const std::string& view, const std::string& text) {
  return view.substr(0, view.size() - 1) + ",\"key\":" + json_quote(text) + "}";
}

std::string new_text(const KeyRecord& key) {
  return make_key(key.role == Role::Operator ? KeyKind::Operator : KeyKind::Tenant);
}

}  // namespace

std::string ControlApi::view_of(const KeyRecord& key) const {
  const WallTime used = last_use_ ? last_use_(key.id) : WallTime{};
  const std::string view = to_view(key);
  return view.substr(0, view.size() - 1) + ",\"last_used_us\":" + std::to_string(used.micros) + "}";
}

Result<ApiAnswer> ControlApi::list_keys() const {
  std::vector<std::string> views;
  for (const auto& [id, key] : table_.snapshot().keys) {
    views.push_back(with_revision(view_of(key), table_.row_revision(row_kind::kKey, id)));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_key(const Call& call) const {
  const auto& keys = table_.snapshot().keys;
  const auto key = keys.find(call.name);
  if (key == keys.end()) return no_such("key", call.name);
  return item(row_kind::kKey, call.name, view_of(key->second));
}

Result<ApiAnswer> ControlApi::create_key(const Call& call) {
  PERIGEE_TRY(request, key_from_request(call.body));
  KeyRecord& key = request.key;
  PERIGEE_CHECK(check_power(key, call.actor_role));
  const DirectorySnapshot& snapshot = table_.snapshot();
  if (key.role == Role::Tenant && !snapshot.tenants.contains(key.tenant)) {
    Error missing = no_such("tenant", key.tenant.str());
    missing.message += ": create it first";
    return missing;
  }
  PERIGEE_CHECK(check_room("keys", snapshot.keys.size(), kKeysMax));
  const std::string text = new_text(key);
  key.id = "key_" + random_base62(kIdChars);
  key.account = key.id;
  key.hash = sha256(text);
  key.created = clock_.wall();
  if (request.expires_in_s > 0) key.expires = later(key.created, request.expires_in_s);
  Call named = call;
  named.name = key.id;
  named.expected = 0;
  return put_row(named, row_kind::kKey, key.id, to_row(key), shown_once(view_of(key), text));
}

// A key that is there, and that the caller may change.
Result<KeyRecord> ControlApi::key_to_change(const Call& call) const {
  const auto& keys = table_.snapshot().keys;
  const auto stored = keys.find(call.name);
  if (stored == keys.end()) return no_such("key", call.name);
  PERIGEE_CHECK(check_power(stored->second, call.actor_role));
  return stored->second;
}

// Somebody must be able to make the next key.
Result<> ControlApi::check_last_operator(const KeyRecord& key) const {
  const WallTime now = clock_.wall();
  const auto lasts = [now](const KeyRecord& each) {
    return each.role == Role::Operator && each.operator_role == OperatorRole::Admin &&
           each.expires.micros == 0 && usable(each, now);
  };
  const auto left = std::ranges::count_if(
      table_.snapshot().keys, [&lasts](const auto& entry) { return lasts(entry.second); });
  if (!lasts(key) || left > 1) return {};
  return Error{Code::FailedPrecondition,
               "this is the last operator key of role admin without an expiry: create another one "
               "first"};
}

Result<ApiAnswer> ControlApi::revoke_key(const Call& call) {
  PERIGEE_TRY(key, key_to_change(call));
  PERIGEE_CHECK(check_last_operator(key));
  key.revoked = true;
  return put_row(call, row_kind::kKey, key.id, to_row(key), view_of(key));
}

// The new key may do what the old one may, as long as it from its creation; the old one ends with
// the overlap. Both at once, or neither.
Result<ApiAnswer> ControlApi::rotate_key(const Call& call) {
  PERIGEE_TRY(old, key_to_change(call));
  PERIGEE_TRY(object, parse_json_object(call.body.empty() ? "{}" : call.body));
  JsonFields fields{object};
  const std::int64_t overlap_s =
      fields.integer("overlap_s", Need::Optional, 0, kOverlapSecondsMax, kOverlapSecondsDefault);
  PERIGEE_CHECK(fields.finish(UnknownFields::Refuse));
  const WallTime now = clock_.wall();
  if (!usable(old, now) || !old.replaced_by.empty()) {
    return Error{Code::FailedPrecondition,
                 old.replaced_by.empty()
                     ? "key " + old.id + " is revoked or expired: create a new one"
                     : "key " + old.id + " was rotated already: rotate " + old.replaced_by};
  }
  PERIGEE_CHECK(check_room("keys", table_.snapshot().keys.size(), kKeysMax));
  KeyRecord next = old;
  const std::string text = new_text(next);
  next.id = "key_" + random_base62(kIdChars);
  next.hash = sha256(text);
  next.created = now;
  if (old.expires.micros != 0) {
    next.expires = WallTime{now.micros + (old.expires.micros - old.created.micros)};
  }
  const WallTime end = later(now, overlap_s);
  if (old.expires.micros == 0 || end < old.expires) old.expires = end;
  old.revoked = overlap_s == 0;
  old.replaced_by = next.id;
  const std::string kind{row_kind::kKey};
  PERIGEE_TRY(revision, apply(call, "rotate key",
                              {{kind, old.id, to_row(old), call.expected_or_any()},
                               {kind, next.id, to_row(next), 0}}));
  const std::string view = view_of(next);
  const std::string told = view.substr(0, view.size() - 1) + ",\"replaces\":" + json_quote(old.id) +
                           ",\"replaced_until_us\":" + std::to_string(old.expires.micros) + "}";
  return ApiAnswer{201, with_revision(shown_once(told, text), revision), revision};
}

Result<ApiAnswer> ControlApi::scope_key(const Call& call) {
  PERIGEE_TRY(key, key_to_change(call));
  if (key.role != Role::Tenant) {
    return Error{Code::FailedPrecondition, "an operator's key has no scope but its role"};
  }
  PERIGEE_TRY(scope, scope_from_request(call.body));
  key.scope = std::move(scope);
  return put_row(call, row_kind::kKey, key.id, to_row(key), view_of(key));
}

}  // namespace perigee::control
