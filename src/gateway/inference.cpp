#include "gateway/inference.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "api/error_body.h"
#include "api/headers.h"
#include "api/resume_field.h"
#include "api/stream_field.h"
#include "base/hex.h"
#include "base/secret.h"
#include "gateway/attempts.h"
#include "gateway/key_scope.h"
#include "gateway/meter.h"

namespace perigee {
namespace {

std::uint64_t hash64(std::string_view text) {
  const Sha256 digest = sha256(text);
  std::uint64_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value == 0 ? 1 : value;  // 0 means none
}

// Some servers report no usage: then what was estimated and counted on the way stands.
bool is_known(const Usage& usage) { return usage.prompt_tokens > 0; }

// Tokens of all answers, at most.
std::uint32_t output_demand(const api::RequestSummary& summary) {
  const std::uint64_t each = summary.output_tokens_max.value_or(RateGate::kOutputTokensUnsaid);
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(each * summary.choices, kMost));
}

// Whatever keeps an answer from its client (it left, it reads nothing) is no fault of an engine.
Error client_left() { return Error{Code::Cancelled, "the client left"}; }

}  // namespace

// What one serve() keeps until its answer has ended: a stream may be silent for minutes and there
// are thousands, so nothing that is done with stays.
struct Inference::Run {
  Run(Inference& inference, const InferenceCall& call)
      : events(inference.parts_.executor, inference.parts_.ticker),
        began(inference.parts_.clock.now()),
        head(std::make_unique<AnswerHead>()),
        runs(inference.runs_),
        place(inference.runs_.size()),
        operation(call.operation),
        from_site(call.caller.role == Role::Site) {
    head->for_site = from_site;
    runs.push_back(this);
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    if (rates != nullptr && first_token) {
      rates->settle(usage.prompt_tokens, usage.completion_tokens);
    }
    runs.back()->place = place;
    runs[place] = runs.back();
    runs.pop_back();
  }

  void fail(Error error) { served = std::move(error); }
  void leave() { fail(client_left()); }

  RequestEvents events;
  Result<> served;  // what came of it so far
  std::unique_ptr<Attempts> attempts;
  std::optional<Meter> meter;         // none for a peer: its ingress meters
  std::unique_ptr<RateTicket> rates;  // of a key with limits per minute
  Instant next_beat = Instant::max();
  std::optional<Duration> first_token;
  Instant began;
  std::unique_ptr<AnswerHead> head;  // until a stream has begun
  std::vector<Run*>& runs;
  std::size_t place;  // in `runs`
  ModelId model;
  Usage usage;
  Operation operation;
  bool from_site;
  bool streaming = false;
};

Inference::Inference(Parts parts, InferenceOptions options)
    : parts_(std::move(parts)),
      options_(std::move(options)),
      random_(parts_.seed),
      attempt_parts_{parts_.clock, parts_.router, parts_.engines, parts_.observer} {
  for (std::size_t i = 0; i < failover_.size(); ++i) {
    FailoverOptions& each = failover_.at(i);
    const bool streams = (i & kStreams) != 0;
    each.first_token_max = streams ? options_.first_token_timeout : options_.answer_timeout;
    if ((i & kForwarded) == 0) continue;
    // Whoever forwarded it knows more engines: it waits, hedges and overtakes.
    each.begin_within = Duration{};
    each.resume_within = Duration{};
    each.hedge = false;
    each.overtake = false;
  }
}

Inference::~Inference() = default;

std::string Inference::new_request_id() {
  constexpr std::string_view kPrefix = "req_";
  std::string id(kPrefix.size() + 2 * kHexDigits64, '0');
  kPrefix.copy(id.data(), kPrefix.size());
  write_hex(random_.next(), id.data() + kPrefix.size());
  write_hex(random_.next(), id.data() + kPrefix.size() + kHexDigits64);
  return id;
}

