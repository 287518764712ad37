// [[site]], [cities] and [zoo]: where sites are, and their engines.
#include <algorithm>
#include <cctype>
#include <cmath>
#include <numeric>
#include <queue>
#include <set>

#include "base/id.h"
#include "sim/csv.h"
#include "sim/network.h"
#include "sim/scenario_reader.h"

namespace perigee::sim {
namespace {

// Lower case letters, digits and single dashes.
std::string slug(std::string_view text) {
  std::string name;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      name.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    } else if (!name.empty() && name.back() != '-') {
      name.push_back('-');
    }
  }
  while (!name.empty() && name.back() == '-') name.pop_back();
  return name.empty() ? "site" : name;
}

std::string unique(std::string name, const std::map<std::string, std::uint32_t>& taken) {
  if (!taken.contains(name)) return name;
  for (int i = 2;; ++i) {
    std::string other = name + "-" + std::to_string(i);
    if (!taken.contains(other)) return other;
  }
}

// `total` things shared in proportion to `weights`, in whole numbers (largest remainders).
std::vector<std::uint32_t> shares(const std::vector<double>& weights, std::uint32_t total) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::uint32_t> counts(weights.size());
  std::vector<std::pair<double, std::size_t>> rest;
  std::uint32_t given = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double exact = sum > 0 ? total * weights[i] / sum : 0;
    counts[i] = static_cast<std::uint32_t>(exact);
    given += counts[i];
    rest.emplace_back(counts[i] - exact, i);
  }
  std::ranges::sort(rest);
  for (std::size_t i = 0; given < total && i < rest.size(); ++i, ++given) ++counts[rest[i].second];
  return counts;
}

}  // namespace

Result<> ScenarioReader::read_sites() {
  PERIGEE_TRY(tables, root_.tables("site"));
  for (TomlTable& table : tables) PERIGEE_CHECK(read_site(table));
  PERIGEE_TRY(cities, root_.table("cities"));
  if (cities) PERIGEE_CHECK(read_cities(*cities));
  PERIGEE_TRY(zoo, root_.table("zoo"));
  if (zoo) PERIGEE_CHECK(read_zoo(*zoo));
  if (scenario_.sites.empty()) return root_.error("site", "[[site]] sections, [cities] or [zoo]");
  return {};
}

Result<> ScenarioReader::read_site(TomlTable& table) {
  SiteSpec site;
  PERIGEE_TRY(name, table.required_string("name"));
  if (!valid_name(name)) return table.error("name", "small letters, digits, dots and dashes");
  site.name = name;
  PERIGEE_TRY(latitude, table.number("latitude", 0, -90, 90));
  PERIGEE_TRY(longitude, table.number("longitude", 0, -180, 180));
  PERIGEE_TRY(law, table.string("jurisdiction", ""));
  PERIGEE_TRY(population, table.number("population", 1, 0, 1e10));
  PERIGEE_TRY(offset, table.number("utc_offset_h", std::round(longitude / 15), -14, 14));
  PERIGEE_TRY(engines, engine_groups(table, "engines"));
  site.latitude = latitude;
  site.longitude = longitude;
  site.jurisdiction = law;
  site.population = population;
  site.utc_offset_h = offset;
  site.engines = engines;
  PERIGEE_TRY(reserved, table.number("reserved_share", 0, 0, 0.99));
  PERIGEE_TRY(power, table.number("power_share", 1, 0.01, 1));
  site.reserved_share = reserved;
  site.power_share = power;
  const auto number = static_cast<std::uint32_t>(scenario_.sites.size());
  if (!site_names_.try_emplace(name, number).second) {
    return table.problem("name", "another site has this name");
  }
  scenario_.sites.push_back(std::move(site));
  return table.finish(kScenarioManual);
}

