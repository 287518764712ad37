#include "cli/site_facts.h"

namespace perigee::cli {

void add_site_facts(CLI::App& command, SiteFacts& facts) {
  command.add_option("--url", facts.url, "Where peers and clients reach it: http://HOST:PORT")
      ->required();
  command.add_option("--tier", facts.tier, "far_edge, edge, metro, regional or core")
      ->required()
      ->check(CLI::IsMember({"far_edge", "edge", "metro", "regional", "core"}));
  command.add_option("--jurisdiction", facts.jurisdiction, "The law it stands under: de, eu, ...")
      ->required();
  command.add_option("--latitude", facts.latitude, "Degrees, WGS 84")
      ->required()
      ->check(CLI::Range(-90.0, 90.0));
  command.add_option("--longitude", facts.longitude, "Degrees, WGS 84")
      ->required()
      ->check(CLI::Range(-180.0, 180.0));
  command.add_option("--city", facts.city, "For people");
}

JsonObject site_facts(const SiteFacts& facts) {
  JsonObject object;
  object.add("url", facts.url)
      .add("tier", facts.tier)
      .add("jurisdiction", facts.jurisdiction)
      .add("latitude", facts.latitude)
      .add("longitude", facts.longitude);
  if (!facts.city.empty()) object.add("city", facts.city);
  return object;
}

}  // namespace perigee::cli
