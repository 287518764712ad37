// Tokens per second of the engine's batcher beside a plain llama_decode() loop: same model, same
// prompts, greedy, one thread, prompts included, both warmed up. The two take turns, and the ratio
// is the median over the rounds of (batcher / plain), so that a noisy machine hits both alike; both
// threads stay on one core, since the cores of a shared machine differ.
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "base/clock.h"
#include "engine/llama/batcher.h"
#include "plain_decoding.h"

namespace perigee::bench {
namespace {

struct Options {
  std::string model;
  std::string output = "table";
  std::uint32_t rounds = 7;
  std::uint32_t prompt_tokens = 64;
  std::uint32_t answer_tokens = 128;
  std::vector<std::uint32_t> batches = {1, 8, 32};
};

struct Cost {
  double wall_s = 0;
  double cpu_s = 0;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

// Of all threads that begin later, too.
void stay_on_this_core() {
  const int core = ::sched_getcpu();
  if (core < 0) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  ::sched_setaffinity(0, sizeof cores, &cores);
}

template <class Work>
Cost measure(const Clock& clock, Work work) {
  const double cpu = cpu_seconds();
  const Instant start = clock.now();
  work();
  return {to_seconds(clock.now() - start), cpu_seconds() - cpu};
}

class BatcherRun {
 public:
  BatcherRun(const llama::Model& model, const Clock& clock, const Workload& workload)
      : workload_(workload) {
    llama::BatcherOptions options;
    options.slots = static_cast<std::uint32_t>(workload.prompts.size());
    options.cached_prefixes = 0;
    options.context = workload.context;
    options.batch = workload.batch;
    auto started = llama::Batcher::start(model, clock, options,
                                         [this](auto&& events) { take(std::move(events)); });
    if (!started) throw std::runtime_error(started.error().message);
    batcher_ = std::move(*started);
  }

  std::vector<std::vector<llama::Token>> run() {
    const std::size_t count = workload_.prompts.size();
    {
      const std::scoped_lock lock{mutex_};
      answers_.assign(count, {});
      open_ = count;
    }
    std::vector<llama::Ticket> tickets;
    for (const auto& prompt : workload_.prompts) {
      llama::GenerationRequest request;
      request.prompt = prompt;
      request.sampling.temperature = 0;
      for (const llama::Token token : workload_.banned) {
        request.sampling.logit_bias.emplace_back(token, -1000.0F);
      }
      request.tokens_max = workload_.answer_tokens;
      auto ticket = batcher_->submit(std::move(request));
      if (!ticket) throw std::runtime_error(ticket.error().message);
      tickets.push_back(std::move(*ticket));
    }
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return open_ == 0; });
    return answers_;
  }

 private:
  void take(std::vector<llama::GenerationEvent>&& events) {
    const std::scoped_lock lock{mutex_};
    for (const llama::GenerationEvent& event : events) {
      if (const auto* progress = std::get_if<llama::Progress>(&event.what)) {
        auto& answer = answers_[(event.id - 1) % answers_.size()];
        for (const auto& record : progress->tokens) answer.push_back(record.token);
      } else {
        --open_;
      }
    }
    if (open_ == 0) changed_.notify_all();
  }

  const Workload& workload_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::vector<llama::Token>> answers_;
  std::size_t open_ = 0;
  std::unique_ptr<llama::Batcher> batcher_;
};

struct Row {
  std::uint32_t batch = 0;
  double plain = 0;  // tokens/s, best round
  double batcher = 0;
  double ratio = 0;      // median of the rounds' ratios, by wall clock
  double ratio_cpu = 0;  // the same by CPU time: blind to what else runs
  double same_tokens = 0;
};

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double share_of_same(const std::vector<std::vector<llama::Token>>& a,
                     const std::vector<std::vector<llama::Token>>& b) {
  std::size_t same = 0;
  std::size_t all = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto [end, _] = std::mismatch(a[i].begin(), a[i].end(), b[i].begin(), b[i].end());
    same += static_cast<std::size_t>(end - a[i].begin());
    all += a[i].size();
  }
  return static_cast<double>(same) / static_cast<double>(all);
}

Workload workload_for(const llama::Model& model, const Options& options, std::uint32_t batch) {
  Workload workload;
  workload.answer_tokens = options.answer_tokens;
  workload.context = std::min(model.context_trained(), 1024U);
  for (std::uint32_t s = 0; s < batch; ++s) {
    std::vector<llama::Token> prompt;
    for (std::uint32_t i = 0; i < options.prompt_tokens; ++i) {
      prompt.push_back(static_cast<llama::Token>(
          300 + (i * 37 + s * 101) % static_cast<std::uint32_t>(model.vocabulary_size() - 300)));
    }
    workload.prompts.push_back(std::move(prompt));
  }
  for (llama::Token token = 0; token < model.vocabulary_size(); ++token) {
    if (model.ends_generation(token)) workload.banned.push_back(token);
  }
  return workload;
}

