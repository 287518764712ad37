#include "runs.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace perigee::bench {

void run_all(std::span<const Run> runs, unsigned threads,
             const std::function<void(std::size_t, const sim::PolicyResult&)>& done) {
  std::atomic<std::size_t> next{0};
  std::mutex telling;
  const auto work = [&] {
    for (std::size_t i = next++; i < runs.size(); i = next++) {
      sim::RunOptions options;
      options.seed = runs[i].seed;
      const sim::PolicyResult result = sim::simulate(*runs[i].scenario, *runs[i].policy, options);
      const std::scoped_lock lock{telling};
      done(i, result);
    }
  };
  std::vector<std::jthread> workers;
  const std::size_t wanted =
      std::clamp<std::size_t>(threads, 1, std::max<std::size_t>(1, runs.size()));
  for (std::size_t i = 0; i < wanted; ++i) workers.emplace_back(work);
}

}  // namespace perigee::bench
