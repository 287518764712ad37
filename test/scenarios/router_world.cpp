#include "router_world.h"

#include <fmt/format.h>

#include <sstream>
#include <stdexcept>

namespace perigee::scenarios {
namespace {

constexpr std::uint64_t kFnvOffset = 0xcbf2'9ce4'8422'2325;
constexpr std::uint64_t kFnvPrime = 0x100'0000'01b3;

std::uint64_t chain(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * kFnvPrime;
  return (hash ^ (hash >> 29)) * 0xbf58'476d'1ce4'e5b9;
}

// "acme/system:10/chat-1:4": 10 blocks of one text, then 4 of another, salted by the first word.
std::vector<std::uint64_t> blocks_of(const std::string& text) {
  std::istringstream parts{text};
  std::string part;
  std::getline(parts, part, '/');
  std::uint64_t hash = chain(kFnvOffset, part);
  std::vector<std::uint64_t> blocks;
  while (std::getline(parts, part, '/')) {
    const std::size_t colon = part.find(':');
    if (colon == std::string::npos) throw std::runtime_error("prefix: want SALT/TEXT:BLOCKS");
    for (int i = std::stoi(part.substr(colon + 1)); i > 0; --i) {
      hash = chain(hash, part.substr(0, colon));
      blocks.push_back(hash);
    }
  }
  return blocks;
}

std::vector<JurisdictionId> laws_of(const std::string& text) {
  std::vector<JurisdictionId> laws;
  std::istringstream parts{text};
  for (std::string part; std::getline(parts, part, ',');) laws.emplace_back(part);
  return laws;
}

// "vision,tools"
Capabilities capabilities_of(const std::string& text) {
  Capabilities found = 0;
  std::istringstream parts{text};
  for (std::string part; std::getline(parts, part, ',');) {
    if (part == "vision") {
      found |= kVision;
    } else if (part == "guided") {
      found |= kGuidedOutput;
    } else if (part == "embeddings") {
      found |= kEmbeddings;
    } else if (part == "tools") {
      found |= kTools;
    } else {
      throw std::runtime_error("unknown capability " + part);
    }
  }
  return found;
}

Attestation attestation_of(const std::string& text) {
  for (const auto level : {Attestation::None, Attestation::Measured, Attestation::Confidential}) {
    if (to_string(level) == text) return level;
  }
  throw std::runtime_error("unknown attestation " + text);
}

// Prices are given in whole units per million tokens.
std::int64_t micros_of(double units) { return static_cast<std::int64_t>(units * 1e6); }

void read_wishes(Arguments& arguments, RouteRequest& request) {
  if (const auto needs = arguments.text("needs")) request.needs = capabilities_of(*needs);
  if (const auto level = arguments.text("attestation")) {
    request.attestation = attestation_of(*level);
  }
  if (const auto ceiling = arguments.number("price_ceiling")) {
    request.price_ceiling = micros_of(*ceiling);
  }
  request.price_sensitivity_ms = arguments.number("sensitivity").value_or(0);
  request.bytes = arguments.count("bytes", 0);
}

void read_attributes(Arguments& arguments, CandidateState& state) {
  if (const auto has = arguments.text("can")) state.capabilities = capabilities_of(*has);
  if (const auto level = arguments.text("attestation")) state.attestation = attestation_of(*level);
  state.context_tokens = arguments.count("context", state.context_tokens);
  if (const auto price = arguments.number("price")) {
    state.price_micros_per_mtok = micros_of(*price);
  }
  state.backbone_ms_per_mib = arguments.number("backbone").value_or(state.backbone_ms_per_mib);
  state.reserved_share = arguments.number("reserved").value_or(state.reserved_share);
  state.power_share = arguments.number("power").value_or(state.power_share);
  if (const auto held = arguments.text("held")) {
    const std::vector<std::uint64_t> blocks = blocks_of(*held);
    PrefixFilter filter{static_cast<std::uint32_t>(blocks.size())};
    for (const std::uint64_t block : blocks) filter.insert(block);
    state.held = std::make_shared<const PrefixFilter>(std::move(filter));
  }
}

RouteRequest request_of(Arguments& arguments, Instant now) {
  RouteRequest request;
  request.model = ModelId{arguments.text("model").value_or("demo")};
  request.tenant = TenantId{arguments.text("tenant").value_or("acme")};
  if (const auto name = arguments.text("class")) {
    const auto parsed = parse_service_class(*name);
    if (!parsed) throw std::runtime_error("unknown class " + *name);
    request.service_class = *parsed;
  }
  request.prompt_tokens = arguments.count("prompt", 1000);
  request.output_tokens = arguments.count("output", 100);
  request.output_tokens_max = arguments.count("output_max", 0);
  if (const auto prefix = arguments.text("prefix")) request.prefix_blocks = blocks_of(*prefix);
  if (const auto law = arguments.text("law")) request.jurisdictions = laws_of(*law);
  if (const auto deadline = arguments.number("deadline")) {
    request.deadline = now + from_ms(*deadline);
  }
  if (const auto session = arguments.text("session")) {
    request.session = chain(kFnvOffset, *session);
  }
  request.local_only = arguments.has_word("local_only");
  read_wishes(arguments, request);
  return request;
}

std::string show(const Error& error) {
  std::string text = fmt::format("{}: {}\n", to_string(error.code), error.message);
  if (error.retry_after_ms > 0) text += fmt::format("retry after {} ms\n", error.retry_after_ms);
  return text;
}

}  // namespace

RouterWorld::RouterWorld() : router_(options_) {}

std::string RouterWorld::run(std::string_view line) {
  Arguments arguments{line};
  const std::string& command = arguments.command();
  std::string said;
  if (command == "router") {
    said = router(arguments);
  } else if (command == "report") {
    said = report(arguments);
  } else if (command == "remove") {
    router_.remove(states_.at(arguments.word(0)).id);
  } else if (command == "advance") {
    now_ += from_ms(std::stod(arguments.word(0)));
  } else if (command == "plan") {
    said = plan(arguments);
  } else if (command == "repeat") {
    said = repeat(arguments);
  } else if (command == "spread") {
    said = spread(arguments);
  } else if (command == "explain") {
    said = explain(arguments);
  } else if (command == "start") {
    said = start(arguments);
  } else if (command == "first_token") {
    Running& running = running_.at(arguments.word(0));
    running.first_token = now_;
    router_.first_token(running.ticket, now_);
  } else if (command == "serve") {
    said = serve(arguments);
  } else if (command == "finish") {
    said = finish(arguments);
  } else if (command == "in_flight") {
    const InFlight own = router_.in_flight(index_of(arguments.word(0)));
    said = fmt::format("requests={} unseen_requests={} unseen_tokens={}\n", own.requests,
                       own.unseen_requests, own.unseen_tokens);
  } else if (command == "breaker") {
    said = fmt::format("{}\n", to_string(router_.breaker(index_of(arguments.word(0)), now_)));
  } else {
    throw std::runtime_error("unknown command: " + command);
  }
  arguments.all_used();
  return said;
}

std::string RouterWorld::router(Arguments& arguments) {
  options_ = {};
  options_.seed = arguments.count("seed", 1);
  options_.attempts_max = arguments.count("attempts", options_.attempts_max);
  options_.candidates_max = arguments.count("candidates_max", options_.candidates_max);
  options_.prefix_blocks_max = arguments.count("prefix_blocks_max", options_.prefix_blocks_max);
  router_ = Router{options_};
  states_.clear();
  running_.clear();
  return {};
}

std::string RouterWorld::report(Arguments& arguments) {
  const std::string& name = arguments.word(0);
  auto [found, fresh] = states_.try_emplace(name);
  CandidateState& state = found->second;
  if (fresh) {
    const std::size_t slash = name.find('/');
    state.id.site = SiteId{name.substr(0, slash)};
    if (slash != std::string::npos) state.id.engine = EngineId{name.substr(slash + 1)};
    state.id.model = ModelId{arguments.text("model").value_or("demo")};
    state.healthy = true;
    state.load = {.slots = 8, .prefill_tokens_per_s = 4000, .decode_ms = 20};
  }
  if (const auto law = arguments.text("law")) state.jurisdiction = JurisdictionId{*law};
  if (arguments.has_word("local")) state.local = true;
  if (const auto health = arguments.text("healthy")) state.healthy = *health == "yes";
  if (const auto drained = arguments.text("drained")) state.drained = *drained == "yes";
  if (const auto rtt = arguments.number("rtt")) state.rtt = from_ms(*rtt);
  state.load.slots = arguments.count("slots", state.load.slots);
  state.load.slots_busy = arguments.count("busy", state.load.slots_busy);
  state.load.queued_requests = arguments.count("queued_requests", state.load.queued_requests);
  state.load.queued_tokens =
      arguments.count("queued", static_cast<std::uint32_t>(state.load.queued_tokens));
  state.load.kv_used = arguments.number("kv").value_or(state.load.kv_used);
  state.load.prefill_tokens_per_s =
      arguments.number("prefill").value_or(state.load.prefill_tokens_per_s);
  state.load.decode_ms = arguments.number("decode").value_or(state.load.decode_ms);
  read_attributes(arguments, state);
  state.reported = now_ - from_ms(arguments.number("age").value_or(0));
  const auto updated = router_.update(state, now_);
  return updated ? std::string{} : scenarios::show(updated.error());
}

CandidateIndex RouterWorld::index_of(const std::string& name) const {
  const auto found = states_.find(name);
  const auto index = found == states_.end() ? std::nullopt : router_.find(found->second.id);
  if (!index) throw std::runtime_error("no candidate " + name);
  return *index;
}

std::string RouterWorld::name_of(CandidateIndex index) const {
  const CandidateState* state = router_.candidate(index);
  if (state == nullptr) return "?";
  return state->id.engine.empty() ? state->id.site.str()
                                  : state->id.site.str() + "/" + state->id.engine.str();
}

std::string RouterWorld::show(const RoutePlan& plan) const {
  std::string text;
  for (const PlannedAttempt& attempt : plan.attempts) {
    text += fmt::format("{} {} ttft={:.1f}\n", name_of(attempt.candidate), attempt.reason,
                        attempt.prediction.ttft_ms);
  }
  if (plan.hedge_after) text += fmt::format("hedge after {:.1f} ms\n", to_ms(*plan.hedge_after));
  return text;
}

std::string RouterWorld::plan(Arguments& arguments) {
  const RouteRequest request = request_of(arguments, now_);
  const auto plan = router_.plan(request, now_);
  return plan ? show(*plan) : scenarios::show(plan.error());
}

// repeat N ...: the first attempts of N plans, counted.
std::string RouterWorld::repeat(Arguments& arguments) {
  const int times = std::stoi(arguments.word(0));
  const RouteRequest request = request_of(arguments, now_);
  std::map<std::string, int> counts;
  for (int i = 0; i < times; ++i) {
    const auto plan = router_.plan(request, now_);
    if (!plan) return scenarios::show(plan.error());
    const PlannedAttempt& first = plan->attempts.front();
    ++counts[fmt::format("{} {}", name_of(first.candidate), first.reason)];
  }
  std::string text;
  for (const auto& [what, count] : counts) text += fmt::format("{} {}\n", count, what);
  return text;
}

// spread N ...: the first attempt of N routers that know the same reports, with seeds 1 to N.
std::string RouterWorld::spread(Arguments& arguments) {
  const std::uint64_t routers = std::stoul(arguments.word(0));
  const RouteRequest request = request_of(arguments, now_);
  std::map<std::string, int> counts;
  for (std::uint64_t seed = 1; seed <= routers; ++seed) {
    RouterOptions options = options_;
    options.seed = seed;
    options.prefix_blocks_max = 64;
    Router fresh{options};
    for (const auto& [name, state] : states_) {
      if (!fresh.update(state, now_)) throw std::runtime_error("spread: too many candidates");
    }
    const auto plan = fresh.plan(request, now_);
    if (!plan) return scenarios::show(plan.error());
    ++counts[fresh.candidate(plan->attempts.front().candidate)->id.site.str()];
  }
  std::string text;
  for (const auto& [site, count] : counts) text += fmt::format("{} {}\n", count, site);
  return text;
}

std::string RouterWorld::explain(Arguments& arguments) {
  const RouteRequest request = request_of(arguments, now_);
  const RouteExplanation explanation = router_.explain(request, now_);
  std::string text = fmt::format(
      "{:<12} {:>6} {:>8} {:>8} {:>8} {:>7} {:>8} {:>7} {:>6} {:>7} {:>7} {:>8} {:>6} {:>6} {:>6}  "
      "{}\n",
      "candidate", "rtt", "overhead", "wait", "slot", "prefill", "ttft", "+-", "tpot", "barrier",
      "excess", "score", "cached", "queued", "rate", "rejection");
  for (const Prediction& p : explanation.candidates) {
    text += fmt::format(
        "{:<12} {:>6.1f} {:>8.1f} {:>8.1f} {:>8.1f} {:>7.1f} {:>8.1f} {:>7.1f} {:>6.1f} {:>7.1f} "
        "{:>7.1f} {:>8.1f} {:>6} {:>6} {:>6.0f}  {}\n",
        name_of(p.candidate), p.rtt_ms, p.overhead_ms, p.wait_ms, p.slot_ms, p.prefill_ms,
        p.ttft_ms, p.uncertainty_ms, p.tpot_ms, p.barrier_ms, p.excess_ms, p.score_ms,
        p.cached_tokens, p.queued_tokens, p.rate_tokens_per_s, to_string(p.rejection));
    if (p.price_micros > 0 || p.backbone_ms > 0) {
      text += fmt::format("{:<12} price={:.1f} ({} micro-units) backbone={:.1f} ({} bytes)\n", "",
                          p.price_ms, p.price_micros, p.backbone_ms, p.backbone_bytes);
    }
  }
  text += "plan:";
  for (const PlannedAttempt& attempt : explanation.attempts) {
    text += fmt::format(" {} ({})", name_of(attempt.candidate), attempt.reason);
  }
  return text + "\n";
}

// start NAME CANDIDATE ...: an attempt of that name.
std::string RouterWorld::start(Arguments& arguments) {
  Running running;
  running.started = now_;
  running.request = request_of(arguments, now_);
  running.ticket = router_.started(index_of(arguments.word(1)), running.request, now_);
  running_[arguments.word(0)] = running;
  return running.ticket != 0 ? std::string{} : "not counted\n";
}

// serve N CANDIDATE first=MS total=MS ...: N requests, one after the other, that take so long.
std::string RouterWorld::serve(Arguments& arguments) {
  const int times = std::stoi(arguments.word(0));
  const CandidateIndex index = index_of(arguments.word(1));
  AttemptOutcome outcome;
  outcome.first_token = from_ms(arguments.number("first").value_or(0));
  outcome.finished = from_ms(arguments.number("total").value_or(0));
  outcome.usage.cached_tokens = arguments.count("cached", 0);
  const std::optional<double> actual_prompt = arguments.number("actual_prompt");
  const RouteRequest request = request_of(arguments, now_);
  outcome.usage.completion_tokens = request.output_tokens;
  outcome.usage.prompt_tokens =
      static_cast<std::uint32_t>(actual_prompt.value_or(request.prompt_tokens));
  for (int i = 0; i < times; ++i) {
    const AttemptTicket ticket = router_.started(index, request, now_);
    router_.first_token(ticket, now_ + *outcome.first_token);
    now_ += *outcome.finished;
    router_.finished(ticket, outcome, now_);
  }
  return {};
}

// finish NAME served|refused|failed|abandoned: times are those of the clock.
std::string RouterWorld::finish(Arguments& arguments) {
  const Running running = running_.at(arguments.word(0));
  running_.erase(arguments.word(0));
  AttemptOutcome outcome;
  const std::string& kind = arguments.word(1);
  if (kind == "served") {
    outcome.kind = AttemptOutcome::Kind::Served;
  } else if (kind == "refused") {
    outcome.kind = AttemptOutcome::Kind::Refused;
  } else if (kind == "failed") {
    outcome.kind = AttemptOutcome::Kind::Failed;
  } else if (kind == "abandoned") {
    outcome.kind = AttemptOutcome::Kind::Abandoned;
  } else {
    throw std::runtime_error("unknown outcome " + kind);
  }
  if (running.first_token) outcome.first_token = *running.first_token - running.started;
  outcome.finished = now_ - running.started;
  outcome.usage.prompt_tokens = arguments.count("prompt", running.request.prompt_tokens);
  outcome.usage.cached_tokens = arguments.count("cached", 0);
  outcome.usage.completion_tokens = arguments.count("completion", running.request.output_tokens);
  router_.finished(running.ticket, outcome, now_);
  return {};
}

}  // namespace perigee::scenarios
