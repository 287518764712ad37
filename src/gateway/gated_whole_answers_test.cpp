// Whole answers at engines behind one queue, which runs each where there is room: not always at the
// engine that it was planned for.
#include "gateway/admission_gate.h"
#include "gateway/inference_test.h"

namespace perigee {
namespace {

class NullSink final : public EventSink {
 public:
  void on_head(const Head& /*head*/) override {}
  bool on_chunk(const Chunk& /*chunk*/) override { return true; }
  void on_finished(Finished /*finished*/) override {}
  void on_error(Error /*error*/) override {}
};

// Two engines of this site, each with two slots. What is asked for is planned for "first".
class GatedWholeAnswers : public InferenceTest {
 protected:
  GatedWholeAnswers() {
    add_gated("first", milliseconds{1});
    add_gated("other", milliseconds{90});
  }
  ~GatedWholeAnswers() override { gate_->close(); }
  GatedWholeAnswers(const GatedWholeAnswers&) = delete;
  GatedWholeAnswers& operator=(const GatedWholeAnswers&) = delete;

  struct Gated {
    CandidateState state;
    std::shared_ptr<FakeEngine> fake;
    std::shared_ptr<Engine> engine;
  };
  void add_gated(const std::string& name, Duration rtt) {
    const Step text = FakeEngine::Finish{finished(name + "'s", 3)};
    Gated& it = gated_[name];
    it.fake = std::make_shared<FakeEngine>(std::vector<Step>{FakeEngine::Hang{}, text});
    it.state.id = CandidateId{SiteId{"here"}, EngineId{name}, ModelId{"m"}};
    it.state.jurisdiction = JurisdictionId{"de"};
    it.state.healthy = true;
    it.state.local = true;
    it.state.rtt = rtt;
    it.state.load = {.slots = 2, .prefill_tokens_per_s = 1000, .decode_ms = 1};
    it.state.reported = clock_.now();
    it.engine = gate_->add(it.state.id.engine, it.fake);
    gate_->update(it.state.id.engine, true, it.state.load);
    engines_.set(*router_.update(it.state, clock_.now()), it.engine);
  }
  // Its probe fails: as LocalEngines tells.
  void lose(const std::string& name) {
    Gated& it = gated_[name];
    it.state.healthy = false;
    gate_->update(it.state.id.engine, false, it.state.load);
    ASSERT_TRUE(router_.update(it.state, clock_.now()));
    inference_->look_for_unreachable();
  }
  // Takes the slots of that engine.
  std::vector<std::unique_ptr<Generation>> occupy(const std::string& name) {
    Job job;
    job.model = ModelId{"m"};
    job.body = std::make_shared<const std::string>("{}");
    std::vector<std::unique_ptr<Generation>> both;
    for (int i = 0; i < 2; ++i) both.push_back(gated_[name].engine->start(job, null_));
    EXPECT_EQ(jobs(name), 2U);
    return both;
  }
  FakeEngine& fake(const std::string& name) { return *gated_[name].fake; }
  std::size_t jobs(const std::string& name) { return fake(name).jobs.size(); }

  NullSink null_;
  std::shared_ptr<AdmissionGate> gate_ =
      std::make_shared<AdmissionGate>(io_.get_executor(), clock_, GateOptions{}, [] {});
  std::map<std::string, Gated> gated_;
};

TEST_F(GatedWholeAnswers, AreMadeAtAnotherEngineWhenTheirsIsLost) {
  once([&] { return jobs("first") == 1; },
       [&] {
         lose("first");
         once([&] { return jobs("other") == 1; }, [&] { fake("other").advance(); });
       });
  EXPECT_EQ(serve(kWhole).text, "other's");
  EXPECT_EQ(fake("first").cancelled, 1);
}

TEST_F(GatedWholeAnswers, ThatRunElsewhereThanPlannedAreBegunAgainWhenThatEngineIsLost) {
  auto busy = occupy("first");
  once([&] { return jobs("other") == 1; },
       [&] {
         busy.clear();
         lose("other");
         once([&] { return jobs("first") == 3; }, [&] { fake("first").advance(); });
       });
  EXPECT_EQ(serve(kWhole).text, "first's");
  EXPECT_EQ(fake("other").cancelled, 1);
  ASSERT_EQ(ledger_.records().size(), 1U) << "billed once";
}

TEST_F(GatedWholeAnswers, ThatRunElsewhereThanPlannedGoOnWhenThePlannedEngineIsLost) {
  auto busy = occupy("first");
  let_time_pass(milliseconds{100});
  once([&] { return jobs("other") == 1; },
       [&] {
         lose("first");
         const Instant then = clock_.now();
         once([this, then] { return clock_.now() - then > seconds{5}; },
              [&] {
                EXPECT_EQ(gate_->waiting(), 0U) << "nothing was begun beside it";
                fake("other").advance();
              });
       });
  EXPECT_EQ(serve(kWhole).text, "other's");
}

TEST_F(GatedWholeAnswers, ThatWaitDoNotWaitTwiceWhenTheirEngineIsLost) {
  auto busy = occupy("first");
  auto other = occupy("other");
  let_time_pass(milliseconds{100});
  once([&] { return gate_->waiting() == 1; },
       [&] {
         lose("first");
         const Instant then = clock_.now();
         once([this, then] { return clock_.now() - then > seconds{5}; },
              [&] {
                EXPECT_EQ(gate_->waiting(), 1U);
                busy.clear();
                other.clear();
                once([&] { return jobs("other") == 3; }, [&] { fake("other").advance(); });
              });
       });
  EXPECT_EQ(serve(kWhole).text, "other's");
  EXPECT_EQ(jobs("other"), 3U);
}

}  // namespace
}  // namespace perigee
