#include "control/control_api.h"
#include "directory/json_text.h"
#include "directory/records_json.h"

namespace perigee::control {

Result<ApiAnswer> ControlApi::list_tenants() const {
  std::vector<std::string> views;
  for (const auto& [id, tenant] : table_.snapshot().tenants) {
    views.push_back(
        with_revision(to_view(tenant), table_.row_revision(row_kind::kTenant, id.str())));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_tenant(const Call& call) const {
  const auto& tenants = table_.snapshot().tenants;
  const auto tenant = tenants.find(TenantId{call.name});
  if (tenant == tenants.end()) return no_such("tenant", call.name);
  return item(row_kind::kTenant, call.name, to_view(tenant->second));
}

Result<ApiAnswer> ControlApi::put_tenant(const Call& call) {
  PERIGEE_TRY(tenant, tenant_from_request(call.name, call.body.empty() ? "{}" : call.body));
  const auto& tenants = table_.snapshot().tenants;
  if (!tenants.contains(tenant.id)) {
    PERIGEE_CHECK(check_room("tenants", tenants.size(), kTenantsMax));
  }
  return put_row(call, row_kind::kTenant, call.name, to_row(tenant), to_view(tenant));
}

Result<ApiAnswer> ControlApi::set_suspended(const Call& call, bool suspended) {
  const auto& tenants = table_.snapshot().tenants;
  const auto stored = tenants.find(TenantId{call.name});
  if (stored == tenants.end()) return no_such("tenant", call.name);
  TenantRecord tenant = stored->second;
  if (tenant.suspended == suspended && !call.expected) {
    return item(row_kind::kTenant, call.name, to_view(tenant));
  }
  tenant.suspended = suspended;
  return put_row(call, row_kind::kTenant, call.name, to_row(tenant), to_view(tenant));
}

Result<ApiAnswer> ControlApi::remove_tenant(const Call& call) {
  const DirectorySnapshot& snapshot = table_.snapshot();
  const TenantId id{call.name};
  if (!snapshot.tenants.contains(id)) return no_such("tenant", call.name);
  std::vector<DirectoryWrite> writes{
      {std::string{row_kind::kTenant}, call.name, "", call.expected_or_any()}};
  for (const auto& [key_id, key] : snapshot.keys) {
    if (key.role == Role::Tenant && key.tenant == id) {
      writes.push_back({std::string{row_kind::kKey}, key_id, "", kAnyRevision});
    }
  }
  PERIGEE_CHECK(apply(call, "remove tenant", std::move(writes)));
  return ApiAnswer{200, JsonObject{}.add("deleted", true).add("name", call.name).take(), 0};
}

}  // namespace perigee::control
