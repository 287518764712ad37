#include "gateway/admission_gate.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/assert.h"
#include "core/class_targets.h"

namespace perigee {
namespace {

// Of a class's time to the first token, kept for the way to the client and for what predictions
// miss: else half of those let in at the very limit would be late, and their slots wasted.
constexpr double kWayShare = 0.25;
constexpr std::uint32_t kTellLeast = 4;  // requests more or less that peers should hear of

Error not_ready(const ModelId& model) {
  return Error{Code::Unavailable,
               "No engine of '" + model.str() + "' is ready at this site; repeat the request.", "",
               1000};
}

AdmissionOptions with_preemption(AdmissionOptions options) {
  options.preempts = true;
  return options;
}

}  // namespace

// One job behind the gate: stands between the engine and its caller.
class GatedGeneration final : public Generation, public EventSink {
 public:
  GatedGeneration(std::shared_ptr<AdmissionGate> gate, std::uint32_t planned, EventSink& sink)
      : gate_(std::move(gate)), sink_(&sink), place_(planned) {}
  GatedGeneration(const GatedGeneration&) = delete;
  GatedGeneration& operator=(const GatedGeneration&) = delete;
  ~GatedGeneration() override {
    if (destroyed_ != nullptr) *destroyed_ = true;
    inner_.reset();  // frees the engine's slot first
    end(Usage{.completion_tokens = tokens_}, false);
  }

  void resume() override {
    if (inner_) inner_->resume();
  }
  bool waits() const override { return ticket_ != 0 && inner_ == nullptr; }
  // What waits is run by whoever is ready then.
  std::optional<bool> lost() const override { return inner_ != nullptr && !gate_->ready(place_); }

  // The load that goes back with an answer tells what waits here, too.
  void on_head(const Head& head) override {
    if (std::exchange(headed_, true)) return;  // it goes on
    if (!head.load) return sink_->on_head(head);
    Head told = head;
    gate_->add_share(*told.load);
    sink_->on_head(told);
  }
  bool on_chunk(const Chunk& chunk) override {
    ++calls_;
    if (!std::exchange(prefilled_, true)) gate_->first_token(*this);
    tokens_ += chunk.tokens;
    if (delivered_ != nullptr) follow(chunk);
    bool destroyed = false;
    bool* const outer = std::exchange(destroyed_, &destroyed);
    const bool more = sink_->on_chunk(chunk);
    if (destroyed) {
      if (outer != nullptr) *outer = true;
      return false;
    }
    destroyed_ = outer;
    --calls_;
    return more;
  }
  void on_finished(Finished finished) override {
    end(finished.usage, true);
    if (finished.load) gate_->add_share(*finished.load);
    sink_->on_finished(std::move(finished));
  }
  void on_error(Error error) override {
    end(Usage{.completion_tokens = tokens_}, false);
    sink_->on_error(std::move(error));
  }

  // What it will run, now or later.
  void hold(const Job& job) { job_ = std::make_shared<const Job>(job); }
  const Job* job() const { return job_.get(); }
  // Batch may be stopped: its job is kept, and what its client has. All else keeps nothing.
  void run(const std::shared_ptr<Engine>& engine) {
    std::shared_ptr<const Job> job = job_;
    const bool batch = job->context.service_class == ServiceClass::Batch;
    if (!batch) job_.reset();
    if (delivered_ != nullptr && delivered_->tokens() > 0) {
      Job going_on = *job;
      going_on.delivered = std::make_shared<const Delivered>(*delivered_);
      job = std::make_shared<const Job>(std::move(going_on));
    } else if (batch && job->stream) {
      delivered_ = job->delivered != nullptr ? std::make_unique<Delivered>(*job->delivered)
                                             : std::make_unique<Delivered>();
    }
    tokens_before_ = tokens_;
    bool destroyed = false;
    bool* const outer = std::exchange(destroyed_, &destroyed);
    auto inner = engine->start(*job, *this);
    if (destroyed) {  // inside a call of the sink
      if (outer != nullptr) *outer = true;
      return;
    }
    destroyed_ = outer;
    if (ticket_ == 0) return;
    engine_ = engine;
    inner_ = std::move(inner);
  }
  // False: not just now.
  bool stop() {
    if (calls_ > 0 || more_ || job_ == nullptr) return false;
    inner_.reset();
    prefilled_ = false;
    return true;
  }
  std::uint32_t tokens_of_run() const { return tokens_ - tokens_before_; }
  void refuse(Error error, Refused why = Refused::No) {
    ticket_ = 0;
    if (why != Refused::No) sink_->on_head(Head{.site = {}, .refused = why});
    sink_->on_error(std::move(error));
  }