Result<RouteRequest> Inference::make_route_request(const InferenceCall& call,
                                                   api::RequestSummary& summary) const {
  RouteRequest route;
  route.model = summary.model;
  route.tenant = call.hints.hop > 0 ? call.hints.tenant : call.caller.tenant;
  static const KeyScope kUnbound;
  const KeyScope& scope = call.caller.bounds ? call.caller.bounds->scope : kUnbound;
  PERIGEE_CHECK(check_model(scope, summary.model));
  PERIGEE_TRY(service_class,
              allowed_class(scope, call.hints.service_class ? call.hints.service_class
                                                            : summary.service_class));
  route.service_class = service_class;
  route.prompt_tokens = summary.prompt_tokens;
  route.needs = summary.needs;
  route.output_tokens_max = summary.output_tokens_max.value_or(0);
  route.choices = summary.choices;
  route.prefix_blocks = std::move(summary.prefix_blocks);
  route.local_only = call.hints.hop > 0;
  if (call.hints.time_left) route.deadline = parts_.clock.now() + *call.hints.time_left;
  const auto directory = parts_.directory();
  const auto tenant = directory->tenants.find(route.tenant);
  static const std::vector<JurisdictionId> kAny;
  if (call.hints.hop > 0 && tenant == directory->tenants.end()) {
    // Its law is not known here yet. The site that forwarded it knows others.
    return Error{Code::Unavailable, "This site does not know the tenant yet.", "", 1000};
  }
  PERIGEE_TRY(by_tenant,
              both_allow(tenant == directory->tenants.end() ? kAny : tenant->second.jurisdictions,
                         "tenant", call.hints.jurisdictions));
  PERIGEE_TRY(allowed, both_allow(scope.jurisdictions, "key", std::move(by_tenant)));
  route.jurisdictions = std::move(allowed);
  const std::string& session = call.hints.session.empty() ? summary.session : call.hints.session;
  if (!session.empty()) route.session = hash64(route.tenant.str() + "\n" + session);
  return route;
}

Result<RouteRequest> Inference::route_request(const InferenceCall& call) const {
  const std::string salt = cache_salt(parts_.directory()->grid, call.caller.tenant);
  PERIGEE_TRY(summary, api::summarize(call.operation, call.body, salt, options_.summary));
  return make_route_request(call, summary);
}

const FailoverOptions& Inference::failover(const Run& run) const {
  return failover_.at((run.streaming ? kStreams : 0) | (run.from_site ? kForwarded : 0));
}

// What a peer says that the client has already.
Result<Delivered> Inference::delivered_before(const InferenceCall& call, BodySpan span) {
  if (span.size == 0) return Delivered{};
  if (call.caller.role != Role::Site) {
    return Error{Code::InvalidArgument, "'perigee_resume' is for sites: leave it out.",
                 std::string{api::kResumeField}};
  }
  return api::parse_resume(call.body.substr(span.offset, span.size));
}

RequestContext Inference::make_context(const InferenceCall& call, const RouteRequest& route,
                                       std::string session) {
  RequestContext context;
  context.request_id = call.hints.request_id.empty() ? new_request_id() : call.hints.request_id;
  context.tenant = route.tenant;
  context.service_class = route.service_class;
  context.deadline = route.deadline;
  context.jurisdictions = route.jurisdictions;
  context.session = std::move(session);
  context.traceparent = call.hints.traceparent;
  context.hop = call.hints.hop;
  context.seed = call.hints.seed ? *call.hints.seed : random_.next();
  context.created =
      call.hints.created > 0 ? call.hints.created : parts_.clock.wall().micros / 1'000'000;
  return context;
}

// The request is read once more here, for keys with a limit of tokens only: it must wait for its
// tokens before anything of it is decided. Who asks may not be let in any more after that.
Task<> Inference::keep_rates(const InferenceCall& call, Run& run) {
  RateDemand demand;
  if (call.caller.bounds->scope.tokens_per_minute > 0) {
    auto summary = api::summarize(call.operation, call.body, {}, options_.summary);
    if (!summary) {
      run.served = std::move(summary).error();
      co_return;
    }
    demand.prompt_tokens = summary->prompt_tokens;
    if (call.operation != Operation::Embedding) demand.output_tokens = output_demand(*summary);
  }
  RateState state;
  auto ticket = co_await parts_.rates->admit(call.caller.bounds, demand, state);
  run.head->rates = std::make_shared<const RateState>(state);
  if (ticket) {
    run.rates = std::make_unique<RateTicket>(std::move(*ticket));
    run.served = still_stands(*parts_.directory(), call.caller.tenant, call.caller.key_id);
  } else {
    run.served = std::move(ticket).error();
  }
}

