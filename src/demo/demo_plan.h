// DemoPlan: which sites a demo grid has, where they stand and what they run, and the configuration
// of each. Pure: the same options give the same plan.
//
// Six sites, smallest first, in two jurisdictions:
//   cell-potsdam        far_edge  de  two slots           near Berlin
//   cell-strasbourg     far_edge  fr  no engine at all    nearer to Frankfurt (de) than to Paris
//   (fr) metro-berlin        metro     de  four slots metro-paris         metro     fr  four slots
//   regional-frankfurt  regional  de  eight slots
//   core-marseille      core      fr  sixteen slots       far from all
// So a question asked in Strasbourg shows the grid at work: it runs in Frankfurt, unless the law
// keeps it in France (then in Paris), or Frankfurt dies. More sites are more cells, round the
// cities.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "demo/link_model.h"
#include "directory/records.h"

namespace perigee::demo {

inline constexpr std::size_t kSitesMin = 3;
inline constexpr std::size_t kSitesDefault = 6;
inline constexpr std::size_t kSitesMax = 24;

struct PlannedSite {
  SiteId name;
  Tier tier = Tier::FarEdge;
  std::string city;
  JurisdictionId jurisdiction;
  GeoPoint place;
  std::uint32_t slots = 0;  // 0: runs no engine
};

// Ordered by tier, then by name. InvalidArgument when `count` is out of range.
Result<std::vector<PlannedSite>> plan_sites(std::size_t count);

// What a site's configuration file says (docs/demo.md shows one).
struct SiteFile {
  SiteId name;
  std::string listen;  // "127.0.0.1:8101"
  std::string state_dir;
  std::string models_dir;
  std::string control_url;
  std::string key_file;
  bool tls = false;                              // its certificate is in STATE_DIR/tls
  std::map<SiteId, std::string> peer_addresses;  // where the relay stands for each peer
};
std::string render_site_file(const SiteFile& file);

}  // namespace perigee::demo
