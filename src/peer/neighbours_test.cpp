#include "peer/neighbours.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace perigee {
namespace {

SiteRecord site(const std::string& name, Tier tier, double latitude, double longitude) {
  SiteRecord record;
  record.id = SiteId{name};
  record.tier = tier;
  record.latitude = latitude;
  record.longitude = longitude;
  record.joined = true;
  return record;
}

void place(DirectorySnapshot& directory, const SiteId& site, const char* model) {
  const PlacementId id{site, ModelId{model}};
  directory.placements.insert_or_assign(id, {id.first, id.second, 1, 1, 1});
}

DirectorySnapshot grid() {
  DirectorySnapshot directory;
  for (const SiteRecord& record : {site("cell-potsdam", Tier::FarEdge, 52.39, 13.06),
                                   site("cell-spandau", Tier::FarEdge, 52.53, 13.20),
                                   site("metro-berlin", Tier::Metro, 52.52, 13.40),
                                   site("regional-frankfurt", Tier::Regional, 50.11, 8.68),
                                   site("core-paris", Tier::Core, 48.86, 2.35)}) {
    directory.sites.insert_or_assign(record.id, record);
    place(directory, record.id, "m");
  }
  return directory;
}

std::vector<std::string> names(const std::vector<SiteId>& sites) {
  std::vector<std::string> out;
  for (const SiteId& id : sites) out.push_back(id.str());
  return out;
}

TEST(Neighbours, MeasuresGreatCircles) {
  const DirectorySnapshot directory = grid();
  EXPECT_NEAR(distance_km(directory.sites.at(SiteId{"metro-berlin"}),
                          directory.sites.at(SiteId{"core-paris"})),
              878, 3);
}

TEST(Neighbours, AreNearestFirstAndNeverOneself) {
  EXPECT_EQ(names(choose_neighbours(grid(), SiteId{"cell-potsdam"}, 8)),
            (std::vector<std::string>{"cell-spandau", "metro-berlin", "regional-frankfurt",
                                      "core-paris"}));
}

TEST(Neighbours, KeepAParentWhenManyCellsAreNearer) {
  DirectorySnapshot directory = grid();
  for (int i = 0; i < 50; ++i) {
    const SiteRecord cell =
        site("cell-" + std::to_string(i), Tier::FarEdge, 52.39 + 0.001 * i, 13.06);
    directory.sites.insert_or_assign(cell.id, cell);
    place(directory, cell.id, "m");
  }
  const auto chosen = names(choose_neighbours(directory, SiteId{"cell-potsdam"}, 8));
  EXPECT_EQ(chosen.size(), 8U);
  EXPECT_NE(std::ranges::find(chosen, "metro-berlin"), chosen.end());
}

TEST(Neighbours, IncludeTheOnlySiteOfARareModel) {
  DirectorySnapshot directory = grid();
  place(directory, SiteId{"core-paris"}, "rare");
  const auto chosen = names(choose_neighbours(directory, SiteId{"cell-potsdam"}, 2));
  EXPECT_NE(std::ranges::find(chosen, "core-paris"), chosen.end());
}

TEST(Neighbours, SkipSitesThatNeverJoined) {
  DirectorySnapshot directory = grid();
  directory.sites.update(SiteId{"metro-berlin"}, [](SiteRecord& berlin) { berlin.joined = false; });
  const auto chosen = names(choose_neighbours(directory, SiteId{"cell-potsdam"}, 8));
  EXPECT_EQ(std::ranges::find(chosen, "metro-berlin"), chosen.end());
}

}  // namespace
}  // namespace perigee
