// AdmissionGate: the one queue of a model at this site, before all its engines that tell how many
// requests they run at once. What runs now, waits or is refused is core/admission.h's; this carries
// jobs there and back. A gated engine is an Engine as any other: started work goes straight
// through, waiting work is started later, and what is refused ends with an Error that says why.
//
// Realtime pre-empts batch: a batch job is stopped at its engine and waits again; later it goes on
// by itself, at any engine of the model, from the tokens that were handed on. One whose tokens are
// not known (an external engine's stream that has begun) runs to its end.
//
// The engine for which a job was planned runs it, unless it has no slot free when the job's turn
// comes: then the one of the model with most room does. Errors:
//   ResourceExhausted  Refused::Full or TooLate; `retry_after_ms` says when it may be worth
//   repeating DeadlineExceeded   Refused::TooLate: its deadline can't be kept any more Unavailable
//   Refused::NoCapacity, or no engine of the model is ready
//
// IO thread. Generations keep it alive, so that it may be dropped at any time; close() it then.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "core/admission.h"
#include "engine/engine.h"
#include "net/task.h"

namespace perigee {

class GatedGeneration;

struct GateOptions {
  AdmissionOptions queue;
  double reserved_share = 0;              // 0..1 of the slots kept for the network's own work
  double power_share = 1;                 // 0..1 of the slots that the site's power allows
  std::vector<TenantId> network_tenants;  // whose work is the network's own
};

class AdmissionGate : public std::enable_shared_from_this<AdmissionGate> {
 public:
  // While something waits, the queue is looked at so often: for deadlines, and for prompts that an
  // engine has prefilled in the meantime.
  static constexpr Duration kLook = milliseconds{50};

  // `changed` is called when the queue has grown or shrunk by much: peers should hear of it.
  AdmissionGate(Executor executor, const Clock& clock, GateOptions options,
                std::function<void()> changed);

  // An engine of the model, unready until update(). The gated one is what jobs are given to; it
  // may outlive the gate's knowledge of it.
  std::shared_ptr<Engine> add(const EngineId& name, std::shared_ptr<Engine> engine);
  void update(const EngineId& name, bool ready, const EngineLoad& load);
  void remove(const EngineId& name);
  bool empty() const { return places_.empty(); }
  // Nothing is started any more; what waits ends as Unavailable.
  void close();

  AdmissionStats stats() const;
  // The load of one engine: as it tells, or as counted here where that is fresher or it tells
  // nothing.
  EngineLoad load_of(const EngineId& name) const;
  std::uint32_t waiting() const { return queue_.waiting(); }  // requests
  std::uint64_t waiting_tokens() const { return queue_.waiting_tokens(); }
  // Adds what waits here to the load of one engine: its part among those that are ready.
  void add_share(EngineLoad& load) const;

 private:
  friend class GatedGeneration;
  class GatedEngine;
  struct Place {
    std::uint32_t serial = 0;  // never given to another
    EngineId name;
    std::shared_ptr<Engine> engine;
    bool ready = false;
    EngineLoad load;
    std::uint32_t running = 0;     // answers released to it and not ended
    std::uint64_t prefilling = 0;  // prompt tokens of streams whose first token is not out
  };
  std::unique_ptr<Generation> start(std::uint32_t planned, const Job& job, EventSink& sink);
  AdmissionRequest request_of(const Job& job) const;
  void set_capacity();
  void refuse(GatedGeneration& generation, const AdmissionRefusal& refusal);
  Place* find(const EngineId& name);
  Place* find(std::uint32_t serial);
  bool ready(std::uint32_t serial);
  Place* choose(std::uint32_t planned);
  void run(GatedGeneration& generation);
  bool preempt();
  void left_place(GatedGeneration& generation);
  void first_token(GatedGeneration& generation);
  void ended(GatedGeneration& generation, const AdmissionOutcome& outcome);
  void pump();
  void watch();
  void tell();

  Executor executor_;
  const Clock& clock_;
  GateOptions options_;
  std::function<void()> changed_;
  AdmissionQueue queue_;
  std::vector<Place> places_;
  std::uint32_t serials_ = 0;
  std::uint32_t ready_ = 0;  // of places_
  std::unordered_map<AdmissionTicket, GatedGeneration*> waiting_;
  std::unordered_map<AdmissionTicket, GatedGeneration*> running_batch_;  // that may be stopped
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      timer_;
  bool watching_ = false;
  bool pumping_ = false;
  bool closed_ = false;
  std::uint32_t told_ = 0;  // requests that waited when `changed_` was last called
};

}  // namespace perigee
