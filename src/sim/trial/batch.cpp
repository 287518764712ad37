#include "sim/trial/batch.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "sim/sampler.h"

namespace perigee::sim {
namespace {

constexpr std::uint64_t kProgressEvery = 50;

struct Shared {
  explicit Shared(const BatchOptions& chosen) : options(chosen), digests(chosen.seeds) {}
  const BatchOptions& options;
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  BatchResult result;
  std::vector<std::uint64_t> digests;  // by seed
};

void add(Shared& shared, TrialResult trial, bool repeated, bool same) {
  const std::scoped_lock lock{shared.mutex};
  BatchResult& sum = shared.result;
  shared.digests[trial.seed - shared.options.first] = trial.digest;
  ++sum.seeds;
  sum.events += trial.events;
  sum.tokens += trial.tokens;
  sum.virtual_s += trial.virtual_s;
  for (std::size_t i = 0; i < kRequestEnds; ++i) sum.requests.at(i) += trial.requests.at(i);
  sum.probes.add(trial.probes);
  if (repeated) ++sum.repeated;
  if (!same) sum.unrepeatable.push_back(trial.seed);
  if (!trial.findings.empty()) {
    ++sum.failed;
    sum.failures.push_back(std::move(trial));
  }
  if (sum.seeds % kProgressEvery == 0 && shared.options.progress) {
    shared.options.progress(sum.seeds, sum.failed);
  }
}

void work(Shared& shared) {
  TrialOptions options;
  options.defect = shared.options.defect;
  for (;;) {
    const std::uint64_t i = shared.next.fetch_add(1);
    if (i >= shared.options.seeds) return;
    const std::uint64_t seed = shared.options.first + i;
    const TrialSpec spec = random_trial(seed);
    TrialResult trial = run_trial(spec, seed, options);
    const bool repeated = i % kRepeatEvery == 0;
    const bool same =
        !repeated || run_trial(random_trial(seed), seed, options).digest == trial.digest;
    add(shared, std::move(trial), repeated, same);
  }
}

}  // namespace

std::vector<Probe> BatchResult::blind() const {
  std::vector<Probe> never;
  for (std::size_t i = 0; i < kProbes; ++i) {
    if (probes.count(static_cast<Probe>(i)) == 0) never.push_back(static_cast<Probe>(i));
  }
  return never;
}

BatchResult run_trials(const BatchOptions& options) {
  Shared shared{options};
  {
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 1; i < options.jobs; ++i) {
      threads.emplace_back([&shared] { work(shared); });
    }
    work(shared);
  }
  BatchResult& result = shared.result;
  for (const std::uint64_t digest : shared.digests) result.digest = mix64(result.digest ^ digest);
  std::ranges::sort(result.failures, {}, &TrialResult::seed);
  std::ranges::sort(result.unrepeatable);
  if (result.failures.size() > kFailuresMax) result.failures.resize(kFailuresMax);
  return std::move(result);
}

}  // namespace perigee::sim
