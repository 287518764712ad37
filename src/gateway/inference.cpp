#include "gateway/inference.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "api/error_body.h"
#include "api/headers.h"
#include "api/load.h"
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
  std::optional<Meter> meter;  // until run() takes it over
};

// What one serve() keeps over its attempts.
struct Inference::Run {
  Run(Executor executor, bool for_site) : events(executor, for_site), from_site(for_site) {}
  EventStream events;
  std::optional<Meter> meter;  // none for a peer: its ingress meters
  bool from_site;
  bool streaming = false;
  std::optional<Instant> deadline;  // the client's own
  AnswerHead head;
  std::optional<Duration> first_token;
  Instant began;
  Usage usage;
  bool delivered = false;  // a byte of the answer itself, not a heartbeat
};

Inference::Inference(Parts parts, InferenceOptions options)
    : parts_(std::move(parts)), options_(std::move(options)), random_(parts_.seed) {}

Inference::~Inference() = default;

// In the order of time, so that the ledger grows at its end: microseconds, then chance.
std::string Inference::new_record_id() {
  std::string id(2 * kHexDigits64, '0');
  write_hex(static_cast<std::uint64_t>(parts_.clock.wall().micros), id.data());
  write_hex(random_.next(), id.data() + kHexDigits64);
  return id;
}

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
  context.cache_salt = from_site ? call.hints.cache_salt
                                 : salts_.find(parts_.directory()->grid, call.caller.tenant);
  PERIGEE_TRY(summary,
              api::summarize(call.operation, call.body, context.cache_salt, options_.summary));
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
  context.request_id = call.hints.request_id.empty() ? new_request_id() : call.hints.request_id;
  context.tenant = route.tenant;
  context.service_class = route.service_class;
  context.deadline = route.deadline;
  context.jurisdictions = route.jurisdictions;
  context.session = call.hints.session.empty() ? summary.session : call.hints.session;
  context.traceparent = call.hints.traceparent;
  context.hop = call.hints.hop;
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
  record->id = new_record_id();
  record->tenant = job.context.tenant;
  record->key_id = call.caller.key_id;
  record->model = job.model;
  record->ingress_site = options_.site;
  record->operation = call.operation;
  record->service_class = job.context.service_class;
  record->started = parts_.clock.wall();
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
  const Operation operation = call->operation;
  Run run{parts_.executor, call->caller.role == Role::Site};
  run.began = parts_.clock.now();
  run.head.request_id = call->hints.request_id;
  auto prepared = prepare(*call);
  call.reset();
  answer.release_request();
  const Count count{running_};
  ModelId model;
  Result<> served{};
  if (prepared) {
    model = (*prepared)->job.model;
    run.head.request_id = (*prepared)->job.context.request_id;
    answer.watch_client([&run] { run.events.client_left(); });
    served = co_await run_attempts(std::move(*prepared), answer, run);
    answer.watch_client(nullptr);
  } else {
    if (run.head.request_id.empty()) run.head.request_id = new_request_id();
    served = std::move(prepared).error();
  }
  if (!served && served.error().code != Code::Cancelled) {
    const Error error = served.error();
    auto told = co_await answer.fail(run.head, error);
    if (!told) served = std::move(told).error();
  }
  const int status = served ? 200 : api::http_status(served.error());
  parts_.observer.on_done(operation, model, status, parts_.clock.now() - run.began, run.first_token,
                          run.usage);
}

Task<Result<>> Inference::run_attempts(std::unique_ptr<Prepared> prepared, Answer& answer,
                                       Run& run) {
  const Ticker::Registration ticking{parts_.ticker, run.events};
  run.streaming = prepared->job.stream;
  run.deadline = prepared->job.context.deadline;
  if (prepared->meter) run.meter.emplace(std::move(*prepared->meter));
  prepared->meter.reset();
  if (run.streaming) run.events.beat_every(options_.heartbeat, parts_.clock.now());
  Result<> served =
      Error{Code::Unavailable, "No engine could be tried; repeat the request.", "", 1000};
  for (std::size_t i = 0; prepared != nullptr && i < prepared->candidate_count; ++i) {
    run.events.restart();
    served = co_await attempt(prepared, i, answer, run);
    if (served || prepared == nullptr || !may_retry(served.error().code) || too_late(run)) break;
    parts_.observer.on_retry(prepared->job.model, served.error().code);
  }
  if (!served && run.meter && served.error().code != Code::Cancelled) run.meter->fail();
  co_return served;
}

