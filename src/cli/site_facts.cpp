#include "cli/site_facts.h"

namespace perigee::cli {

void add_site_facts(CLI::App& command, SiteFacts& facts, FactsNeed need) {
  const bool all = need == FactsNeed::All;
  command.add_option("--url", facts.url, "Where peers and clients reach it: https://HOST:PORT")
      ->required(all);
  command.add_option("--tier", facts.tier, "far_edge, edge, metro, regional or core")
      ->required(all)
      ->check(CLI::IsMember({"far_edge", "edge", "metro", "regional", "core"}));
  command.add_option("--jurisdiction", facts.jurisdiction, "The law it stands under: de, eu, ...")
      ->required(all);
  command.add_option("--latitude", facts.latitude, "Degrees, WGS 84")
      ->required(all)
      ->check(CLI::Range(-90.0, 90.0));
  command.add_option("--longitude", facts.longitude, "Degrees, WGS 84")
      ->required(all)
      ->check(CLI::Range(-180.0, 180.0));
  command.add_option("--city", facts.city, "For people");
}

JsonObject site_facts(const SiteFacts& facts) {
  JsonObject object;
  if (!facts.url.empty()) object.add("url", facts.url);
  if (!facts.tier.empty()) object.add("tier", facts.tier);
  if (!facts.jurisdiction.empty()) object.add("jurisdiction", facts.jurisdiction);
  if (facts.latitude) object.add("latitude", *facts.latitude);
  if (facts.longitude) object.add("longitude", *facts.longitude);
  if (!facts.city.empty()) object.add("city", facts.city);
  return object;
}

void complete(SiteFacts& facts, const SiteFacts& other) {
  if (facts.url.empty()) facts.url = other.url;
  if (facts.tier.empty()) facts.tier = other.tier;
  if (facts.jurisdiction.empty()) facts.jurisdiction = other.jurisdiction;
  if (!facts.latitude) facts.latitude = other.latitude;
  if (!facts.longitude) facts.longitude = other.longitude;
  if (facts.city.empty()) facts.city = other.city;
}

}  // namespace perigee::cli
