// decision_bench [-o table|json]: time and allocations of one routing decision.
//
// A decision is plan() alone: filters, prefix match, predictions and choice over N candidates of
// one model at N sites in ten jurisdictions, all learned from, a tenth rejected by some filter, for
// a 2,560-token prompt whose beginning three sites hold. In `decision_shared` each site also tells
// of 16,384 blocks that it holds, three of them of half the prompt. `cycle` adds started(),
// first_token() and finished(). `hash_prompt` cuts a text of so many bytes into blocks and hashes
// them.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "api/prefix_hasher.h"
#include "base/random.h"
#include "core/admission.h"
#include "core/router.h"

namespace {
std::size_t allocations = 0;
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};
constexpr std::uint32_t kBlocks = 40;

CandidateState candidate(std::int64_t i, Random& random) {
  CandidateState state;
  state.id = {.site = SiteId{"metro-site-" + std::to_string(i)},
              .engine = {},
              .model = ModelId{"llama-3.1-8b-instruct"}};
  state.jurisdiction = JurisdictionId{"law-" + std::to_string(i % 10)};
  state.healthy = i % 20 != 0;
  state.drained = i % 20 == 10;
  state.rtt = microseconds{500 + random.below(80'000)};
  state.load.slots = 64;
  state.load.slots_busy = static_cast<std::uint32_t>(random.below(64));
  state.load.queued_tokens = random.below(4000);
  state.load.kv_used = random.uniform() * 0.8;
  state.load.prefill_tokens_per_s = 5000 + random.uniform() * 20'000;
  state.load.decode_ms = 10 + random.uniform() * 20;
  state.reported = kStart;
  return state;
}

RouteRequest request() {
  RouteRequest request;
  request.model = ModelId{"llama-3.1-8b-instruct"};
  request.service_class = ServiceClass::Interactive;
  request.prompt_tokens = 64 * kBlocks;
  for (std::uint64_t i = 0; i < kBlocks; ++i) {
    request.prefix_blocks.push_back((i + 1) * 0x9e37'79b9'7f4a'7c15);
  }
  for (int i = 0; i < 9; ++i) request.jurisdictions.emplace_back("law-" + std::to_string(i));
  return request;
}

Router world(std::int64_t candidates, const RouteRequest& request) {
  Router router{{}};
  Random random{5};
  for (std::int64_t i = 0; i < candidates; ++i) {
    const auto index = router.update(candidate(i, random), kStart);
    RouteRequest cold = request;
    if (i % (candidates / 3) != 1) cold.prefix_blocks.clear();
    for (int k = 0; k < 3; ++k) {
      const AttemptTicket ticket = router.started(*index, cold, kStart);
      router.first_token(ticket, kStart);
      router.finished(ticket,
                      {.first_token = milliseconds{200 + random.below(200)},
                       .finished = milliseconds{3000},
                       .usage = {.prompt_tokens = 64 * kBlocks, .completion_tokens = 150}},
                      kStart);
    }
  }
  return router;
}

// Every site's own word on what it holds; some have half of the prompt.
void tell_filters(Router& router, std::int64_t candidates, const RouteRequest& wanted) {
  Random random{5};
  Random blocks{7};
  for (std::int64_t i = 0; i < candidates; ++i) {
    CandidateState state = candidate(i, random);
    PrefixFilter filter{16'384};
    for (int k = 0; k < 16'384; ++k) filter.insert(blocks.next());
    if (i % (candidates / 3) == 2) {
      for (std::size_t k = 0; k < kBlocks / 2; ++k) filter.insert(wanted.prefix_blocks[k]);
    }
    state.held = std::make_shared<const PrefixFilter>(std::move(filter));
    if (!router.update(state, kStart)) std::abort();
  }
}

void decide(benchmark::State& state, bool shared) {
  const RouteRequest wanted = request();
  Router router = world(state.range(0), wanted);
  if (shared) tell_filters(router, state.range(0), wanted);
  Instant now = kStart + seconds{1};
  benchmark::DoNotOptimize(router.plan(wanted, now));  // warms its memory
  const std::size_t before = allocations;
  std::size_t decisions = 0;
  for (auto _ : state) {
    now += microseconds{100};
    auto plan = router.plan(wanted, now);
    benchmark::DoNotOptimize(plan);
    ++decisions;
  }
  state.counters["allocations"] =
      static_cast<double>(allocations - before) / static_cast<double>(decisions);
}

void decision(benchmark::State& state) { decide(state, false); }
void decision_shared(benchmark::State& state) { decide(state, true); }

void cycle(benchmark::State& state) {
  const RouteRequest wanted = request();
  Router router = world(state.range(0), wanted);
  Instant now = kStart + seconds{1};
  benchmark::DoNotOptimize(router.plan(wanted, now));
  const std::size_t before = allocations;
  std::size_t decisions = 0;
  for (auto _ : state) {
    now += microseconds{100};
    const auto plan = router.plan(wanted, now);
    const AttemptTicket ticket = router.started(plan->attempts.front().candidate, wanted, now);
    router.first_token(ticket, now);
    router.finished(ticket, {.first_token = milliseconds{150}, .finished = milliseconds{2000}},
                    now);
    ++decisions;
  }
  state.counters["allocations"] =
      static_cast<double>(allocations - before) / static_cast<double>(decisions);
}

void hash_prompt(benchmark::State& state) {
  std::string text(static_cast<std::size_t>(state.range(0)), ' ');
  Random random{3};
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  const std::size_t before = allocations;
  std::size_t prompts = 0;
  for (auto _ : state) {
    api::PrefixHasher hasher{"tenant", text.size() / api::kPrefixBlockBytes};
    hasher.add(text);
    auto blocks = hasher.take();
    benchmark::DoNotOptimize(blocks);
    ++prompts;
  }
  state.counters["allocations"] =
      static_cast<double>(allocations - before) / static_cast<double>(prompts);
}

// One request through a queue in which those of so many tenants wait: offer(), and when another
// ends, finished() and next().
void admission(benchmark::State& state) {
  constexpr std::uint32_t kSlots = 64;
  AdmissionQueue queue{{.requests_max = 8192}};
  queue.set_capacity({.slots = kSlots, .prefill_tokens_per_s = 1e6, .decode_ms = 0.01});
  std::vector<AdmissionRequest> wanted(static_cast<std::size_t>(state.range(0)));
  std::vector<AdmissionTicket> running;
  running.reserve(std::size_t{2} * kSlots);
  Instant now = kStart;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i].tenant = TenantId{"tenant-" + std::to_string(i)};
    wanted[i].service_class = static_cast<ServiceClass>(1 + i % 3);
    wanted[i].prompt_tokens = 100;
    wanted[i].output_tokens = 10;
  }
  const auto offer = [&](std::size_t i) {
    const AdmissionAnswer answer = queue.offer(wanted[i % wanted.size()], now);
    if (answer.verdict == AdmissionAnswer::Verdict::Admitted) running.push_back(answer.ticket);
    if (answer.ticket == 0) std::abort();
  };
  for (std::size_t i = 0; i < kSlots + 2 * wanted.size(); ++i) offer(i);
  std::size_t before = allocations;
  std::size_t requests = 0;
  for (auto _ : state) {
    now += microseconds{10};
    offer(requests);
    queue.first_token(running.back(), now);
    queue.finished(running.back(), {}, now);
    running.pop_back();
    while (const AdmissionTicket next = queue.next(now)) running.push_back(next);
    if (++requests == 4 * wanted.size()) before = allocations;
  }
  state.counters["allocations"] =
      static_cast<double>(allocations - before) / static_cast<double>(requests);
}

BENCHMARK(admission)->Arg(10)->Arg(1000)->Unit(benchmark::kMicrosecond);
BENCHMARK(hash_prompt)->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(decision)->Arg(100)->Arg(1000)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(decision_shared)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);
BENCHMARK(cycle)->Arg(100)->Arg(1000)->Unit(benchmark::kMicrosecond);

struct Row {
  std::string name;
  double us = 0;
  double target_us = 0;  // 0: none
  double allocations = 0;
};

// Collects the rows; prints nothing itself.
class Collector : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      Row row;
      row.name = run.benchmark_name();
      row.us = run.GetAdjustedCPUTime();
      row.allocations = run.counters.at("allocations").value;
      if (row.name == "decision_shared/100") row.target_us = 5;
      if (row.name == "decision_shared/1000") row.target_us = 50;
      if (row.name == "decision/100") row.target_us = 5;
      if (row.name == "decision/1000") row.target_us = 50;
      if (row.name == "hash_prompt/10000") row.target_us = 10;  // 1 GB/s
      if (row.name == "hash_prompt/100000") row.target_us = 100;
      rows.push_back(row);
    }
  }
  std::vector<Row> rows;
};

