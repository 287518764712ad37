#include "control/control_api.h"
#include "control/site_host.h"
#include "directory/json_text.h"
#include "directory/records_json.h"
#include "net/endpoint.h"

namespace perigee::control {

Result<ApiAnswer> ControlApi::list_sites() const {
  std::vector<std::string> views;
  for (const auto& [id, site] : table_.snapshot().sites) {
    views.push_back(with_revision(to_view(site), table_.row_revision(row_kind::kSite, id.str())));
  }
  return list_of(views);
}

Result<ApiAnswer> ControlApi::show_site(const Call& call) const {
  const auto& sites = table_.snapshot().sites;
  const auto site = sites.find(SiteId{call.name});
  if (site == sites.end()) return no_such("site", call.name);
  return item(row_kind::kSite, call.name, to_view(site->second));
}

Result<ApiAnswer> ControlApi::put_site(const Call& call) {
  PERIGEE_TRY(site, site_from_request(call.name, call.body));
  if (auto url = net::parse_url(site.url); !url) {
    return Error{Code::InvalidArgument, "`url`: " + url.error().message, "url"};
  }
  if (authority_ != nullptr) {
    PERIGEE_CHECK(check_site_url(table_.snapshot(), own_hosts_, site));
  }
  const auto& sites = table_.snapshot().sites;
  if (const auto stored = sites.find(site.id); stored != sites.end()) {
    site.joined = stored->second.joined;
    site.key_hash = stored->second.key_hash;
  } else {
    PERIGEE_CHECK(check_room("sites", sites.size(), kSitesMax));
  }
  return put_row(call, row_kind::kSite, call.name, to_row(site), to_view(site));
}

Result<ApiAnswer> ControlApi::set_drained(const Call& call, bool drained) {
  const auto& sites = table_.snapshot().sites;
  const auto stored = sites.find(SiteId{call.name});
  if (stored == sites.end()) return no_such("site", call.name);
  SiteRecord site = stored->second;
  if (site.drained == drained && !call.expected) {
    return item(row_kind::kSite, call.name, to_view(site));
  }
  site.drained = drained;
  return put_row(call, row_kind::kSite, call.name, to_row(site), to_view(site));
}

Result<ApiAnswer> ControlApi::remove_site(const Call& call) {
  const DirectorySnapshot& snapshot = table_.snapshot();
  const SiteId id{call.name};
  if (!snapshot.sites.contains(id)) return no_such("site", call.name);
  std::vector<DirectoryWrite> writes{
      {std::string{row_kind::kSite}, call.name, "", call.expected_or_any()}};
  for (auto placement = snapshot.placements.lower_bound({id, ModelId{}});
       placement != snapshot.placements.end() && placement->first.first == id; ++placement) {
    writes.push_back({std::string{row_kind::kPlacement}, placement_key(id, placement->first.second),
                      "", kAnyRevision});
  }
  for (const auto& [token_id, token] : table_.join_tokens()) {
    if (token.site == id) {
      writes.push_back({std::string{row_kind::kJoinToken}, token_id, "", kAnyRevision});
    }
  }
  PERIGEE_CHECK(apply(call, "remove site", std::move(writes)));
  return ApiAnswer{200, JsonObject{}.add("deleted", true).add("name", call.name).take(), 0};
}

}  // namespace perigee::control
