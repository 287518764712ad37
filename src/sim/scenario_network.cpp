// [network], [[link]], [digests] and [[fault]] (read by src/fault).
#include "sim/scenario_reader.h"

namespace perigee::sim {

Result<> ScenarioReader::read_network() {
  PERIGEE_TRY(found, root_.table("network"));
  TomlTable table = found ? std::move(*found) : root_.absent("network");
  NetworkSpec& network = scenario_.network;
  PERIGEE_TRY(rtt, table.number("rtt_ms", network.rtt_ms, 0, 10'000));
  network.rtt_ms = rtt;
  PERIGEE_TRY(base, table.number("rtt_base_ms", network.rtt_base_ms, 0, 10'000));
  network.rtt_base_ms = base;
  PERIGEE_TRY(per_km, table.number("rtt_ms_per_km", network.rtt_ms_per_km, 0, 10));
  network.rtt_ms_per_km = per_km;
  PERIGEE_TRY(jitter, table.number("jitter", network.jitter, 0, 10));
  network.jitter = jitter;
  PERIGEE_TRY(loss, table.number("loss", network.loss, 0, 0.5));
  network.loss = loss;
  PERIGEE_TRY(uplink, table.number("uplink_mbps", network.uplink_mbps, 0.001, 1e9));
  network.uplink_mbps = uplink;
  PERIGEE_TRY(access, table.number("access_ms", network.access_ms, 0, 10'000));
  network.access_ms = access;
  PERIGEE_TRY(neighbours, table.integer("neighbours_max", network.neighbours_max, 1, 10'000));
  network.neighbours_max = static_cast<std::uint32_t>(neighbours);
  PERIGEE_CHECK(table.finish(kScenarioManual));
  return read_links();
}

Result<> ScenarioReader::read_links() {
  constexpr std::size_t kSitesWithLinksMax = 4'096;  // the whole matrix is kept
  PERIGEE_TRY(tables, root_.tables("link"));
  for (TomlTable& table : tables) {
    RttPair pair;
    PERIGEE_TRY(between, sites_named(table, "between"));
    if (between.size() != 2 || between[0] == between[1]) {
      return table.error("between", "the names of two sites");
    }
    pair.a = between[0];
    pair.b = between[1];
    PERIGEE_TRY(rtt, table.number("rtt_ms", -1, 0, 10'000));
    pair.rtt_ms = rtt;
    PERIGEE_CHECK(table.finish(kScenarioManual));
    scenario_.network.pairs.push_back(pair);
  }
  if (!scenario_.network.pairs.empty() && scenario_.sites.size() > kSitesWithLinksMax) {
    return root_.problem("link", "links can be given for at most 4096 sites");
  }
  return {};
}

Result<> ScenarioReader::read_digests() {
  PERIGEE_TRY(found, root_.table("digests"));
  TomlTable table = found ? std::move(*found) : root_.absent("digests");
  DigestSpec& digests = scenario_.digests;
  PERIGEE_TRY(interval, table.number("interval_ms", digests.interval_ms, 10, 3'600'000));
  digests.interval_ms = interval;
  PERIGEE_TRY(delay, table.number("delay_ms", digests.delay_ms, 0, 3'600'000));
  if (delay > 200 * interval) return table.error("delay_ms", "at most 200 times interval_ms");
  digests.delay_ms = delay;
  PERIGEE_TRY(gone, table.integer("gone_after", digests.gone_after, 1, 1'000));
  digests.gone_after = static_cast<std::uint32_t>(gone);
  PERIGEE_TRY(answers, table.boolean("with_answers", digests.with_answers));
  digests.with_answers = answers;
  return table.finish(kScenarioManual);
}

Result<> ScenarioReader::read_faults() {
  std::vector<std::string> names;
  for (const SiteSpec& site : scenario_.sites) names.push_back(site.name);
  PERIGEE_TRY(rules, perigee::read_faults(root_, names, scenario_.duration_s));
  scenario_.faults = std::move(rules);
  return {};
}

}  // namespace perigee::sim