// The engines of a generated topology: so many in all, by population, one kind after the other.
Result<> ScenarioReader::place_engines(TomlTable& table) {
  PERIGEE_TRY(groups, engine_groups(table, "engines"));
  PERIGEE_TRY(serving, table.integer("serving_sites", 0, 0, kSitesMax));
  std::vector<double> weights;
  std::vector<std::size_t> by_size(scenario_.sites.size());
  std::iota(by_size.begin(), by_size.end(), 0U);
  std::ranges::sort(by_size, [&](std::size_t a, std::size_t b) {
    const double more = scenario_.sites[a].population;
    const double less = scenario_.sites[b].population;
    return more != less ? more > less : a < b;
  });
  const std::size_t used =
      serving > 0 ? std::min(by_size.size(), static_cast<std::size_t>(serving)) : by_size.size();
  for (std::size_t i = 0; i < used; ++i) {
    weights.push_back(scenario_.sites[by_size[i]].population);
  }
  std::uint32_t total = 0;
  for (const EngineGroup& group : groups) total += group.count;
  const std::vector<std::uint32_t> counts = shares(weights, total);
  std::size_t kind = 0;
  std::uint32_t left = groups.empty() ? 0 : groups[0].count;
  for (std::size_t i = 0; i < used; ++i) {
    for (std::uint32_t k = 0; k < counts[i]; ++k) {
      while (left == 0) left = groups[++kind].count;
      --left;
      auto& engines = scenario_.sites[by_size[i]].engines;
      if (engines.empty() || engines.back().kind != groups[kind].kind) {
        engines.push_back({.kind = groups[kind].kind, .count = 0});
      }
      ++engines.back().count;
    }
  }
  return {};
}

Result<> ScenarioReader::read_cities(TomlTable& table) {
  PERIGEE_TRY(path, table.path("file", "../data/topology/world_cities_100k.csv"));
  PERIGEE_TRY(count, table.integer("count", 100, 1, kSitesMax));
  PERIGEE_TRY(countries, table.strings("countries"));
  auto csv = CsvTable::read(path);
  if (!csv) return table.problem("file", csv.error().message);
  std::vector<std::size_t> columns;
  for (const char* title : {"name", "country", "lat", "lon", "population"}) {
    PERIGEE_TRY(column, csv->column(title));
    columns.push_back(column);
  }
  struct City {
    std::string name;
    std::string country;
    double latitude;
    double longitude;
    double population;
    std::size_t row;
  };
  std::vector<City> cities;
  for (std::size_t row = 0; row < csv->rows(); ++row) {
    const std::string country{csv->text(row, columns[1])};
    if (!countries.empty() && std::ranges::find(countries, country) == countries.end()) continue;
    PERIGEE_TRY(latitude, csv->number(row, columns[2]));
    PERIGEE_TRY(longitude, csv->number(row, columns[3]));
    PERIGEE_TRY(population, csv->number(row, columns[4]));
    cities.push_back(
        {slug(csv->text(row, columns[0])), slug(country), latitude, longitude, population, row});
  }
  std::ranges::sort(cities, [](const City& a, const City& b) {
    return a.population != b.population ? a.population > b.population : a.row < b.row;
  });
  const auto wanted = static_cast<std::size_t>(count);
  if (cities.empty()) return table.problem("countries", "no city is in any of them");
  if (cities.size() > wanted) cities.resize(wanted);
  // More sites than cities: large cities have several, on a circle of some 10 km.
  std::vector<double> weights;
  for (const City& city : cities) weights.push_back(city.population);
  const std::vector<std::uint32_t> more =
      shares(weights, static_cast<std::uint32_t>(wanted - cities.size()));
  for (std::size_t i = 0; i < cities.size(); ++i) {
    const City& city = cities[i];
    const std::uint32_t here = more[i] + 1;
    for (std::uint32_t k = 0; k < here; ++k) {
      SiteSpec site;
      site.name = unique(city.name, site_names_);
      const double angle = 2 * 3.14159265358979 * k / here;
      site.latitude = city.latitude + (here > 1 ? 0.09 * std::sin(angle) : 0);
      site.longitude = city.longitude + (here > 1 ? 0.09 * std::cos(angle) : 0);
      site.jurisdiction = city.country;
      site.population = city.population / here;
      site.utc_offset_h = std::round(city.longitude / 15);
      site_names_.emplace(site.name, static_cast<std::uint32_t>(scenario_.sites.size()));
      scenario_.sites.push_back(std::move(site));
    }
  }
  PERIGEE_CHECK(place_engines(table));
  return table.finish(kScenarioManual);
}

