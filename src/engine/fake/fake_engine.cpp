#include "engine/fake/fake_engine.h"

#include <algorithm>

namespace perigee {

// Runs the script until it hangs, pauses or ends. Destroying it inside a sink call is allowed:
// run() sees that its mark of life has gone and touches nothing more.
class FakeGeneration final : public Generation {
 public:
  FakeGeneration(FakeEngine& engine, const std::vector<FakeEngine::Step>& script, EventSink& sink)
      : engine_(engine), script_(script), sink_(&sink) {
    engine_.running_.push_back(this);
  }
  FakeGeneration(const FakeGeneration&) = delete;
  FakeGeneration& operator=(const FakeGeneration&) = delete;
  ~FakeGeneration() override {
    if (!ended_) ++engine_.cancelled;
    std::erase(engine_.running_, this);
  }
  void resume() override { run(); }
  bool waits() const override { return engine_.waits; }
  std::optional<bool> lost() const override { return engine_.lost; }

  void run() {
    const std::weak_ptr<void> alive = alive_;
    bool going = true;
    while (going && next_ < script_.size()) {
      const FakeEngine::Step& next = script_[next_++];
      going = step(next) && !alive.expired();
    }
  }

 private:
  // False when the script stops here.
  bool step(const FakeEngine::Step& step) {
    if (const auto* say = std::get_if<FakeEngine::Say>(&step)) {
      return sink_->on_chunk(Chunk{say->json, say->tokens, say->token_ids, say->choice, say->ends,
                                   say->more, say->text});
    }
    if (std::holds_alternative<FakeEngine::Hang>(step)) return false;
    ended_ = true;
    if (const auto* finish = std::get_if<FakeEngine::Finish>(&step)) {
      sink_->on_finished(finish->finished);
    } else {
      sink_->on_error(std::get<FakeEngine::Fail>(step).error);
    }
    return false;
  }

  FakeEngine& engine_;
  const std::vector<FakeEngine::Step>& script_;
  EventSink* sink_;
  std::size_t next_ = 0;
  bool ended_ = false;
  std::shared_ptr<void> alive_ = std::make_shared<char>();
};

void FakeEngine::advance() {
  for (FakeGeneration* generation : std::vector<FakeGeneration*>{running_}) {
    if (std::ranges::find(running_, generation) != running_.end()) generation->run();
  }
}

std::unique_ptr<Generation> FakeEngine::start(const Job& job, EventSink& sink) {
  jobs.push_back(job);
  auto generation = std::make_unique<FakeGeneration>(*this, script_, sink);
  sink.on_head(Head{site, std::nullopt});
  generation->run();
  return generation;
}

}  // namespace perigee