// Takes `prepared` away once bytes of the answer are at hand: nothing is repeated after them.
Task<Result<>> Inference::attempt(std::unique_ptr<Prepared>& prepared, std::size_t index,
                                  Answer& answer, Run& run) {
  const Prepared::Candidate candidate = prepared->candidates.at(index);
  Engine* engine = parts_.engines.find(candidate.index);
  if (engine == nullptr) {
    co_return Error{Code::Unavailable, "The engine has gone; repeat the request.", "", 1000};
  }
  const CandidateState* state = parts_.router.candidate(candidate.index);
  run.head.site = state != nullptr ? state->id.site.str() : std::string{};
  run.head.route = candidate.reason;
  AttemptReport report{parts_.router, parts_.clock, candidate.index, prepared->route};
  const Instant now = parts_.clock.now();
  const Duration patience = run.streaming ? options_.first_token_timeout : options_.answer_timeout;
  const Instant latest = prepared->job.context.deadline.value_or(Instant::max());
  run.events.expect_by(std::min(now + patience, latest));
  const std::unique_ptr<Generation> generation = engine->start(prepared->job, run.events);
  for (;;) {
    co_await run.events.wait();
    if (run.events.left()) co_return Error{Code::Cancelled, "the client left"};
    if (run.events.error()) {
      if (!too_late(run)) report.failed(*run.events.error());
      co_return std::move(*run.events.error());
    }
    if (run.events.take_heartbeat() && !run.delivered) {
      if (!answer.started()) {
        AnswerHead early;  // who will serve it is not known yet
        early.request_id = run.head.request_id;
        auto begun = co_await answer.begin_stream(early);
        if (!begun) co_return client_left();
      }
      auto beaten = co_await answer.write(": keep-alive\n\n");
      if (!beaten) co_return client_left();
    }
    if (run.events.has_bytes() || run.events.finished()) break;
  }
  run.events.expect_by(std::nullopt);
  report.first_token();
  run.first_token = parts_.clock.now() - run.began;
  if (const auto& head = run.events.head(); head && !head->site.empty()) {
    run.head.site = head->site.str();
  }
  if (const auto& head = run.events.head(); head && head->load) {
    learn_load(candidate.index, *head->load);
  }
  if (run.meter) run.meter->serve_at(SiteId{run.head.site});
  if (run.from_site && run.events.head()) run.head.load = run.events.head()->load;
  prepared.reset();
  auto relayed = co_await stream(*generation, answer, run);
  if (const auto& finished = run.events.finished(); finished && finished->load) {
    learn_load(candidate.index, *finished->load);
  }
  if (relayed)
    report.served(run.usage);
  else if (!too_late(run))
    report.failed(relayed.error());
  co_return relayed;
}

// The client's deadline has come: that says nothing about an engine, and no other can do better.
// The slack is for an upstream whose clock ran out a moment before ours.
bool Inference::too_late(const Run& run) const {
  constexpr Duration kSlack = milliseconds{50};
  return run.deadline && parts_.clock.now() + kSlack >= *run.deadline;
}

// News of a candidate's load that came with its answer: fresher than its last digest.
void Inference::learn_load(CandidateIndex candidate, const EngineLoad& load) {
  const CandidateState* known = parts_.router.candidate(candidate);
  if (known == nullptr) return;
  CandidateState state = *known;
  const Instant now = parts_.clock.now();
  state.load = load;
  state.reported = now - state.rtt / 2;
  static_cast<void>(parts_.router.update(state, now));  // known: there is room for it
}

// From the first event to the last.
Task<Result<>> Inference::stream(Generation& generation, Answer& answer, Run& run) {
  EventStream& events = run.events;
  if (!run.streaming) {
    Finished& finished = *events.finished();
    run.usage = finished.usage;
    if (run.from_site) {
      run.head.usage = finished.usage;
      if (finished.load) run.head.load = finished.load;
    }
    auto sent = co_await answer.respond(run.head, finished.body);
    if (!sent) co_return client_left();
    if (run.meter) run.meter->finish(run.usage);
    co_return Result<>{};
  }
  if (!answer.started()) {
    auto begun = co_await answer.begin_stream(run.head);
    if (!begun) co_return client_left();
  }
  for (;;) {
    if (events.has_bytes()) {
      const bool was_paused = events.paused();
      std::uint32_t tokens = 0;
      const std::string bytes = events.take_bytes(tokens);
      run.delivered = true;
      auto written = co_await answer.write(bytes);
      if (!written) co_return client_left();
      if (run.meter) run.meter->deliver(tokens);
      if (was_paused) generation.resume();
      continue;
    }
    if (events.left()) co_return Error{Code::Cancelled, "the client left"};
    if (events.error()) co_return std::move(*events.error());
    if (events.finished()) break;
    co_await events.wait();
    if (events.take_heartbeat() && !events.has_bytes()) {
      auto beaten = co_await answer.write(": keep-alive\n\n");
      if (!beaten) co_return client_left();
    }
  }
  run.usage = events.finished()->usage;
  std::string last;
  if (run.from_site) {
    last = "perigee: usage=" + api::format_usage(run.usage);
    if (events.finished()->load) last += " load=" + api::format_load(*events.finished()->load);
    last += "\n";
  }
  last += "data: [DONE]\n\n";
  auto ended = co_await answer.finish(last);
  if (!ended) co_return client_left();
  if (run.meter) run.meter->finish(run.usage);
  co_return Result<>{};
}

}  // namespace perigee
