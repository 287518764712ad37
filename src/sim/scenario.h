// Scenario: all that a run needs, as values; read from a TOML file (docs/sim.md) or built by a
// program that searches over scenarios. Sites, kinds, tenants and laws are named by position.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/inference.h"
#include "fault/fault_timeline.h"
#include "sim/engine_profile.h"

namespace perigee::sim {

struct EngineGroup {
  std::uint32_t kind = 0;  // position in Scenario::kinds
  std::uint32_t count = 1;
};

struct SiteSpec {
  std::string name;
  double latitude = 0;
  double longitude = 0;
  std::string jurisdiction;   // "" for none
  double population = 1;      // weight of its users
  double utc_offset_h = 0;    // of its local time
  double reserved_share = 0;  // 0..1 of its engines\' sequences, kept for the network\'s own work
  double power_share = 1;     // 0..1 of them that its power allows
  std::vector<EngineGroup> engines;
};

// Round trips: `rtt_ms` between any two sites when > 0, else base + per_km * great circle (or way
// along the edges of a Topology Zoo network), unless a pair is given.
struct RttPair {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  double rtt_ms = 0;
  double km = -1;  // >= 0: the law with this length instead of rtt_ms
};
struct NetworkSpec {
  double rtt_ms = 0;
  double rtt_base_ms = 1.0;       // metro: median between zones of one city 0.7 ms
  double rtt_ms_per_km = 0.0159;  // fit to measured region pairs (docs/sim.md)
  double jitter = 0.05;           // mean extra one-way time, as a share of it; exponential
  double loss = 0;                // chance that a message must be sent again
  double uplink_mbps = 10'000;    // of a site towards the others
  double access_ms = 10;          // round trip between a user and the ingress
  std::uint32_t neighbours_max = 32;
  std::vector<RttPair> pairs;
};

struct DigestSpec {
  double interval_ms = 1'000;
  double delay_ms = 0;            // beyond the way through the network
  std::uint32_t gone_after = 10;  // intervals without one: not healthy
  bool with_answers = true;       // load travels with answers too, as in production
};

// A request trace in memory, or lengths to draw pairs from.
struct TraceRecord {
  std::int64_t t_ms = 0;
  std::uint32_t in_tokens = 0;
  std::uint32_t out_tokens = 0;
  std::uint32_t first_block = 0;  // in Trace::blocks
  std::uint32_t block_count = 0;
};
struct Trace {
  std::vector<TraceRecord> records;
  std::vector<std::uint64_t> blocks;
};

struct LengthSpec {
  enum class Kind : std::uint8_t { Fixed, Lognormal, Trace } kind = Kind::Fixed;
  double in_mean = 512;
  double out_mean = 128;
  double in_sigma = 1.0;  // of the logarithm
  double out_sigma = 1.0;
  std::uint32_t in_max = 131'072;
  std::uint32_t out_max = 4'096;
  std::shared_ptr<const Trace> trace;  // Kind::Trace
};

struct BurstSpec {
  double start_s = 0;
  double end_s = 0;
  double factor = 1;
  std::vector<std::uint32_t> sites;  // empty: all
};

struct TenantSpec {
  std::string name;
  double weight = 1;                       // of requests
  std::vector<std::string> jurisdictions;  // empty: any
};

struct WorkloadSpec {
  enum class Arrivals : std::uint8_t {
    Poisson,
    Gamma,
    Weibull,
    Trace
  } arrivals = Arrivals::Poisson;
  double rate = 1;  // requests (or first turns) per second over all sites, mean of the day
  double cv = 1;    // of gaps: Gamma, Weibull
  std::uint32_t clients = 0;  // > 0: so many clients with own rates share each site's load ...
  double client_skew = 1;     // ... as 1 / rank^skew, each with own gaps and mean lengths
  std::shared_ptr<const Trace> trace;  // Arrivals::Trace
  double speedup = 1;                  // of the trace
  LengthSpec lengths;
  std::vector<std::uint32_t> sites;  // where its users are; empty: all
  bool by_population = true;         // else equal shares
  bool diurnal = false;
  double start_hour_utc = 0;  // at the start of the run
  std::vector<BurstSpec> bursts;
  // Turns of a session: geometric with this mean; 1: single requests.
  double turns = 1;
  double think_s = 10;                     // mean pause before the next turn, exponential
  std::uint32_t system_prompt_tokens = 0;  // shared by all sessions of one application
  std::uint32_t applications = 1;          // so many system prompts, each of one tenant
  double moves_per_minute = 0;             // of a session's user, to the nearest other site
  double realtime = 0;                     // shares of the classes; what is left is Standard
  double interactive = 0;
  double batch = 0;
  double deadline_s = 0;  // 0: none
  double start_s = 0;     // when it begins and ends; end 0: with the run
  double end_s = 0;
};

struct Scenario {
  std::string name;
  std::string title;
  double duration_s = 600;  // of arrivals
  double drain_s = 120;     // then at most so long for what is under way
  std::uint32_t prefix_block_tokens = 64;
  std::uint32_t attempts_max = 3;
  double failure_notice_ms = 2'000;  // until an attempt to what does not answer is given up
  double backbone_price_per_gb = 0.01;
  std::uint32_t centre = 0;  // site of all engines under central policies
  std::vector<EngineProfile> kinds;
  std::vector<SiteSpec> sites;
  std::vector<TenantSpec> tenants;  // at least one
  NetworkSpec network;
  DigestSpec digests;
  std::vector<FaultRule> faults;  // docs/faults.md
  std::vector<WorkloadSpec> workloads;
  std::vector<std::string> policies;  // to run when none are named
};

// `overrides` are TOML assignments ("network.rtt_ms = 100") that replace keys of the file.
// InvalidArgument "FILE:LINE: KEY: expected WHAT".
Result<Scenario> load_scenario(const std::string& path, const std::vector<std::string>& overrides);
Result<Scenario> parse_scenario(std::string_view text, const std::string& path,
                                const std::vector<std::string>& overrides);
// What a program that builds scenarios must also keep to; parse_scenario() has called it.
Result<> check_scenario(const Scenario& scenario);

}  // namespace perigee::sim
