// Which peers a site keeps in touch with: it never needs the whole grid. Pure.
#pragma once

#include <cstddef>
#include <vector>

#include "directory/records.h"

namespace perigee {

// Great-circle distance in kilometres (haversine, mean Earth radius 6371.0088 km).
double distance_km(const SiteRecord& a, const SiteRecord& b);

// The peers of `self`: for each model of the grid the nearest sites that run it, and the nearest
// site of each higher tier (its parents), nearest first, at most `neighbours_max`. A quarter of the
// places goes to parents, so that a crowd of near cells can't hide the data centre behind them.
std::vector<SiteId> choose_neighbours(const DirectorySnapshot& directory, const SiteId& self,
                                      std::size_t neighbours_max);

}  // namespace perigee