// Nodes of one network that have a place; round trips go along its edges.
Result<> ScenarioReader::read_zoo(TomlTable& table) {
  PERIGEE_TRY(network, table.required_string("network"));
  PERIGEE_TRY(nodes_path, table.path("nodes", "../data/topology/zoo_nodes.csv"));
  PERIGEE_TRY(edges_path, table.path("edges", "../data/topology/zoo_edges.csv"));
  auto nodes = CsvTable::read(nodes_path);
  if (!nodes) return table.problem("nodes", nodes.error().message);
  auto edges = CsvTable::read(edges_path);
  if (!edges) return table.problem("edges", edges.error().message);
  if (!scenario_.sites.empty())
    return table.problem("network", "[zoo] stands alone: no other sites");
  std::map<std::string, std::uint32_t> numbers;  // by the node's id
  for (std::size_t row = 0; row < nodes->rows(); ++row) {
    if (nodes->text(row, 0) != network || nodes->text(row, 4).empty()) continue;
    PERIGEE_TRY(latitude, nodes->number(row, 4));
    PERIGEE_TRY(longitude, nodes->number(row, 5));
    SiteSpec site;
    site.name = unique(slug(nodes->text(row, 2)), site_names_);
    site.latitude = latitude;
    site.longitude = longitude;
    site.jurisdiction = slug(nodes->text(row, 3));
    site.utc_offset_h = std::round(longitude / 15);
    const auto number = static_cast<std::uint32_t>(scenario_.sites.size());
    site_names_.emplace(site.name, number);
    numbers.emplace(std::string{nodes->text(row, 1)}, number);
    scenario_.sites.push_back(std::move(site));
  }
  if (numbers.empty())
    return table.problem("network", "no network '" + network + "' is in the file");
  const std::size_t count = scenario_.sites.size();
  std::vector<std::vector<std::pair<std::uint32_t, double>>> links(count);
  for (std::size_t row = 0; row < edges->rows(); ++row) {
    if (edges->text(row, 0) != network) continue;
    const auto a = numbers.find(std::string{edges->text(row, 1)});
    const auto b = numbers.find(std::string{edges->text(row, 2)});
    if (a == numbers.end() || b == numbers.end()) continue;
    const SiteSpec& x = scenario_.sites[a->second];
    const SiteSpec& y = scenario_.sites[b->second];
    const double km = great_circle_km(x.latitude, x.longitude, y.latitude, y.longitude);
    links[a->second].emplace_back(b->second, km);
    links[b->second].emplace_back(a->second, km);
  }
  for (std::uint32_t from = 0; from < count; ++from) {
    std::vector<double> km(count, -1);
    std::set<std::pair<double, std::uint32_t>> open{{0, from}};
    while (!open.empty()) {
      const auto [so_far, node] = *open.begin();
      open.erase(open.begin());
      if (km[node] >= 0) continue;
      km[node] = so_far;
      for (const auto& [next, length] : links[node]) {
        if (km[next] < 0) open.emplace(so_far + length, next);
      }
    }
    for (std::uint32_t to = from + 1; to < count; ++to) {
      if (km[to] >= 0) scenario_.network.pairs.push_back({.a = from, .b = to, .km = km[to]});
    }
  }
  PERIGEE_CHECK(place_engines(table));
  return table.finish(kScenarioManual);
}

}  // namespace perigee::sim
