#include "gateway/admission_gate.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "engine/fake/fake_engine.h"

namespace perigee {
namespace {

// What one job was told.
class Told final : public EventSink {
 public:
  void on_head(const Head& head) override {
    load = head.load;
    refused = head.refused;
    ++heads;
  }
  bool on_chunk(const Chunk& chunk) override {
    tokens += chunk.tokens;
    return true;
  }
  void on_finished(Finished /*finished*/) override { finished = true; }
  void on_error(Error failed) override { error = std::move(failed); }

  std::optional<EngineLoad> load;
  int heads = 0;
  std::uint32_t tokens = 0;
  bool finished = false;
  std::optional<Error> error;
  Refused refused = Refused::No;
};

// A job with what it was told; dropping it is leaving.
struct Client {
  Told told;
  std::unique_ptr<Generation> generation;
};

const EngineId kEngine{"e"};

class AdmissionGateTest : public testing::Test {
 protected:
  AdmissionGateTest() { make_gate({}); }

  void make_gate(GateOptions options) {
    if (gate_) gate_->close();
    gate_ = std::make_shared<AdmissionGate>(io_.get_executor(), clock_, std::move(options),
                                            [this] { ++changes_; });
  }

  FakeEngine& add(const EngineId& name, std::uint32_t slots, std::shared_ptr<Engine>& gated,
                  std::vector<FakeEngine::Step> script = {FakeEngine::Hang{}, FakeEngine::Say{"{}"},
                                                          FakeEngine::Finish{Finished{}}}) {
    auto fake = std::make_shared<FakeEngine>(std::move(script));
    gated = gate_->add(name, fake);
    gate_->update(name, true, load_of(slots));
    return *fake;
  }
  FakeEngine& add(std::uint32_t slots) { return add(kEngine, slots, engine_); }

