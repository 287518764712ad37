// sim_digest FILE [KEY=VALUE...]: runs a scenario with the policies that together use all of the
// simulator, and prints its name and digest. No more than the simulator is in it, so that it is
// built fast by every compiler (compare.sh).
#include <cstdio>
#include <string>
#include <vector>

#include "sim/scenario.h"
#include "sim/simulation.h"

namespace {

constexpr std::uint64_t kSeed = 7;

int fail(const perigee::Error& error) {
  std::fprintf(stderr, "sim_digest: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments{argv + 1, argv + argc};
  if (arguments.empty()) {
    std::fputs("usage: sim_digest FILE [KEY=VALUE...]\n", stderr);
    return 2;
  }
  const auto scenario = perigee::sim::load_scenario(
      arguments.front(), std::vector<std::string>{arguments.begin() + 1, arguments.end()});
  if (!scenario) return fail(scenario.error());
  perigee::sim::RunOptions options;
  options.seed = kSeed;
  const auto run = perigee::sim::simulate_all(
      *scenario, {"perigee", "llmd_sticky", "prequal", "central_pooled", "oracle"}, options);
  if (!run) return fail(run.error());
  std::printf("%-20s %016llx\n", run->scenario.c_str(),
              static_cast<unsigned long long>(run->digest));
  return 0;
}