Row compare(const llama::Model& model, const Clock& clock, const Options& options,
            std::uint32_t batch) {
  const Workload workload = workload_for(model, options, batch);
  PlainDecoding plain{model, workload};
  BatcherRun batcher{model, clock, workload};
  Row row;
  row.batch = batch;
  row.same_tokens = share_of_same(plain.run(), batcher.run());  // warms both up
  const double tokens = double{1} * batch * options.answer_tokens;
  std::vector<double> ratios;
  std::vector<double> cpu_ratios;
  for (std::uint32_t round = 0; round < options.rounds; ++round) {
    Cost theirs;
    Cost ours;
    const auto run_plain = [&] { theirs = measure(clock, [&] { plain.run(); }); };
    const auto run_batcher = [&] { ours = measure(clock, [&] { batcher.run(); }); };
    if (round % 2 == 0) run_plain();
    run_batcher();
    if (round % 2 == 1) run_plain();
    ratios.push_back(theirs.wall_s / ours.wall_s);
    cpu_ratios.push_back(theirs.cpu_s / ours.cpu_s);
    row.plain = std::max(row.plain, tokens / theirs.wall_s);
    row.batcher = std::max(row.batcher, tokens / ours.wall_s);
  }
  row.ratio = median(ratios);
  row.ratio_cpu = median(cpu_ratios);
  return row;
}

void print(const std::vector<Row>& rows, const Options& options) {
  if (options.output == "json") {
    boost::json::array list;
    for (const Row& row : rows) {
      list.push_back({{"batch", row.batch},
                      {"plain_tokens_per_s", row.plain},
                      {"engine_tokens_per_s", row.batcher},
                      {"ratio", row.ratio},
                      {"ratio_cpu", row.ratio_cpu},
                      {"same_tokens", row.same_tokens}});
    }
    const boost::json::object report{{"bench", "engine"},
                                     {"prompt_tokens", options.prompt_tokens},
                                     {"answer_tokens", options.answer_tokens},
                                     {"rounds", options.rounds},
                                     {"target_ratio", 0.9},
                                     {"rows", std::move(list)}};
    std::puts(boost::json::serialize(report).c_str());
    return;
  }
  fmt::print("{} tokens of prompt, {} of answer, one thread, {} rounds taking turns\n",
             options.prompt_tokens, options.answer_tokens, options.rounds);
  fmt::print("{:>6} {:>18} {:>18} {:>8} {:>11} {:>12}\n", "batch", "llama.cpp tok/s",
             "engine tok/s", "ratio", "ratio (cpu)", "same tokens");
  for (const Row& row : rows) {
    fmt::print("{:>6} {:>18.0f} {:>18.0f} {:>8.3f} {:>11.3f} {:>11.0f}%\n", row.batch, row.plain,
               row.batcher, row.ratio, row.ratio_cpu, row.same_tokens * 100);
  }
}

}  // namespace
}  // namespace perigee::bench

int main(int argc, char** argv) {
  using namespace perigee;
  bench::Options options;
  CLI::App app{"The engine's batcher beside llama.cpp's own batched decoding"};
  app.add_option("--model", options.model, "GGUF file")->required();
  app.add_option("-o,--output", options.output)->check(CLI::IsMember({"table", "json"}));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--prompt-tokens", options.prompt_tokens)->check(CLI::Range(1, 512));
  app.add_option("--answer-tokens", options.answer_tokens)->check(CLI::Range(2, 512));
  app.add_option("--batches", options.batches)->check(CLI::Range(1, 256));
  CLI11_PARSE(app, argc, argv);
  bench::stay_on_this_core();
  llama::ModelOptions model_options;
  model_options.path = options.model;
  const auto model = llama::Model::load(model_options);
  if (!model) {
    fmt::print(stderr, "engine_bench: {}\n", model.error().message);
    return 1;
  }
  const SystemClock clock;
  try {
    std::vector<bench::Row> rows;
    for (const std::uint32_t batch : options.batches) {
      fmt::print(stderr, "batch {} ...\n", batch);
      rows.push_back(bench::compare(**model, clock, options, batch));
    }
    bench::print(rows, options);
  } catch (const std::exception& e) {
    fmt::print(stderr, "engine_bench: {}\n", e.what());
    return 1;
  }
  return 0;
}
