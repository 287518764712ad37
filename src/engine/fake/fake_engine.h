// FakeEngine: an Engine in memory, for tests of what stands above the port. It does what its script
// says, when told to; no threads, no time of its own.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/engine.h"

namespace perigee {

class FakeGeneration;

class FakeEngine final : public Engine {
 public:
  // One step of every generation's script.
  struct Say {
    std::string json;
    std::uint32_t tokens = 1;
    std::string token_ids = {};  // "12,345": as an engine that can be resumed tells
    std::uint32_t choice = 0;
    bool ends = false;
    bool more = false;
    std::optional<std::string> text = {};  // as an engine that can be resumed by it tells
  };
  struct Finish {
    Finished finished;
  };
  struct Fail {
    Error error;
  };
  struct Hang {};  // nothing more until advance() or cancellation
  using Step = std::variant<Say, Finish, Fail, Hang>;

  explicit FakeEngine(std::vector<Step> script) : script_(std::move(script)) {}

  std::unique_ptr<Generation> start(const Job& job, EventSink& sink) override;

  // Lets every generation that hangs go on with its next step.
  void advance();

  std::vector<Job> jobs;                    // as they came
  int cancelled = 0;                        // generations destroyed before their end
  SiteId site{"fake"};                      // told in Head
  bool waits = false;                       // what is silent is in a queue before it
  std::optional<bool> lost = std::nullopt;  // as Generation::lost()

 private:
  friend class FakeGeneration;
  std::vector<Step> script_;
  std::vector<FakeGeneration*> running_;
};

}  // namespace perigee