 private:
  friend class AdmissionGate;
  void end(const Usage& usage, bool served) {
    if (ticket_ != 0) gate_->ended(*this, {.usage = usage, .served = served});
  }
  void follow(const Chunk& chunk) {
    more_ = chunk.more;
    // An external engine's role, or any text without ids, would come twice. What can go on by its
    // text is not stopped either: that is for failures, since it does not go on as it would have.
    if (chunk.text || (chunk.token_ids.empty() && !chunk.more)) delivered_->lose_track();
    if (!chunk.token_ids.empty()) delivered_->add(chunk.choice, chunk.token_ids);
    if (chunk.ends) delivered_->finish(chunk.choice);
    if (!delivered_->complete()) {
      gate_->queue_.keep_running(ticket_);
      delivered_.reset();
      job_.reset();
    }
  }

  std::shared_ptr<AdmissionGate> gate_;
  EventSink* sink_;
  AdmissionTicket ticket_ = 0;            // 0: not in the queue (any more)
  std::shared_ptr<const Job> job_;        // while it waits, or may wait again
  std::unique_ptr<Delivered> delivered_;  // of a batch stream
  std::shared_ptr<Engine> engine_;        // of `inner_`, which the gate may have forgotten since
  std::unique_ptr<Generation> inner_;     // while it runs
  bool* destroyed_ = nullptr;             // while a call that may destroy it is on the stack
  std::uint32_t place_;                   // planned for; once released, where it runs
  std::uint32_t prompt_tokens_ = 0;       // counted at its engine until its first token
  std::uint32_t choices_ = 1;             // answers, each in a slot of its engine
  std::uint32_t tokens_ = 0;              // delivered
  std::uint32_t tokens_before_ = 0;       // before this run
  std::uint16_t calls_ = 0;               // of on_chunk() on the stack
  bool headed_ = false;
  bool prefilled_ = false;
  bool more_ = false;  // the last chunk belongs to the next
};

class AdmissionGate::GatedEngine final : public Engine {
 public:
  GatedEngine(std::shared_ptr<AdmissionGate> gate, std::uint32_t place)
      : gate_(std::move(gate)), place_(place) {}
  std::unique_ptr<Generation> start(const Job& job, EventSink& sink) override {
    return gate_->start(place_, job, sink);
  }

