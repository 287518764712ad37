// Who served whom: sites at their longitude and latitude (equirectangular, narrowed by the cosine
// of the middle latitude), circles by requests served and shaded by utilisation, arcs by requests
// that went to another site.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/result.h"

namespace perigee::sim {

// What is drawn at most: the largest sites and flows come first; the figure says what is left out.
struct MapLimits {
  std::size_t sites_max = 1'000;
  std::size_t flows_max = 300;
};

std::string render_map(const std::string& title, const std::vector<SiteInfo>& sites,
                       const PolicyResult& policy, const MapLimits& limits);

}  // namespace perigee::sim
