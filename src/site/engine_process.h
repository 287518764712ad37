// EngineProcess: one `perigee engine` process, started, watched and restarted with back-off, so
// that a crashed engine never takes the gateway along.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/id.h"
#include "core/inference.h"
#include "net/http_client.h"
#include "net/task.h"

namespace perigee {

struct EngineSpec {
  EngineId name;
  ModelId model;
  std::string model_path;
  std::string model_sha256;      // hex: another file is not loaded; empty: any is
  std::string model_public_key;  // a file: what it did not sign is not loaded; empty: all is
  std::string socket_path;
  std::uint32_t slots = 8;
  std::uint32_t threads = 1;
  std::uint32_t context_tokens = 0;  // 0: the model's own
  std::int32_t gpu_layers = 0;       // kept on a GPU; -1: all
  friend bool operator==(const EngineSpec&, const EngineSpec&) = default;
};

enum class EngineState : std::uint8_t { Starting, Ready, Failed, Stopped };
std::string_view to_string(EngineState state);

// Restart delays: doubled from the first to the last, for what can't start or dies at once; back to
// the first after kBackOffReset of service.
inline constexpr Duration kBackOffFirst = milliseconds{100};
inline constexpr Duration kBackOffLast = seconds{30};
inline constexpr Duration kBackOffReset = seconds{5};
// A model that is not loaded by then is a fault. A ready engine that does not tell its load for
// kSilentMax is stuck: it is killed and restarted. One whose computation stands still answers with
// an error instead (engine/server/standstill_watch.h).
inline constexpr Duration kStartMax = seconds{120};
inline constexpr Duration kSilentMax = seconds{10};

// IO thread. Destroying it kills the process.
class EngineProcess {
 public:
  // `program` is the perigee binary. `changed` is called when state or load change. Everything
  // given must outlive it.
  struct Parts {
    Executor executor;
    const Clock& clock;
    net::HttpClient& client;  // with probe_limits() (site/local_engines.h)
    std::string program;
    std::function<void()> changed;
  };
  EngineProcess(Parts parts, EngineSpec spec);
  ~EngineProcess();
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  const EngineSpec& spec() const;
  EngineState state() const;
  const EngineLoad& load() const;
  Instant load_as_of() const;
  std::uint32_t restarts() const;
  const std::string& last_fault() const;  // "signal 9"; empty: none yet
  int pid() const;                        // 0: not running
  net::Endpoint endpoint() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace perigee
