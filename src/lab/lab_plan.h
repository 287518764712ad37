// LabPlan: what a lab file (docs/lab.md) asks for: a grid, a workload, a time line of faults and
// what must hold at the end. Plain values; read from TOML, with errors that name file and line.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "core/inference.h"
#include "fault/fault_timeline.h"

namespace perigee::lab {

// What a request asks for, and thereby how its answer is judged.
enum class RequestKind : std::uint8_t {
  Greedy,     // streamed, temperature 0
  Seeded,     // streamed, sampled with a seed
  Guided,     // streamed, a JSON schema binds the answer
  Stop,       // streamed, may end at a stop string
  Choices,    // streamed, n = 2
  Logprobs,   // streamed, with the bytes and log probability of every token
  Plain,      // one JSON body, not streamed
  Embedding,  // a vector
};
inline constexpr std::array<std::string_view, 8> kRequestKindNames = {
    "greedy", "seeded", "guided", "stop", "choices", "logprobs", "plain", "embedding"};
inline constexpr std::size_t kRequestKinds = kRequestKindNames.size();
inline std::string_view to_string(RequestKind kind) {
  return kRequestKindNames.at(static_cast<std::size_t>(kind));
}

struct WorkloadSpec {
  std::uint32_t requests = 100;
  std::uint32_t at_once = 16;
  double rate = 0;  // per second at most; 0: as fast as `at_once` allows
  std::uint32_t tokens_max = 120;
  std::vector<SiteId> ingress;  // where clients ask, in turn
  // A client whose ingress does not answer asks at the next one, with the same Idempotency-Key.
  bool move_on = false;
  std::array<double, kRequestKinds> kinds{};  // weights
  std::array<double, 4> classes{};            // weights, by ServiceClass
};

// A site is asked to end, drains, and is started again: no fault, but it must harm nobody either.
struct RestartSpec {
  SiteId site;
  double at_s = 0;  // from the start of the load
};

struct CheckSpec {
  bool undisturbed = true;        // run the workload once without faults first, and compare
  bool refusals = false;          // 429 and 503 before the first byte are no failures
  double complete_min = 1;        // part of the requests that were not refused
  bool texts = true;              // false: deviations are counted, no failure
  double logit_tolerance = 0.25;  // how much less than the model's choice a token may score
  double gap_ms_p99_max = 0;      // at a switch; 0: any
  double routing_ms_max = 0;      // after a cut, until all see all again; 0: any
  double memory_growth_mib_max = 64;
  std::int64_t descriptor_growth_max = 256;
  bool records = true;  // one usage record per request, with its tokens
};

struct LabPlan {
  std::string name;   // the file's, without folder and ending
  std::string title;  // what it shows, one line
  std::size_t sites = 6;
  std::uint64_t seed = 1;  // of requests, of faults drawn by chance, and of the links' jitter
  // A kill or stop that would leave an ingress fewer sites is passed over (fault_driver.h).
  std::uint32_t serving_sites_min = 2;
  WorkloadSpec workload;
  std::vector<FaultRule> faults;
  std::vector<RestartSpec> restarts;  // by time
  CheckSpec checks;
};

inline constexpr std::int64_t kRequestsMax = 100'000;
inline constexpr std::int64_t kAtOnceMax = 4096;
inline constexpr double kLoadSecondsMax = 3600;
inline constexpr const char* kLabManual = "docs/lab.md";

// InvalidArgument "FILE:LINE: KEY: what was expected".
Result<LabPlan> parse_lab(std::string_view text, const std::string& path);
Result<LabPlan> load_lab(const std::string& path);  // NotFound

}  // namespace perigee::lab