void print_json(const std::vector<Row>& rows) {
  std::printf("{\"benchmark\": \"decision\", \"results\": [");
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    std::printf("%s{\"name\": \"%s\", \"us\": %.3f, \"target_us\": ", i == 0 ? "" : ", ",
                row.name.c_str(), row.us);
    row.target_us > 0 ? std::printf("%.0f, \"ratio\": %.3f", row.target_us, row.us / row.target_us)
                      : std::printf("null, \"ratio\": null");
    std::printf(", \"allocations\": %.3f}", row.allocations);
  }
  std::printf("]}\n");
}

void print_table(const std::vector<Row>& rows) {
  std::printf("%-20s %10s %10s %8s %12s\n", "decision", "us", "target us", "ratio", "allocations");
  for (const Row& row : rows) {
    std::printf("%-20s %10.2f ", row.name.c_str(), row.us);
    row.target_us > 0 ? std::printf("%10.0f %8.2f", row.target_us, row.us / row.target_us)
                      : std::printf("%10s %8s", "-", "-");
    std::printf(" %12.3f\n", row.allocations);
  }
}

// Runs what the arguments choose; the exit status.
int run(int argc, char** argv) {
  bool json = false;
  std::vector<char*> arguments{argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (std::string{argv[i]} == "-o" && i + 1 < argc) {
      json = std::string{argv[++i]} == "json";
    } else {
      arguments.push_back(argv[i]);
    }
  }
  int count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  Collector collector;
  benchmark::RunSpecifiedBenchmarks(&collector);
  json ? print_json(collector.rows) : print_table(collector.rows);
  return collector.rows.empty() ? 1 : 0;
}

}  // namespace
}  // namespace perigee

int main(int argc, char** argv) { return perigee::run(argc, argv); }
