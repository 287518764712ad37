#include "sim/engine_model.h"

#include <gtest/gtest.h>

#include <vector>

#include "sim/engine_bench.h"

namespace perigee::sim {
namespace {

TEST(EngineModel, ComputesOneRequestAsTheFitSays) {
  const EngineProfile p = h100();
  Bench bench{p, 64};
  bench.submit({.prompt_tokens = 1000, .output_tokens = 11}, 0);
  bench.drain();
  const Served& s = bench.served[0];
  EXPECT_NEAR(s.ttft_ms(), p.prefill_base_ms + p.prefill_ms_per_1k + p.prefill_ms_per_1k_squared,
              1e-3);
  const double decode =
      p.decode_base_ms + p.decode_ms_per_sequence + p.decode_ms_per_1k_kv * 1.0045;
  EXPECT_NEAR(s.tpot_ms(), decode, 1e-3);
}

TEST(EngineModel, SplitsALongPromptIntoChunks) {
  EngineProfile p = h100();
  p.batch_tokens_max = 512;
  Bench bench{p, 64};
  bench.submit({.prompt_tokens = 2048, .output_tokens = 1}, 0);
  bench.drain();
  EXPECT_NEAR(bench.served[0].ttft_ms(),
              4 * p.prefill_base_ms + 2.048 * p.prefill_ms_per_1k +
                  2.048 * 2.048 * p.prefill_ms_per_1k_squared,
              1e-3);
}

TEST(EngineModel, LetsANewcomerInAtTheNextIteration) {
  const EngineProfile p = h100();
  Bench bench{p, 64};
  bench.submit({.prompt_tokens = 100, .output_tokens = 1000}, 0);
  bench.submit({.prompt_tokens = 100, .output_tokens = 2}, nanos_from_ms(1000));
  bench.drain();
  EXPECT_LT(bench.served[1].ttft_ms(), 2 * p.decode_base_ms + p.prefill_ms_per_1k);
  EXPECT_GT(bench.served[0].e2e_ms(), 999 * p.decode_base_ms);
}

TEST(EngineModel, ComputesAgainWhatMadeRoom) {
  EngineProfile p = h100();
  p.kv_tokens = 1000;
  Bench bench{p, 64};
  bench.submit({.prompt_tokens = 400, .output_tokens = 300}, 0);
  bench.submit({.prompt_tokens = 400, .output_tokens = 300}, 0);
  bench.drain();
  EXPECT_GT(bench.engine.preemptions(), 0U);
  EXPECT_GT(bench.served[1].finished, bench.served[0].finished);
  EXPECT_EQ(bench.engine.running(), 0U);
  EXPECT_EQ(bench.engine.queued_tokens(), 0U);
  EXPECT_EQ(bench.engine.load(bench.served[1].finished).kv_used, 0);
}

TEST(EngineModel, FindsTheSharedPrefixAndTheEarlierTurn) {
  std::vector<std::uint64_t> blocks(40);
  for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = 1000 + i;
  Bench bench{h100(), 64};
  bench.submit({.prompt_tokens = 640,
                .output_tokens = 64,
                .blocks = blocks.data(),
                .prompt_blocks = 10,
                .final_blocks = 11},
               0);
  bench.drain();
  bench.submit({.prompt_tokens = 1280,
                .output_tokens = 64,
                .blocks = blocks.data(),
                .prompt_blocks = 20,
                .final_blocks = 21},
               nanos_from_s(10));
  bench.drain();
  EXPECT_EQ(bench.served[1].cached, 704U);
  EXPECT_LT(bench.served[1].ttft_ms(), bench.served[0].ttft_ms() * 1.2);
}

TEST(EngineModel, EndsEverythingWhenItFails) {
  Bench bench{h100(), 64};
  for (int i = 0; i < 3; ++i) bench.submit({.prompt_tokens = 100, .output_tokens = 100}, 0);
  std::vector<std::uint32_t> ended;
  bench.engine.fail(nanos_from_ms(50), ended);
  EXPECT_EQ(ended.size(), 3U);
  EXPECT_EQ(bench.engine.next_boundary(), kNever);
  bench.submit({.prompt_tokens = 100, .output_tokens = 2}, nanos_from_ms(60));
  bench.drain();
  EXPECT_GT(bench.served[3].finished, 0);
}

}  // namespace
}  // namespace perigee::sim
