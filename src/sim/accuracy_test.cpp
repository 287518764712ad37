// How close the engine model comes to theory, to measurements and to another simulator.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "sim/csv.h"
#include "sim/engine_bench.h"
#include "sim/sampler.h"

namespace perigee::sim {
namespace {

// Exponential with exactly this mean: then waits differ by chance much less.
std::vector<double> exponentials(Random& random, std::size_t count, double mean) {
  std::vector<double> all(count);
  double sum = 0;
  for (double& x : all) sum += x = draw_exponential(random);
  for (double& x : all) x *= mean * static_cast<double>(count) / sum;
  return all;
}

// An engine with constant iterations and geometric answers is a queue of `servers` exponential
// servers: its waits must be those of Erlang's formula.
TEST(Accuracy, WaitsAsTheQueueMMcDoes) {
  const auto table = CsvTable::read(PERIGEE_DATA "/reference/mmc_wait.csv");
  ASSERT_TRUE(table);
  for (std::size_t row = 0; row < table->rows(); ++row) {
    const auto servers = static_cast<std::uint32_t>(*table->number(row, 0));
    const double rho = *table->number(row, 1);
    const double wait = *table->number(row, 3);
    // Rare waits and long busy periods: the mean of a million is itself unsure by some percent.
    if (rho > (servers >= 8 ? 0.9 : 0.8) || *table->number(row, 2) < 0.15) continue;
    EngineProfile p;
    constexpr double kTokens = 50'000;
    p.overhead_ms = 0;
    p.decode_base_ms = 1;
    p.prefill_base_ms = 1e-6;
    p.batch_max = servers;
    p.batch_tokens_max = 1'000'000;
    p.kv_tokens = std::uint64_t{1} << 60;
    p.queue_max = 1'000'000;
    Bench bench{p, 64};
    Random random{row + 1};
    const std::size_t requests = 1'000'000;
    const std::vector<double> gaps = exponentials(random, requests, kTokens / (servers * rho));
    const std::vector<double> tokens = exponentials(random, requests, kTokens);
    bench.served.reserve(requests);
    double at = 0;
    for (std::size_t i = 0; i < requests; ++i) {
      at += gaps[i];
      bench.submit({.prompt_tokens = 1, .output_tokens = 1 + static_cast<std::uint32_t>(tokens[i])},
                   nanos_from_ms(at));
    }
    bench.drain();
    double mean_wait = 0;
    for (const Served& s : bench.served) {
      mean_wait += s.ttft_ms() / kTokens / static_cast<double>(requests);
    }
    EXPECT_NEAR(mean_wait / wait, 1, 0.02) << servers << " servers at " << rho;
  }
}

struct ClosedLoop {
  double tpot_ms;
  double ttft_ms;
};

// `users` who each ask again as soon as they are answered.
ClosedLoop closed_loop(const EngineProfile& p, std::uint32_t users, std::uint32_t in,
                       std::uint32_t out) {
  Bench bench{p, 64};
  const std::uint32_t rounds = 6;
  std::uint32_t left = users * (rounds - 1);
  std::vector<Nanos> again;
  bench.on_end = [&](std::uint32_t, Nanos now) {
    if (left == 0) return;
    --left;
    bench.submit({.prompt_tokens = in, .output_tokens = out}, now);
  };
  for (std::uint32_t i = 0; i < users; ++i)
    bench.submit({.prompt_tokens = in, .output_tokens = out}, 0);
  bench.drain();
  ClosedLoop mean{};
  double count = 0;
  for (std::size_t i = users * 2; i < bench.served.size() - users; ++i, ++count) {
    mean.tpot_ms += bench.served[i].tpot_ms();
    mean.ttft_ms += bench.served[i].ttft_ms();
  }
  return {mean.tpot_ms / count, mean.ttft_ms / count};
}

TEST(Accuracy, DecodesAsMeasuredInClosedLoops) {
  const auto table = CsvTable::read(PERIGEE_DATA "/reference/closed_loop_llama8b.csv");
  ASSERT_TRUE(table);
  std::map<std::string, std::array<double, 2>> errors;
  for (std::size_t row = 0; row < table->rows(); ++row) {
    const bool h200 = table->text(row, 1) == "h200_sxm";
    EngineProfile p =
        *find_profile(h200 ? "h200" : "h100", h200 ? "fp8" : "bfloat16", "llama-3.1-8b");
    p.batch_max = 1024;
    p.batch_tokens_max = 8192;
    const auto value = [&](std::size_t column) {
      return static_cast<std::uint32_t>(*table->number(row, column));
    };
    const ClosedLoop simulated = closed_loop(p, value(7), value(5), value(6));
    const double measured = *table->number(row, 14);
    auto& [sum, count] = errors[std::string{table->text(row, 2)}];
    sum += std::abs(simulated.tpot_ms / measured - 1);
    count += 1;
  }
  std::array<double, 2> all{};
  for (const auto& [backend, error] : errors) {
    RecordProperty(backend, std::to_string(error[0] / error[1]));
    EXPECT_LT(error[0] / error[1], 0.13) << backend;
    all[0] += error[0];
    all[1] += error[1];
  }
  EXPECT_LT(all[0] / all[1], 0.12);
}

double clamped_normal(Random& random, const CsvTable& table, std::size_t row, std::size_t first) {
  const double drawn =
      *table.number(row, first) + *table.number(row, first + 1) * draw_normal(random);
  return std::clamp(drawn, *table.number(row, first + 2), *table.number(row, first + 3));
}

// Another simulator's cases of a model that has a measured table here. Its requests come evenly
// spaced: 300 of them at 10/s always last 30 s and one answer, and the 99th percentile of the time
// to first token is that of one prompt of the greatest length, alone.
TEST(Accuracy, AgreesWithBlisOnItsGoldenCases) {
  const auto table = CsvTable::read(PERIGEE_DATA "/reference/blis_golden.csv");
  ASSERT_TRUE(table);
  for (std::size_t row = 0; row < 2; ++row) {
    const bool long_prompts = row == 1;
    const auto column = [&](std::string_view title) {
      return *table->number(row, *table->column(title));
    };
    EngineProfile p = h100();
    p.batch_max = 256;
    p.batch_tokens_max = 2048;
    p.kv_tokens = static_cast<std::uint64_t>(column("total-kv-blocks")) * 16;
    const auto prefix_blocks = static_cast<std::uint32_t>(column("prefix_tokens")) / 16;
    std::vector<std::uint64_t> blocks(prefix_blocks);
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = i + 1;
    Bench bench{p, 16};
    Random random{42};
    double at = 0;
    for (int i = 0; i < 3'000; ++i) {
      at += 1000 / column("rate");
      const double in = clamped_normal(random, *table, row, *table->column("prompt_tokens"));
      const double out = clamped_normal(random, *table, row, *table->column("output_tokens"));
      bench.submit({.prompt_tokens = static_cast<std::uint32_t>(in + column("prefix_tokens")),
                    .output_tokens = static_cast<std::uint32_t>(out),
                    .blocks = blocks.data(),
                    .prompt_blocks = prefix_blocks,
                    .final_blocks = prefix_blocks},
                   nanos_from_ms(at));
    }
    bench.drain();
    double ttft = 0;
    double e2e = 0;
    double itl = 0;
    double tokens = 0;
    for (const Served& s : bench.served) {
      ttft += s.ttft_ms() / 3'000;
      e2e += s.e2e_ms() / 3'000;
      itl += s.e2e_ms() - s.ttft_ms();
      tokens += s.output_tokens - 1;
    }
    itl /= tokens;
    // docs/sim.md, section 4, says why neither has all three.
    if (long_prompts) {
      EXPECT_NEAR(ttft / column("ttft_mean_ms"), 1, 0.10);
    } else {
      EXPECT_NEAR(itl / column("itl_mean_ms"), 1, 0.10);
      EXPECT_NEAR(e2e / column("e2e_mean_ms"), 1, 0.10);
    }
  }
}

// Iteration times of the models of that other simulator, which has none in common with the measured
// tables: one set per model for all its cases, found by least squares over them.
struct FittedModel {
  const char* name;
  double overhead_ms;
  double decode_base_ms;
  double per_sequence_ms;
  double per_1k_kv_ms;
  double prefill_per_1k_ms;
};
constexpr std::array kFitted{
    FittedModel{"01-ai/Yi-34B", 17.1025, 15.3088, 0.04466, 0.01125, 8.8479},
    FittedModel{"Qwen/Qwen2.5-7B-Instruct", 17.6721, 6.1762, 0.05293, 0.00021, 0.0646},
    FittedModel{"RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic", 15.1450, 24.4834, 0.03456,
                0.00540, 1.8964},
    FittedModel{"meta-llama/Llama-2-7b-hf", 13.5411, 8.3142, 0.02007, 0.08014, 6.4264},
};

EngineProfile fitted(std::string_view name) {
  const auto* model = std::ranges::find(kFitted, name, &FittedModel::name);
  EngineProfile profile;
  if (model == kFitted.end()) return profile;
  profile.overhead_ms = model->overhead_ms;
  profile.decode_base_ms = profile.prefill_base_ms = model->decode_base_ms;
  profile.decode_ms_per_sequence = model->per_sequence_ms;
  profile.decode_ms_per_1k_kv = model->per_1k_kv_ms;
  profile.prefill_ms_per_1k = model->prefill_per_1k_ms;
  return profile;
}

TEST(Accuracy, FollowsBlisOverRatesAndLengthsOfOneModel) {
  const auto table = CsvTable::read(PERIGEE_DATA "/reference/blis_shared_prefix.csv");
  ASSERT_TRUE(table);
  for (std::size_t row = 0; row < table->rows(); ++row) {
    const auto value = [&](std::size_t column) { return *table->number(row, column); };
    EngineProfile p = fitted(table->text(row, 0));
    p.batch_max = 128;
    p.kv_tokens = static_cast<std::uint64_t>(value(9)) * 16;
    p.batch_tokens_max = static_cast<std::uint32_t>(value(10));
    const auto blocks = static_cast<std::uint32_t>(value(3)) / 16;
    std::vector<std::uint64_t> ids(blocks * static_cast<std::size_t>(value(4)));
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = i + 1;
    Bench bench{p, 16};
    Random random{7};
    double at = 0;
    for (const std::size_t stage : {5U, 7U}) {
      const double end = at + value(stage) * 1e3;
      for (;; bench.submit({.prompt_tokens = static_cast<std::uint32_t>(value(1)),
                            .output_tokens = static_cast<std::uint32_t>(value(2)),
                            .blocks = &ids[random.below(ids.size() / blocks) * blocks],
                            .prompt_blocks = blocks,
                            .final_blocks = blocks},
                           nanos_from_ms(at))) {
        at += draw_exponential(random) * 1e3 / value(stage + 1);
        if (at >= end) break;
      }
      at = end;
    }
    bench.drain();
    double ttft = 0;
    double e2e = 0;
    double itl = 0;
    const auto count = static_cast<double>(bench.served.size());
    for (const Served& s : bench.served) {
      ttft += s.ttft_ms() / count;
      e2e += s.e2e_ms() / count;
      itl += s.tpot_ms() / count;
    }
    EXPECT_NEAR(ttft / value(11), 1, 0.10) << row;
    EXPECT_NEAR(itl / value(12), 1, 0.10) << row;
    EXPECT_NEAR(e2e / value(13), 1, 0.10) << row;
  }
}

}  // namespace
}  // namespace perigee::sim
