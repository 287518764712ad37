#include "peer/neighbours.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <set>

namespace perigee {
namespace {

struct Distant {
  double km = 0;
  const SiteRecord* site = nullptr;
  bool operator<(const Distant& other) const {
    return km != other.km ? km < other.km : site->id < other.site->id;
  }
};

double radians(double degrees) { return degrees * std::numbers::pi / 180; }

}  // namespace

double distance_km(const SiteRecord& a, const SiteRecord& b) {
  constexpr double kEarthRadiusKm = 6371.0088;
  const double latitude = radians(b.latitude - a.latitude) / 2;
  const double longitude = radians(b.longitude - a.longitude) / 2;
  const double h = std::sin(latitude) * std::sin(latitude) +
                   std::cos(radians(a.latitude)) * std::cos(radians(b.latitude)) *
                       std::sin(longitude) * std::sin(longitude);
  return 2 * kEarthRadiusKm * std::asin(std::sqrt(std::min(1.0, h)));
}

std::vector<SiteId> choose_neighbours(const DirectorySnapshot& directory, const SiteId& self,
                                      std::size_t neighbours_max) {
  const auto own = directory.sites.find(self);
  if (own == directory.sites.end()) return {};
  std::vector<Distant> others;
  for (const auto& [id, site] : directory.sites) {
    if (id != self && site.joined) others.push_back({distance_km(own->second, site), &site});
  }
  std::ranges::sort(others, std::less<>{});
  std::map<SiteId, std::set<ModelId>> models_at;
  std::set<ModelId> models;
  for (const auto& [placement_id, placement] : directory.placements) {
    models_at[placement.site].insert(placement.model);
    models.insert(placement.model);
  }
  std::vector<SiteId> chosen;
  const auto choose = [&](const SiteRecord& site, std::size_t limit) {
    if (chosen.size() < limit && std::ranges::find(chosen, site.id) == chosen.end()) {
      chosen.push_back(site.id);
    }
  };
  std::set<Tier> tiers;  // the nearest of each higher tier
  for (const Distant& other : others) {
    if (other.site->tier > own->second.tier && tiers.insert(other.site->tier).second) {
      choose(*other.site, std::max<std::size_t>(1, neighbours_max / 4));
    }
  }
  for (const ModelId& model : models) {  // somewhere to run each model
    const auto runs = [&](const SiteId& id) { return models_at[id].contains(model); };
    if (std::ranges::any_of(chosen, runs)) continue;
    const auto nearest =
        std::ranges::find_if(others, [&](const Distant& other) { return runs(other.site->id); });
    if (nearest != others.end()) choose(*nearest->site, neighbours_max);
  }
  for (const Distant& other : others) {
    if (!models_at[other.site->id].empty()) choose(*other.site, neighbours_max);
  }
  const auto near = [&](const SiteId& id) {
    return distance_km(own->second, directory.sites.at(id));
  };
  std::ranges::sort(chosen, [&](const SiteId& a, const SiteId& b) {
    return std::pair{near(a), a} < std::pair{near(b), b};
  });
  return chosen;
}

}  // namespace perigee