 private:
  std::shared_ptr<AdmissionGate> gate_;
  std::uint32_t place_;
};

AdmissionGate::AdmissionGate(Executor executor, const Clock& clock, GateOptions options,
                             std::function<void()> changed)
    : executor_(executor),
      clock_(clock),
      options_(std::move(options)),
      changed_(std::move(changed)),
      queue_(with_preemption(options_.queue)),
      timer_(executor) {}

std::shared_ptr<Engine> AdmissionGate::add(const EngineId& name, std::shared_ptr<Engine> engine) {
  remove(name);
  places_.push_back(
      Place{.serial = ++serials_, .name = name, .engine = std::move(engine), .load = {}});
  return std::make_shared<GatedEngine>(shared_from_this(), serials_);
}

void AdmissionGate::update(const EngineId& name, bool ready, const EngineLoad& load) {
  Place* place = find(name);
  if (place == nullptr) return;
  place->ready = ready;
  place->load = load;
  set_capacity();
}

void AdmissionGate::remove(const EngineId& name) {
  std::erase_if(places_, [&](const Place& place) { return place.name == name; });
  set_capacity();
}

void AdmissionGate::close() {
  closed_ = true;
  for (Place& place : places_) place.ready = false;
  set_capacity();
  timer_.cancel();
}

AdmissionGate::Place* AdmissionGate::find(const EngineId& name) {
  const auto found = std::ranges::find(places_, name, &Place::name);
  return found == places_.end() ? nullptr : &*found;
}

AdmissionGate::Place* AdmissionGate::find(std::uint32_t serial) {
  const auto found = std::ranges::find(places_, serial, &Place::serial);
  return found == places_.end() ? nullptr : &*found;
}

bool AdmissionGate::ready(std::uint32_t serial) {
  const Place* place = find(serial);
  return place != nullptr && place->ready;
}

void AdmissionGate::set_capacity() {
  AdmissionCapacity capacity;
  capacity.reserved_share = options_.reserved_share;
  capacity.power_share = options_.power_share;
  ready_ = 0;
  for (const Place& place : places_) {
    if (!place.ready) continue;
    ++ready_;
    capacity.slots += place.load.slots;
    capacity.prefill_tokens_per_s += place.load.prefill_tokens_per_s;
    capacity.decode_ms += place.load.decode_ms;
  }
  if (ready_ > 0) {
    capacity.engines = ready_;
    capacity.decode_ms /= ready_;
    queue_.set_capacity(capacity);
    pump();
    return;
  }
  // Nobody will run what waits: its callers may find another site.
  while (!waiting_.empty()) {
    const auto lost = waiting_.extract(waiting_.begin());
    queue_.cancel(lost.key(), clock_.now());
    lost.mapped()->refuse(not_ready(lost.mapped()->job()->model));
  }
}

AdmissionRequest AdmissionGate::request_of(const Job& job) const {
  const RequestContext& context = job.context;
  AdmissionRequest request;
  request.tenant = context.tenant;
  request.service_class = context.service_class;
  request.network_own =
      std::ranges::find(options_.network_tenants, context.tenant) != options_.network_tenants.end();
  request.prompt_tokens = job.prompt_tokens;
  if (job.delivered != nullptr) request.prompt_tokens += job.delivered->tokens();
  request.begun =
      job.resume_span.size > 0 || (job.delivered != nullptr && job.delivered->tokens() > 0);
  request.cached_tokens = job.cached_tokens;
  request.output_tokens_max = job.output_tokens_max;
  request.choices = job.choices;
  if (job.operation == Operation::Embedding) request.output_tokens_max = 1;
  request.deadline = context.deadline;
  request.elsewhere = from_ms(kWayShare * targets_of(context.service_class).ttft_ms);
  return request;
}

std::unique_ptr<Generation> AdmissionGate::start(std::uint32_t planned, const Job& job,
                                                 EventSink& sink) {
  auto generation = std::make_unique<GatedGeneration>(shared_from_this(), planned, sink);
  if (ready_ == 0) {
    generation->refuse(not_ready(job.model));
    return generation;
  }
  const AdmissionAnswer answer = queue_.offer(request_of(job), clock_.now());
  generation->ticket_ = answer.ticket;
  switch (answer.verdict) {
    case AdmissionAnswer::Verdict::Admitted:
      generation->hold(job);
      run(*generation);
      break;
    case AdmissionAnswer::Verdict::Queued:
      generation->hold(job);
      waiting_.emplace(answer.ticket, generation.get());
      break;
    case AdmissionAnswer::Verdict::Refused:
      generation->hold(job);  // for its model and deadline
      refuse(*generation, answer.refusal);
      break;
  }
  pump();
  return generation;
}

void AdmissionGate::refuse(GatedGeneration& generation, const AdmissionRefusal& refusal) {
  const Job* job = generation.job();
  const std::string model = "'" + job->model.str() + "'";
  Error error{Code::ResourceExhausted, ""};
  Refused why = Refused::Full;
  error.retry_after_ms = std::chrono::ceil<milliseconds>(refusal.retry_after).count();
  switch (refusal.why) {
    case AdmissionRefusal::Why::TooLate:
      why = Refused::TooLate;
      if (generation.ticket_ != 0 && job->context.deadline) {  // it was accepted once
        error.code = Code::DeadlineExceeded;
        error.message = "The deadline can't be kept any more: too much work for " + model +
                        " came before this request; repeat it with more time.";
        break;
      }
      error.message = "Too much work for " + model +
                      " waits before this request for it to be answered in time; back off, then "
                      "repeat it, or give it more time or a lower class.";
      break;
    case AdmissionRefusal::Why::NoCapacity:
      why = Refused::NoCapacity;
      error.code = Code::Unavailable;
      error.message = "This site's power or the network's own work leaves nothing for " + model +
                      " now; repeat the request later.";
      break;
    case AdmissionRefusal::Why::Full:
      error.message = "The queue for " + model + " is full; back off, then repeat.";
  }
  generation.refuse(std::move(error), why);
}

// Where a job runs now: as planned while that engine has a slot free, else where most room is.
AdmissionGate::Place* AdmissionGate::choose(std::uint32_t planned) {
  const auto room = [](const Place& place) {
    return std::int64_t{place.load.slots} - std::int64_t{place.running};
  };
  Place* best = find(planned);
  if (best != nullptr && best->ready && room(*best) > 0) return best;
  if (best != nullptr && !best->ready) best = nullptr;
  for (Place& place : places_) {
    if (place.ready && (best == nullptr || room(place) > room(*best))) best = &place;
  }
  return best;
}

void AdmissionGate::run(GatedGeneration& generation) {
  const Job& job = *generation.job();
  Place* place = choose(generation.place_);
  if (place == nullptr) {  // it went away between two calls
    queue_.finished(generation.ticket_, {.usage = {}, .served = false}, clock_.now());
    generation.refuse(not_ready(job.model));
    return;
  }
  const auto number = static_cast<std::uint32_t>(place - places_.data());
  queue_.placed(generation.ticket_, number, clock_.now());
  generation.place_ = place->serial;
  if (job.stream) {
    generation.prompt_tokens_ = job.prompt_tokens - std::min(job.cached_tokens, job.prompt_tokens);
  }
  if (job.context.service_class == ServiceClass::Batch) {
    running_batch_.emplace(generation.ticket_, &generation);
  }
  generation.choices_ = job.choices;
  place->running += generation.choices_;
  place->prefilling += generation.prompt_tokens_;
  const std::shared_ptr<Engine> engine = place->engine;  // a sink's call may remove the place
  generation.run(engine);
}

void AdmissionGate::first_token(GatedGeneration& generation) {
  queue_.first_token(generation.ticket_, clock_.now());
  if (Place* place = find(generation.place_)) place->prefilling -= generation.prompt_tokens_;
  generation.prompt_tokens_ = 0;
  pump();
}

void AdmissionGate::ended(GatedGeneration& generation, const AdmissionOutcome& outcome) {
  const AdmissionTicket ticket = std::exchange(generation.ticket_, 0);
  running_batch_.erase(ticket);
  if (waiting_.erase(ticket) > 0) {
    queue_.cancel(ticket, clock_.now());
  } else {
    queue_.finished(ticket, outcome, clock_.now());
    left_place(generation);
  }
  pump();
}

void AdmissionGate::left_place(GatedGeneration& generation) {
  Place* place = find(generation.place_);
  if (place == nullptr) return;
  place->running -= generation.choices_;
  place->prefilling -= generation.prompt_tokens_;
  generation.prompt_tokens_ = 0;
}

// Whether a slot was freed for realtime that waits.
bool AdmissionGate::preempt() {
  const AdmissionTicket ticket = queue_.preempt(clock_.now());
  const auto victim = running_batch_.find(ticket);
  if (ticket == 0 || victim == running_batch_.end() || !victim->second->stop()) return false;
  GatedGeneration* generation = victim->second;
  running_batch_.erase(victim);
  left_place(*generation);
  queue_.requeue(ticket, generation->tokens_of_run(), clock_.now());
  waiting_.emplace(ticket, generation);
  return true;
}

// Runs what the queue lets go, refuses what it drops. What it calls may end others and come back
// here: then the loop that is at it sees that.
void AdmissionGate::pump() {
  if (pumping_ || closed_) return;
  pumping_ = true;
  const auto take = [this](AdmissionTicket ticket) {
    auto found = waiting_.extract(ticket);
    return found.empty() ? nullptr : found.mapped();
  };
  for (bool more = true; more;) {
    more = false;
    while (const AdmissionTicket ticket = queue_.next(clock_.now())) {
      GatedGeneration* generation = take(ticket);
      PERIGEE_ASSERT(generation != nullptr);
      run(*generation);
    }
    while (const auto dropped = queue_.dropped()) {
      more = true;
      GatedGeneration* generation = take(dropped->ticket);
      if (generation != nullptr) refuse(*generation, dropped->refusal);
    }
    more = preempt() || more;
  }
  pumping_ = false;
  watch();
  tell();
}

void AdmissionGate::watch() {
  if (watching_ || waiting_.empty()) return;
  watching_ = true;
  timer_.expires_after(kLook);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (error || self == nullptr || self->closed_) return;
    self->watching_ = false;
    self->queue_.expire(self->clock_.now());
    self->pump();
  });
}

void AdmissionGate::tell() {
  const auto now = static_cast<std::uint32_t>(waiting_.size());
  const std::uint32_t change = now > told_ ? now - told_ : told_ - now;
  if (change == 0 || (now != 0 && change < std::max(kTellLeast, told_ / 4))) return;
  told_ = now;
  changed_();
}

AdmissionStats AdmissionGate::stats() const { return queue_.stats(clock_.now()); }

EngineLoad AdmissionGate::load_of(const EngineId& name) const {
  const auto place = std::ranges::find(places_, name, &Place::name);
  if (place == places_.end()) return {};
  EngineLoad load = place->load;
  load.slots_busy = std::max(load.slots_busy, std::min(place->running, load.slots));
  load.queued_tokens = std::max(load.queued_tokens, place->prefilling);
  return load;
}

void AdmissionGate::add_share(EngineLoad& load) const {
  if (ready_ == 0) return;
  load.queued_requests += (waiting() + ready_ - 1) / ready_;
  load.queued_tokens += waiting_tokens() / ready_;
}

}  // namespace perigee