Result<> Inference::prepare(const InferenceCall& call, Run& run) {
  if (runs_.size() > options_.requests_max) {
    return Error{Code::ResourceExhausted, "This site is serving as many requests as it may.", "",
                 1000};
  }
  Job job;
  std::string salt = run.from_site ? call.hints.cache_salt
                                   : salts_.find(parts_.directory()->grid, call.caller.tenant);
  PERIGEE_TRY(summary, api::summarize(call.operation, call.body, salt, options_.summary));
  PERIGEE_TRY(before, delivered_before(call, summary.resume_span));
  PERIGEE_TRY(route, make_route_request(call, summary));
  auto plan = parts_.router.plan(route, parts_.clock.now());
  if (!plan && plan.error().code != Code::Unavailable) return std::move(plan).error();
  job.operation = call.operation;
  job.model = std::move(summary.model);
  job.body = std::make_shared<const std::string>(call.body);
  job.stream = summary.stream;
  job.include_usage = summary.include_usage;
  job.model_span = summary.model_span;
  job.stream_options_span = summary.stream_options_span;
  job.resume_span = summary.resume_span;
  job.prompt_tokens = route.prompt_tokens;
  job.cached_tokens = plan ? plan->attempts.front().prediction.cached_tokens : 0;
  job.output_tokens_max = route.output_tokens_max;
  job.choices = route.choices;
  job.context = make_context(
      call, route, call.hints.session.empty() ? std::move(summary.session) : call.hints.session);
  job.context.cache_salt = std::move(salt);
  if (!run.from_site) {  // the ingress meters
    PERIGEE_TRY(meter, open_meter(call, job, summary.prompt_tokens));
    run.meter.emplace(std::move(meter));
  }
  run.head->request_id = job.context.request_id;
  if (summary.resume_span.size > 0) run.head->resumed = before.tokens();
  run.model = job.model;
  run.streaming = job.stream;
  run.usage.prompt_tokens = route.prompt_tokens;  // until the engine says better
  run.usage.completion_tokens = before.tokens();
  run.attempts = std::make_unique<Attempts>(attempt_parts_, run.events, failover(run),
                                            std::move(job), std::move(route), std::move(plan),
                                            std::move(before), run.from_site);
  return {};
}

Result<Meter> Inference::open_meter(const InferenceCall& call, const Job& job,
                                    std::uint32_t prompt_tokens) {
  auto record = std::make_unique<UsageRecord>();
  record->tenant = job.context.tenant;
  record->key_id = call.caller.key_id;
  record->model = job.model;
  record->ingress_site = options_.site;
  record->operation = call.operation;
  record->service_class = job.context.service_class;
  record->started = parts_.clock.wall();
  const auto started = static_cast<std::uint64_t>(record->started.micros);
  record->id = call.record_id.value_or(RecordId{started, random_.next()});
  record->prompt_tokens = prompt_tokens;
  return Meter::open(parts_.ledger, parts_.clock, std::move(record));
}

// Coroutines keep room for every temporary of theirs, so what need not wait is done in plain
// functions: this frame lasts as long as its stream.
Task<> Inference::serve(std::unique_ptr<InferenceCall> call, Answer& answer) {
  Run run{*this, *call};
  if (keeps_rates(call->caller)) co_await keep_rates(*call, run);
  begin(*call, run);
  call.reset();
  answer.release_request();
  if (run.served) {
    answer.watch_client([&run] { run.events.client_left(); });
    co_await relay(answer, run);
    answer.watch_client(nullptr);
    settle(run);
  }
  if (!run.served && run.served.error().code != Code::Cancelled) co_await tell(answer, run);
  observe(run);
}

bool Inference::keeps_rates(const Caller& caller) const {
  return parts_.rates != nullptr && caller.bounds != nullptr && caller.bounds->scope.limits_rate();
}

