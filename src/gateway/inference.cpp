#include "gateway/inference.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "api/error_body.h"
#include "api/headers.h"
#include "api/load.h"
#include "api/resume_field.h"
#include "base/hex.h"
#include "base/secret.h"
#include "gateway/attempt_report.h"
#include "gateway/event_stream.h"
#include "gateway/meter.h"

namespace perigee {
namespace {

std::uint64_t hash64(std::string_view text) {
  const Sha256 digest = sha256(text);
  std::uint64_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value == 0 ? 1 : value;  // 0 means none
}

// Another engine may do better: the fault is not the request's.
bool may_retry(Code code) {
  return code == Code::Unavailable || code == Code::ResourceExhausted || code == Code::Protocol ||
         code == Code::DeadlineExceeded || code == Code::Internal;
}

// Some servers report no usage: then what was estimated and counted on the way stands.
bool is_known(const Usage& usage) { return usage.prompt_tokens > 0; }

// Whatever keeps an answer from its client (it left, it reads nothing) is no fault of an engine.
Error client_left() { return Error{Code::Cancelled, "the client left"}; }

// Both lists bind: of the tenant by contract, of the request by its header.
Result<std::vector<JurisdictionId>> both(const std::vector<JurisdictionId>& tenant,
                                         const std::vector<JurisdictionId>& request) {
  if (tenant.empty()) return request;
  if (request.empty()) return tenant;
  std::vector<JurisdictionId> common;
  for (const JurisdictionId& jurisdiction : request) {
    if (std::ranges::find(tenant, jurisdiction) != tenant.end()) common.push_back(jurisdiction);
  }
  if (common.empty()) {
    return Error{Code::DataResidency,
                 "None of the jurisdictions in 'perigee-jurisdictions' is allowed to this tenant.",
                 std::string{api::headers::kJurisdictions}};
  }
  return common;
}

}  // namespace

// All of a request that must survive until its first byte went out: what a retry needs.
struct Inference::Prepared {
  struct Candidate {
    CandidateIndex index = 0;
    std::string_view reason;
  };
  Job job;
  RouteRequest route;
  std::array<Candidate, AttemptList::kMax> candidates;
  std::size_t candidate_count = 0;
  std::optional<Meter> meter;  // until Run::take()
};

// What one serve() keeps until its answer has ended: a stream may be silent for minutes and there
// are thousands, so nothing that is done with stays.
struct Inference::Run {
  // The engine that is at it. Dropping it cancels the job, then reports the attempt.
  struct Attempt {
    Attempt(const Parts& parts, CandidateIndex index, const RouteRequest& route)
        : candidate(index), report(parts.router, parts.clock, index, route) {}
    CandidateIndex candidate;
    AttemptReport report;
    std::unique_ptr<Generation> generation;
  };

  Run(const Parts& parts, const InferenceCall& call)
      : events(parts.executor, call.caller.role == Role::Site),
        ticking(parts.ticker, events),
        began(parts.clock.now()),
        head(std::make_unique<AnswerHead>()),
        operation(call.operation),
        from_site(call.caller.role == Role::Site) {}
  void take(Prepared& prepared);