  static EngineLoad load_of(std::uint32_t slots) {
    return {.slots = slots, .prefill_tokens_per_s = 10'000, .decode_ms = 10};
  }

  std::unique_ptr<Client> start(ServiceClass service_class = ServiceClass::Batch,
                                std::optional<Duration> time_left = std::nullopt,
                                const std::string& tenant = "acme",
                                std::shared_ptr<const Delivered> delivered = nullptr,
                                std::uint32_t choices = 1) {
    Job job;
    job.choices = choices;
    job.delivered = std::move(delivered);
    job.model = ModelId{"m"};
    job.stream = true;
    job.body = std::make_shared<const std::string>("{}");
    job.prompt_tokens = 100;
    job.output_tokens_max = 10;
    job.context.tenant = TenantId{tenant};
    job.context.service_class = service_class;
    if (time_left) job.context.deadline = clock_.now() + *time_left;
    auto client = std::make_unique<Client>();
    client->generation = engine_->start(job, client->told);
    return client;
  }

  // Lets the gate look at its queue once.
  void look() {
    const std::size_t before = gate_->waiting();
    io_.restart();
    while (gate_->waiting() == before && io_.run_one_for(seconds{2}) > 0) {
    }
  }

  ManualClock clock_;
  asio::io_context io_;
  int changes_ = 0;
  std::shared_ptr<AdmissionGate> gate_;
  std::shared_ptr<Engine> engine_;
};

TEST_F(AdmissionGateTest, RunsWhatTheEngineHasSlotsForAndTheRestInTurn) {
  FakeEngine& fake = add(2);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(start());
  EXPECT_EQ(fake.jobs.size(), 2U);
  EXPECT_EQ(gate_->waiting(), 2U);
  EXPECT_EQ(gate_->waiting_tokens(), 200U);
  EXPECT_EQ(gate_->load_of(kEngine).slots_busy, 2U);
  fake.advance();
  EXPECT_TRUE(clients[0]->told.finished && clients[1]->told.finished);
  EXPECT_EQ(fake.jobs.size(), 4U);
  EXPECT_EQ(gate_->waiting(), 0U);
  fake.advance();
  EXPECT_TRUE(clients[3]->told.finished);
  EXPECT_EQ(gate_->load_of(kEngine).slots_busy, 0U);
  EXPECT_EQ(gate_->stats().running, 0U);
}

TEST_F(AdmissionGateTest, AClientThatLeavesFreesItsSlotAndItsPlace) {
  FakeEngine& fake = add(1);
  auto running = start();
  auto leaves = start();
  auto stays = start();
  leaves.reset();
  EXPECT_EQ(gate_->waiting(), 1U);
  running.reset();
  EXPECT_EQ(fake.cancelled, 1);
  EXPECT_EQ(fake.jobs.size(), 2U) << "the one that stayed";
  EXPECT_EQ(gate_->stats().running, 1U);
}

TEST_F(AdmissionGateTest, RealtimeGoesBeforeBatch) {
  FakeEngine& fake = add(1);
  auto running = start(ServiceClass::Standard);
  auto batch = start();
  auto realtime = start(ServiceClass::Realtime);
  running.reset();
  ASSERT_EQ(fake.jobs.size(), 2U);
  EXPECT_EQ(fake.jobs[1].context.service_class, ServiceClass::Realtime);
}

TEST_F(AdmissionGateTest, SaysWhyItRefusesAndWhenToComeBack) {
  GateOptions options;
  options.queue.requests_max = 2;
  make_gate(options);
  add(1);
  auto running = start(ServiceClass::Standard);
  auto stays = start();
  auto waits = start();
  auto full = start();
  ASSERT_TRUE(full->told.error);
  EXPECT_EQ(full->told.error->code, Code::ResourceExhausted);
  EXPECT_EQ(full->told.refused, Refused::Full);
  EXPECT_GT(full->told.error->retry_after_ms, 0);
  auto late = start(ServiceClass::Realtime, milliseconds{20});
  ASSERT_TRUE(late->told.error);
  EXPECT_EQ(late->told.error->code, Code::ResourceExhausted);
  EXPECT_EQ(late->told.refused, Refused::TooLate);
  auto first = start(ServiceClass::Realtime);  // makes the batch one give up its place
  ASSERT_TRUE(waits->told.error);
  EXPECT_EQ(waits->told.refused, Refused::Full);
  EXPECT_FALSE(first->told.error);
  EXPECT_FALSE(stays->told.error);
}

TEST_F(AdmissionGateTest, WithoutPowerNothingRunsButTheNetworksOwnWork) {
  GateOptions options;
  options.reserved_share = 1;
  options.network_tenants = {TenantId{"ran"}};
  make_gate(options);
  FakeEngine& fake = add(4);
  auto refused = start();
  ASSERT_TRUE(refused->told.error);
  EXPECT_EQ(refused->told.error->code, Code::Unavailable);
  EXPECT_EQ(refused->told.refused, Refused::NoCapacity);
  auto own = start(ServiceClass::Standard, std::nullopt, "ran");
  EXPECT_FALSE(own->told.error);
  EXPECT_EQ(fake.jobs.size(), 1U);
}

TEST_F(AdmissionGateTest, ADeadlineThatPassesInTheQueueEndsTheWait) {
  add(1);
  auto running = start();
  auto waits = start(ServiceClass::Batch, seconds{3});
  EXPECT_FALSE(waits->told.error);
  clock_.advance(seconds{4});
  look();
  ASSERT_TRUE(waits->told.error);
  EXPECT_EQ(waits->told.error->code, Code::DeadlineExceeded);
  EXPECT_EQ(waits->told.refused, Refused::TooLate);
  EXPECT_EQ(gate_->waiting(), 0U);
}

TEST_F(AdmissionGateTest, WhatWaitsLearnsThatTheLastEngineHasGone) {
  FakeEngine& fake = add(1);
  auto running = start();
  auto waits = start();
  gate_->update(kEngine, false, {});
  ASSERT_TRUE(waits->told.error);
  EXPECT_EQ(waits->told.error->code, Code::Unavailable);
  auto later = start();
  ASSERT_TRUE(later->told.error);
  EXPECT_EQ(later->told.error->code, Code::Unavailable);
  gate_->update(kEngine, true, load_of(1));
  running.reset();
  auto again = start();
  EXPECT_EQ(fake.jobs.size(), 2U);
}

TEST_F(AdmissionGateTest, TakesTheEngineWithRoomWhenThePlannedOneHasNone) {
  std::shared_ptr<Engine> other;
  FakeEngine& one = add(1);
  FakeEngine& two = add(EngineId{"f"}, 2, other);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(start());
  EXPECT_EQ(one.jobs.size(), 1U);
  EXPECT_EQ(two.jobs.size(), 2U);
  EXPECT_EQ(gate_->waiting(), 1U);
  gate_->remove(EngineId{"f"});
  clients.erase(clients.begin() + 1, clients.begin() + 3);  // end where no place is any more
  clients.erase(clients.begin());
  EXPECT_EQ(one.jobs.size(), 2U);
}

TEST_F(AdmissionGateTest, SeveralAnswersToOneRequestTakeAsMuchRoom) {
  std::shared_ptr<Engine> other;
  FakeEngine& one = add(4);
  FakeEngine& two = add(EngineId{"f"}, 4, other);
  auto many = start(ServiceClass::Batch, std::nullopt, "acme", nullptr, 4);
  EXPECT_EQ(gate_->load_of(kEngine).slots_busy, 4U);
  auto single = start();
  EXPECT_EQ(one.jobs.size(), 1U);
  EXPECT_EQ(two.jobs.size(), 1U);
  many.reset();
  EXPECT_EQ(gate_->load_of(kEngine).slots_busy, 0U);
}

TEST_F(AdmissionGateTest, AnAnswersLoadTellsWhatWaits) {
  EngineLoad load = load_of(1);
  add(1);
  auto running = start();
  auto waits = start();
  gate_->add_share(load);
  EXPECT_EQ(load.queued_requests, 1U);
  EXPECT_EQ(load.queued_tokens, 100U);
}

TEST_F(AdmissionGateTest, TellsPeersWhenTheQueueComesAndGoes) {
  FakeEngine& fake = add(1);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(start());
  EXPECT_EQ(changes_, 1) << "five wait: at four it was told";
  for (int i = 0; i < 6; ++i) fake.advance();
  EXPECT_EQ(gate_->waiting(), 0U);
  EXPECT_EQ(changes_, 2);
}

TEST_F(AdmissionGateTest, AnEngineThatFailsAtOnceFreesItsSlot) {
  FakeEngine& fake = add(kEngine, 1, engine_, {FakeEngine::Fail{Error{Code::Unavailable, "x"}}});
  for (std::size_t i = 1; i <= 3; ++i) {
    auto client = start();
    ASSERT_TRUE(client->told.error);
    EXPECT_EQ(fake.jobs.size(), i);
  }
  EXPECT_EQ(gate_->stats().running, 0U);
}

// A stream of "1,2" and more, which can be resumed unless `ids` is empty.
std::vector<FakeEngine::Step> stream_of(const std::string& ids, bool more = false) {
  return {FakeEngine::Say{"{}", 2, ids, 0, false, more}, FakeEngine::Hang{},
          FakeEngine::Finish{Finished{}}};
}

TEST_F(AdmissionGateTest, RealtimePreEmptsABatchStreamWhichGoesOnByItself) {
  FakeEngine& fake = add(kEngine, 1, engine_, stream_of("1,2"));
  auto batch = start();
  auto realtime = start(ServiceClass::Realtime);
  EXPECT_EQ(fake.cancelled, 1);
  ASSERT_EQ(fake.jobs.size(), 2U);
  EXPECT_EQ(fake.jobs[1].context.service_class, ServiceClass::Realtime);
  EXPECT_EQ(gate_->waiting(), 1U);
  EXPECT_FALSE(batch->told.error);
  fake.advance();
  EXPECT_TRUE(realtime->told.finished);
  ASSERT_EQ(fake.jobs.size(), 3U);
  ASSERT_NE(fake.jobs[2].delivered, nullptr);
  EXPECT_EQ(fake.jobs[2].delivered->tokens(), 2U);
  EXPECT_EQ(batch->told.heads, 1) << "it is one answer";
  fake.advance();
  EXPECT_TRUE(batch->told.finished);
  EXPECT_EQ(gate_->stats().running, 0U);
}

TEST_F(AdmissionGateTest, WhatBeganElsewhereKeepsThatWhenItIsStopped) {
  auto before = std::make_shared<Delivered>();
  before->add(0, "7,8");
  FakeEngine& fake = add(kEngine, 1, engine_, stream_of("1,2"));
  auto batch = start(ServiceClass::Batch, std::nullopt, "acme", before);
  auto realtime = start(ServiceClass::Realtime);
  fake.advance();
  ASSERT_EQ(fake.jobs.size(), 3U);
  EXPECT_EQ(fake.jobs[2].delivered->tokens(), 4U);
}

TEST_F(AdmissionGateTest, AStreamThatNobodyCouldResumeRunsToItsEnd) {
  FakeEngine& fake = add(kEngine, 1, engine_, stream_of(""));
  auto batch = start();
  auto realtime = start(ServiceClass::Realtime);
  EXPECT_EQ(fake.cancelled, 0);
  fake.advance();
  EXPECT_TRUE(batch->told.finished);
  EXPECT_EQ(fake.jobs.size(), 2U);
}

TEST_F(AdmissionGateTest, AStreamThatOnlyItsTextCouldResumeIsNotStoppedForOthers) {
  const FakeEngine::Step text = FakeEngine::Say{"{}", 1, "", 0, false, false, "a"};
  FakeEngine& fake =
      add(kEngine, 1, engine_, {text, FakeEngine::Hang{}, FakeEngine::Finish{Finished{}}});
  auto batch = start();
  auto realtime = start(ServiceClass::Realtime);
  EXPECT_EQ(fake.cancelled, 0) << "it would not go on as it would have";
  fake.advance();
  EXPECT_TRUE(batch->told.finished);
}

TEST_F(AdmissionGateTest, DoesNotStopBetweenChunksThatBelongTogether) {
  FakeEngine& fake = add(kEngine, 1, engine_, stream_of("1,2", true));
  auto batch = start();
  auto realtime = start(ServiceClass::Realtime);
  EXPECT_EQ(fake.cancelled, 0);
  EXPECT_EQ(gate_->waiting(), 1U);
}

TEST_F(AdmissionGateTest, AStoppedClientThatLeavesFreesItsPlace) {
  FakeEngine& fake = add(kEngine, 1, engine_, stream_of("1,2"));
  auto batch = start();
  auto realtime = start(ServiceClass::Realtime);
  batch.reset();
  EXPECT_EQ(gate_->waiting(), 0U);
  realtime.reset();
  EXPECT_EQ(fake.jobs.size(), 2U);
  EXPECT_EQ(gate_->stats().running, 0U);
}

TEST_F(AdmissionGateTest, OutlivesItsOwner) {
  add(1);
  auto running = start();
  auto waits = start();
  gate_->close();
  gate_.reset();
  engine_.reset();
  EXPECT_TRUE(waits->told.error);
  running.reset();
  waits.reset();
}

}  // namespace
}  // namespace perigee