Task<Result<>> Inference::count_replay(const Caller& caller, AnswerHead& head) {
  if (!keeps_rates(caller)) co_return Result<>{};
  RateState state;
  auto ticket = co_await parts_.rates->admit(caller.bounds, RateDemand{}, state);
  if (ticket) co_return still_stands(*parts_.directory(), caller.tenant, caller.key_id);
  head.rates = std::make_shared<const RateState>(state);
  co_return std::move(ticket).error();
}

// A limit of the key's that is reached is no want of room.
PERIGEE_OUT_OF_FRAME void Inference::begin(const InferenceCall& call, Run& run) {
  if (run.served) {
    run.served = prepare(call, run);
    const bool full = !run.served && run.served.error().code == Code::ResourceExhausted;
    if (full) run.head->refused = Refused::Full;
  }
  if (!run.served) {
    run.head->request_id = call.hints.request_id.empty() ? new_request_id() : call.hints.request_id;
  }
}

Task<> Inference::relay(Answer& answer, Run& run) {
  if (!run.streaming) return relay_whole(answer, run);
  run.next_beat = run.began + options_.heartbeat;
  return relay_stream(answer, run);
}

PERIGEE_OUT_OF_FRAME void Inference::observe(const Run& run) {
  const int status = run.served ? 200 : api::http_status(run.served.error());
  parts_.observer.on_done(run.operation, run.model, status, parts_.clock.now() - run.began,
                          run.first_token, run.usage);
}

template <class Act>
void Inference::each_running(Act act) {
  for (Run* run : runs_) {
    if (run->attempts != nullptr) std::invoke(act, *run->attempts);
  }
}

void Inference::look_again() { each_running(&Attempts::look_again); }
void Inference::look_for_unreachable() { each_running(&Attempts::look_for_unreachable); }
void Inference::leave_local_engines() { each_running(&Attempts::leave_local); }

void Inference::follow(const DirectorySnapshot& directory) {
  const std::function<bool(const SiteId&)> former = [&](const SiteId& id) {
    const auto site = directory.sites.find(id);
    return id != options_.site && (site == directory.sites.end() || !site->second.joined);
  };
  for (Run* run : runs_) {
    if (run->attempts == nullptr) continue;
    run->attempts->leave_sites(former);
    if (!run->meter) continue;
    auto stands = still_stands(directory, run->meter->tenant(), run->meter->key_id());
    if (!stands) run->attempts->end(std::move(stands).error());
  }
}

std::optional<EngineLoad> Inference::load_for_peer(const Run& run,
                                                   const std::optional<EngineLoad>& told) const {
  const auto load = parts_.load ? parts_.load(run.model) : std::nullopt;
  return load ? load : told;
}

// Somebody serves it, or somebody else from now on.
PERIGEE_OUT_OF_FRAME void Inference::learn_server(Answer& answer, Run& run) {
  const std::unique_ptr<const Attempts::Server> server = run.attempts->take_server();
  if (server == nullptr) return;
  if (!run.first_token) run.first_token = parts_.clock.now() - run.began;
  const SiteId site{server->site};
  answer.served_at(site);
  if (run.meter) run.meter->serve_at(site);
  if (run.head == nullptr) return;
  run.head->site = server->site;
  run.head->route = server->reason;
  if (run.from_site) run.head->load = load_for_peer(run, server->load);
}

PERIGEE_OUT_OF_FRAME void Inference::settle(Run& run) {
  if (!run.served && run.head != nullptr) {
    run.head->refused = run.attempts->refused();
    if (run.from_site) run.head->load = load_for_peer(run, std::nullopt);
  }
  run.attempts.reset();
  if (!run.meter) return;
  if (run.served) {
    run.meter->finish(run.usage);
  } else if (run.served.error().code != Code::Cancelled) {
    run.meter->fail();
  }
}

// The error, as a status or as an event. What the client got is what counts then.
Task<> Inference::tell(Answer& answer, Run& run) {
  const AnswerHead none;
  const AnswerHead& head = run.head != nullptr ? *run.head : none;  // sent already: not needed
  auto told = co_await answer.fail(head, run.served.error());
  if (!told) run.served = std::move(told);
}