  EventStream events;
  Ticker::Registration ticking;
  std::optional<Attempt> attempt;
  std::optional<Meter> meter;         // none for a peer: its ingress meters
  Instant deadline = Instant::max();  // the client's own
  std::optional<Duration> first_token;
  Instant began;
  std::unique_ptr<AnswerHead> head;  // until a stream has begun
  ModelId model;
  Usage usage;
  Operation operation;
  bool from_site;
  bool streaming = false;
};

void Inference::Run::take(Prepared& prepared) {
  const Job& job = prepared.job;
  head->request_id = job.context.request_id;
  model = job.model;
  streaming = job.stream;
  deadline = job.context.deadline.value_or(Instant::max());
  if (prepared.meter) meter.emplace(std::move(*prepared.meter));
  prepared.meter.reset();
}

Inference::Inference(Parts parts, InferenceOptions options)
    : parts_(std::move(parts)), options_(std::move(options)), random_(parts_.seed) {}

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
  route.service_class =
      call.hints.service_class.value_or(summary.service_class.value_or(ServiceClass::Standard));
  route.prompt_tokens = summary.prompt_tokens;
  route.output_tokens_max = summary.output_tokens_max.value_or(0);
  route.prefix_blocks = std::move(summary.prefix_blocks);
  route.local_only = call.hints.hop > 0;
  if (call.hints.time_left) route.deadline = parts_.clock.now() + *call.hints.time_left;
  const auto directory = parts_.directory();
  const auto tenant = directory->tenants.find(route.tenant);
  static const std::vector<JurisdictionId> kAny;
  PERIGEE_TRY(allowed,
              both(tenant == directory->tenants.end() ? kAny : tenant->second.jurisdictions,
                   call.hints.jurisdictions));
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

Result<std::unique_ptr<Inference::Prepared>> Inference::prepare(const InferenceCall& call) {
  if (running_ >= options_.requests_max) {
    return Error{Code::ResourceExhausted, "This site is serving as many requests as it may.", "",
                 1000};
  }
  auto prepared = std::make_unique<Prepared>();
  Job& job = prepared->job;
  const bool from_site = call.caller.role == Role::Site;
  RequestContext& context = job.context;
  context.cache_salt =
      from_site ? call.hints.cache_salt : salts_.find(parts_.directory()->grid, call.caller.tenant);
  PERIGEE_TRY(summary,
              api::summarize(call.operation, call.body, context.cache_salt, options_.summary));
  if (summary.resume_span.size > 0 && !from_site) {
    return Error{Code::InvalidArgument, "'perigee_resume' is for sites: leave it out.",
                 std::string{api::kResumeField}};
  }
  PERIGEE_TRY(route, make_route_request(call, summary));
  PERIGEE_TRY(plan, parts_.router.plan(route, parts_.clock.now()));
  for (const PlannedAttempt& attempt : plan.attempts) {
    prepared->candidates.at(prepared->candidate_count++) = {attempt.candidate, attempt.reason};
  }
  job.operation = call.operation;
  job.model = std::move(summary.model);
  job.body = std::make_shared<const std::string>(call.body);
  job.stream = summary.stream;
  job.include_usage = summary.include_usage;
  job.model_span = summary.model_span;
  job.stream_options_span = summary.stream_options_span;
  job.resume_span = summary.resume_span;
  context.request_id = call.hints.request_id.empty() ? new_request_id() : call.hints.request_id;
  context.tenant = route.tenant;
  context.service_class = route.service_class;
  context.deadline = route.deadline;
  context.jurisdictions = route.jurisdictions;
  context.session = call.hints.session.empty() ? summary.session : call.hints.session;
  context.traceparent = call.hints.traceparent;
  context.hop = call.hints.hop;
  context.seed = call.hints.seed ? *call.hints.seed : random_.next();
  context.created =
      call.hints.created > 0 ? call.hints.created : parts_.clock.wall().micros / 1'000'000;
  prepared->route = std::move(route);
  if (!from_site) {  // the ingress meters
    PERIGEE_TRY(meter, open_meter(call, job, summary.prompt_tokens));
    prepared->meter.emplace(std::move(meter));
  }
  return prepared;
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
  record->id = {static_cast<std::uint64_t>(record->started.micros), random_.next()};
  record->prompt_tokens = prompt_tokens;
  return Meter::open(parts_.ledger, parts_.clock, std::move(record));
}

Task<> Inference::serve(std::unique_ptr<InferenceCall> call, Answer& answer) {
  struct Count {
    explicit Count(std::size_t& counter) : n(counter) { ++n; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { --n; }
    std::size_t& n;
  };
  Run run{parts_, *call};
  Result<> served{};
  std::unique_ptr<Prepared> prepared;
  if (auto ready = prepare(*call)) {
    prepared = std::move(*ready);
    run.take(*prepared);
  } else {
    served = std::move(ready).error();
    run.head->request_id =
        call->hints.request_id.empty() ? new_request_id() : call->hints.request_id;
  }
  call.reset();
  answer.release_request();
  const Count count{running_};
  if (served) {
    answer.watch_client([&run] { run.events.client_left(); });
    served = co_await await_first_event(*prepared, answer, run);
    prepared.reset();  // nothing is repeated from here on
    if (served && run.streaming) served = co_await begin_stream(answer, run);
    if (served && run.streaming) served = co_await relay_stream(answer, run);
    if (served && !run.streaming) served = co_await relay_whole(answer, run);
    answer.watch_client(nullptr);
    learn_end(run, served);
  }
  if (!served && served.error().code != Code::Cancelled) {
    served = co_await tell(answer, run, std::move(served).error());
  }
  const int status = served ? 200 : api::http_status(served.error());
  parts_.observer.on_done(run.operation, run.model, status, parts_.clock.now() - run.began,
                          run.first_token, run.usage);
}

// Tries the candidates in turn, until one has something to tell.
Task<Result<>> Inference::await_first_event(Prepared& prepared, Answer& answer, Run& run) {
  if (run.streaming) run.events.beat_every(options_.heartbeat, parts_.clock.now());
  Result<> begun =
      Error{Code::Unavailable, "No engine could be tried; repeat the request.", "", 1000};
  for (std::size_t i = 0; i < prepared.candidate_count; ++i) {
    run.events.restart();
    begun = attempt(prepared, i, run);
    for (bool told = false; begun && !told;) {
      co_await run.events.wait();
      if (run.events.left()) {
        begun = client_left();
      } else if (Error* error = run.events.error()) {
        if (!too_late(run)) run.attempt->report.failed(*error);
        begun = std::move(*error);
      } else if (run.events.take_heartbeat()) {
        begun = co_await beat(answer, run);
      }
      told = run.events.has_bytes() || run.events.finished() != nullptr;
    }
    if (begun) {
      learn_start(prepared, run);
      break;
    }
    run.attempt.reset();
    if (!may_retry(begun.error().code) || too_late(run)) break;
    parts_.observer.on_retry(run.model, begun.error().code);
  }
  co_return begun;
}

// Starts the job at one candidate.
Result<> Inference::attempt(const Prepared& prepared, std::size_t index, Run& run) {
  const Prepared::Candidate candidate = prepared.candidates.at(index);
  Engine* engine = parts_.engines.find(candidate.index);
  if (engine == nullptr) {
    return Error{Code::Unavailable, "The engine has gone; repeat the request.", "", 1000};
  }
  const CandidateState* state = parts_.router.candidate(candidate.index);
  run.head->site = state != nullptr ? state->id.site.str() : std::string{};
  run.head->route = candidate.reason;
  run.attempt.emplace(parts_, candidate.index, prepared.route);
  const Instant now = parts_.clock.now();
  const Duration patience = run.streaming ? options_.first_token_timeout : options_.answer_timeout;
  run.events.expect_by(std::min(now + patience, run.deadline));
  run.attempt->generation = engine->start(prepared.job, run.events);
  return {};
}

// A sign of life while no engine has answered.
Task<Result<>> Inference::beat(Answer& answer, Run& run) {
  if (!answer.started()) {
    AnswerHead early;  // who will serve it is not known yet
    early.request_id = run.head->request_id;
    auto begun = co_await answer.begin_stream(early);
    if (!begun) co_return client_left();
  }
  auto beaten = co_await answer.write(": keep-alive\n\n");
  if (!beaten) co_return client_left();
  co_return Result<>{};
}

// The first event is there.
void Inference::learn_start(const Prepared& prepared, Run& run) {
  run.usage.prompt_tokens = prepared.route.prompt_tokens;  // until the engine says better
  run.events.expect_by(Instant::max());
  run.attempt->report.first_token();
  run.first_token = parts_.clock.now() - run.began;
  if (const auto head = run.events.take_head(); head != nullptr) {
    if (!head->site.empty()) run.head->site = head->site.str();
    if (head->load) learn_load(run.attempt->candidate, *head->load);
    if (run.from_site) run.head->load = head->load;
  }
  if (run.meter) run.meter->serve_at(SiteId{run.head->site});
}

// What the router and the ledger learn from how it ended.
void Inference::learn_end(Run& run, const Result<>& served) {
  if (run.attempt) {
    if (const Finished* finished = run.events.finished(); finished && finished->load) {
      learn_load(run.attempt->candidate, *finished->load);
    }
    if (served) {
      run.attempt->report.served(run.events.finished()->usage);
    } else if (!too_late(run)) {
      run.attempt->report.failed(served.error());
    }
    run.attempt.reset();
  }
  if (!run.meter) return;
  if (served) {
    run.meter->finish(run.usage);
  } else if (served.error().code != Code::Cancelled) {
    run.meter->fail();
  }
}

// The error, as a status or as an event. What the client got is what counts then.
Task<Result<>> Inference::tell(Answer& answer, const Run& run, Error error) {
  const AnswerHead none;
  const AnswerHead& head = run.head != nullptr ? *run.head : none;  // sent already: not needed
  auto told = co_await answer.fail(head, error);
  if (!told) co_return std::move(told).error();
  co_return error;
}

// The client's deadline has come: that says nothing about an engine, and no other can do better.
// The slack is for an upstream whose clock ran out a moment before ours.
bool Inference::too_late(const Run& run) const {
  constexpr Duration kSlack = milliseconds{50};
  return parts_.clock.now() + kSlack >= run.deadline;
}

// News of a candidate's load that came with its answer: fresher than its last digest.
void Inference::learn_load(CandidateIndex candidate, const EngineLoad& load) {
  const CandidateState* known = parts_.router.candidate(candidate);
  if (known == nullptr) return;
  parts_.router.report(candidate, load, parts_.clock.now() - known->rtt / 2);
}

Task<Result<>> Inference::relay_whole(Answer& answer, Run& run) {
  Finished& finished = *run.events.finished();
  if (is_known(finished.usage)) run.usage = finished.usage;
  if (run.from_site) {
    run.head->usage = run.usage;
    if (finished.load) run.head->load = finished.load;
  }
  auto sent = co_await answer.respond(*run.head, finished.body);
  if (!sent) co_return client_left();
  co_return Result<>{};
}

Task<Result<>> Inference::begin_stream(Answer& answer, Run& run) {
  if (!answer.started()) {
    auto begun = co_await answer.begin_stream(*run.head);
    if (!begun) co_return client_left();
  }
  run.head.reset();
  co_return Result<>{};
}

// From the first event to the last.
Task<Result<>> Inference::relay_stream(Answer& answer, Run& run) {
  EventStream& events = run.events;
  for (;;) {
    if (events.has_bytes()) {
      const bool was_paused = events.paused();
      std::uint32_t tokens = 0;
      const std::string bytes = events.take_bytes(tokens);
      auto written = co_await answer.write(bytes);
      if (!written) co_return client_left();
      run.usage.completion_tokens += tokens;
      if (run.meter) run.meter->deliver(tokens);
      if (was_paused) run.attempt->generation->resume();
      continue;
    }
    if (events.left()) co_return client_left();
    if (Error* error = events.error()) co_return std::move(*error);
    if (events.finished() != nullptr) break;
    co_await events.wait();
    if (events.take_heartbeat() && !events.has_bytes()) {
      auto beaten = co_await answer.write(": keep-alive\n\n");
      if (!beaten) co_return client_left();
    }
  }
  const Finished& finished = *events.finished();
  if (is_known(finished.usage)) run.usage = finished.usage;
  std::string last;
  if (run.from_site) {
    last = "perigee: usage=" + api::format_usage(run.usage);
    if (finished.load) last += " load=" + api::format_load(*finished.load);
    last += "\n";
  }
  last += "data: [DONE]\n\n";
  auto ended = co_await answer.finish(last);
  if (!ended) co_return client_left();
  co_return Result<>{};
}

}  // namespace perigee