Task<> Inference::relay_whole(Answer& answer, Run& run) {
  Attempts& attempts = *run.attempts;
  Attempts::State state = attempts.advance();
  for (; state == Attempts::State::Waiting; state = attempts.advance()) {
    run.events.wake_at(attempts.wake_at());
    co_await run.events.wait();
    if (run.events.left()) co_return run.leave();
  }
  if (state == Attempts::State::Failed) co_return run.fail(std::move(attempts.error()));
  learn_server(answer, run);
  Finished finished = std::move(attempts.finished());  // they may be ended while it is sent
  run.head->receipt = std::move(finished.receipt);
  if (is_known(finished.usage)) run.usage = finished.usage;
  if (run.from_site) {
    run.head->usage = run.usage;
    run.head->load = load_for_peer(run, finished.load);
  }
  auto sent = co_await answer.respond(*run.head, finished.body);
  if (!sent) co_return run.leave();
}

// From the first event to the last, whoever yields them.
Task<> Inference::relay_stream(Answer& answer, Run& run) {
  Attempts& attempts = *run.attempts;
  for (;;) {
    const Attempts::State state = attempts.advance();
    if (state == Attempts::State::Failed) co_return run.fail(std::move(attempts.error()));
    if (state == Attempts::State::Finished) break;
    if (state == Attempts::State::Bytes) {
      const bool handed = co_await hand_on(answer, run);
      if (!handed) co_return run.leave();
    } else {
      run.events.wake_at(std::min(attempts.wake_at(), run.next_beat));
      co_await run.events.wait();
    }
    if (run.events.left()) co_return run.leave();
    if (parts_.clock.now() >= run.next_beat && state == Attempts::State::Waiting) {
      const bool beaten = co_await beat(answer, run);
      if (!beaten) co_return run.leave();
    }
  }
  const bool ended = co_await end_stream(answer, run);
  if (!ended) co_return run.leave();
}

// What has come goes to the client in one piece.
Task<bool> Inference::hand_on(Answer& answer, Run& run) {
  learn_server(answer, run);
  if (!answer.started()) {
    auto begun = co_await answer.begin_stream(*run.head);
    if (!begun) co_return false;
  }
  run.head.reset();
  std::uint32_t tokens = 0;
  const std::string bytes = run.attempts->take(tokens);
  if (bytes.empty()) co_return true;
  auto written = co_await answer.write(bytes);
  if (!written) co_return false;
  run.usage.completion_tokens += tokens;
  if (run.meter) run.meter->deliver(tokens);
  run.attempts->written();
  co_return true;
}

// A sign of life while no engine has anything to say.
Task<bool> Inference::beat(Answer& answer, Run& run) {
  run.next_beat = parts_.clock.now() + options_.heartbeat;
  if (!answer.started()) {
    AnswerHead early;  // who will serve it is not known yet
    early.request_id = run.head->request_id;
    early.resumed = run.head->resumed;
    early.for_site = run.from_site;
    auto begun = co_await answer.begin_stream(early);
    if (!begun) co_return false;
  }
  auto beaten = co_await answer.write(": keep-alive\n\n");
  if (!beaten) co_return false;
  co_return true;
}

Task<bool> Inference::end_stream(Answer& answer, Run& run) {
  learn_server(answer, run);
  const Finished finished = std::move(run.attempts->finished());
  if (!answer.started()) {
    auto begun = co_await answer.begin_stream(*run.head);
    if (!begun) co_return false;
  }
  if (is_known(finished.usage)) run.usage = finished.usage;
  std::string last;
  constexpr std::string_view kDone = "[DONE]";
  if (run.from_site) {
    const std::optional<EngineLoad> load = load_for_peer(run, finished.load);
    api::append_summed_end_line(last, run.usage, load ? &*load : nullptr, finished.receipt, kDone);
  } else {
    api::append_receipt_comment(last, finished.receipt);
  }
  last.append("data: ").append(kDone).append("\n\n");
  auto ended = co_await answer.finish(last);
  if (!ended) co_return false;
  co_return true;
}

}  // namespace perigee
