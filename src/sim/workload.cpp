#include "sim/workload.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "sim/csv.h"
#include "sim/sampler.h"
#include "sim/tables.h"

namespace perigee::sim {
namespace {

// The published day of the smallest and most regular of the measured services: lowest 0.70 at
// night, highest 1.43 at 20 h.
constexpr std::string_view kHourColumn = "m-small";
// How much longer or shorter than the mean a client's requests are (standard deviation of the
// logarithm), in the spirit of ServeGen's clients.
constexpr double kClientLengthSigma = 0.5;

std::array<double, 24> read_hour_factors() {
  std::array<double, 24> factors{};
  const auto table = CsvTable::parse(kHourProfile, "servegen_hour_profile.csv");
  PERIGEE_ASSERT(table && table->rows() == factors.size());
  const auto column = table->column(kHourColumn);
  PERIGEE_ASSERT(column);
  double sum = 0;
  for (std::size_t hour = 0; hour < factors.size(); ++hour) {
    const auto value = table->number(hour, *column);
    PERIGEE_ASSERT(value);
    factors[hour] = *value;
    sum += *value;
  }
  for (double& factor : factors) factor *= static_cast<double>(factors.size()) / sum;
  return factors;
}

std::uint32_t pick(const std::vector<double>& cumulative, double u) {
  const auto found = std::ranges::upper_bound(cumulative, u * cumulative.back());
  const auto index = static_cast<std::size_t>(found - cumulative.begin());
  return static_cast<std::uint32_t>(std::min(index, cumulative.size() - 1));
}

std::uint32_t tokens(double x, std::uint32_t most) {
  return static_cast<std::uint32_t>(std::clamp(x + 0.5, 1.0, static_cast<double>(most)));
}

}  // namespace

Workload::Workload(const Scenario& scenario, std::uint64_t seed)
    : scenario_(scenario),
      end_(nanos_from_s(scenario.duration_s)),
      hour_factors_(read_hour_factors()),
      seed_(mix64(seed ^ 0x5eed'0001)) {
  double sum = 0;
  for (const TenantSpec& tenant : scenario.tenants) {
    tenant_shares_.push_back(sum += tenant.weight);
  }
  site_shares_.resize(scenario.workloads.size());
  for (std::uint32_t i = 0; i < scenario.workloads.size(); ++i) {
    add_sources(i, mix64(seed_ + i + 1));
  }
}

bool Workload::has_blocks() const {
  return std::ranges::any_of(scenario_.workloads, [](const WorkloadSpec& spec) {
    return spec.turns > 1 || spec.system_prompt_tokens > 0 ||
           (spec.trace != nullptr && !spec.trace->blocks.empty());
  });
}

void Workload::add_sources(std::uint32_t index, std::uint64_t seed) {
  const WorkloadSpec& spec = scenario_.workloads[index];
  std::vector<std::uint32_t> sites = spec.sites;
  if (sites.empty()) {
    for (std::uint32_t s = 0; s < scenario_.sites.size(); ++s) sites.push_back(s);
  }
  std::vector<double> weights(scenario_.sites.size(), 0);
  double sum = 0;
  for (const std::uint32_t s : sites) {
    sum += weights[s] = spec.by_population ? scenario_.sites[s].population : 1;
  }
  if (spec.arrivals == WorkloadSpec::Arrivals::Trace) {
    double cumulative = 0;
    for (const double weight : weights) site_shares_[index].push_back(cumulative += weight);
    Source source{seed};
    source.spec = index;
    source.site = kNone;
    source.next = nanos_from_s(spec.start_s) +
                  nanos_from_ms(static_cast<double>(spec.trace->records[0].t_ms) / spec.speedup);
    sources_.push_back(std::move(source));
    return;
  }
  const std::uint32_t clients = std::max(spec.clients, 1U);
  double client_sum = 0;
  for (std::uint32_t c = 0; c < clients; ++c) client_sum += std::pow(c + 1.0, -spec.client_skew);
  for (const std::uint32_t s : sites) {
    if (weights[s] <= 0) continue;
    for (std::uint32_t c = 0; c < clients; ++c) {
      Source source{mix64(seed + (std::uint64_t{s} << 20) + c)};
      source.spec = index;
      source.site = s;
      source.rate =
          spec.rate * weights[s] / sum * std::pow(c + 1.0, -spec.client_skew) / client_sum;
      const double cv = spec.cv;
      if (spec.arrivals == WorkloadSpec::Arrivals::Gamma) source.shape = 1 / (cv * cv);
      if (spec.arrivals == WorkloadSpec::Arrivals::Weibull) source.shape = weibull_shape(cv);
      if (spec.clients > 0) {
        source.tenant = draw_tenant(source.random.uniform());
        source.length_factor = draw_lognormal(source.random, 1, kClientLengthSigma);
      }
      schedule(source, nanos_from_s(spec.start_s));
      sources_.push_back(std::move(source));
    }
  }
}

double Workload::factor(const WorkloadSpec& spec, std::uint32_t site, Nanos at,
                        Nanos& until) const {
  double factor = 1;
  until = kNever;
  if (spec.diurnal) {
    constexpr Nanos kHour = Nanos{3'600'000'000'000};
    const double local = spec.start_hour_utc + scenario_.sites[site].utc_offset_h;
    const Nanos shifted = at + nanos_from_s((local + 48) * 3600);
    factor *= hour_factors_[static_cast<std::size_t>(shifted / kHour % 24)];
    until = at + kHour - shifted % kHour;
  }
  for (const BurstSpec& burst : spec.bursts) {
    if (!burst.sites.empty() && std::ranges::find(burst.sites, site) == burst.sites.end()) continue;
    const Nanos start = nanos_from_s(burst.start_s);
    const Nanos end = nanos_from_s(burst.end_s);
    if (at < start) {
      until = std::min(until, start);
    } else if (at < end) {
      until = std::min(until, end);
      factor *= burst.factor;
    }
  }
  return factor;
}

// Gaps are drawn in the time of a steady source, and stretched by the rate's factor.
void Workload::schedule(Source& source, Nanos after) {
  const WorkloadSpec& spec = scenario_.workloads[source.spec];
  double gap = 0;  // in mean gaps
  switch (spec.arrivals) {
    case WorkloadSpec::Arrivals::Poisson: gap = draw_exponential(source.random); break;
    case WorkloadSpec::Arrivals::Gamma:
      gap = draw_gamma(source.random, source.shape) / source.shape;
      break;
    case WorkloadSpec::Arrivals::Weibull: gap = draw_weibull(source.random, source.shape); break;
    case WorkloadSpec::Arrivals::Trace: PERIGEE_ASSERT(false);
  }
  const Nanos end = spec.end_s > 0 ? std::min(end_, nanos_from_s(spec.end_s)) : end_;
  Nanos at = after;
  double left_s = gap / source.rate;
  for (;;) {
    Nanos until = kNever;
    const double rate = factor(spec, source.site, at, until);
    const double need_s = rate > 0 ? left_s / rate : 1e18;
    if (until == kNever || need_s * 1e9 <= static_cast<double>(until - at)) {
      source.next = need_s > 1e9 ? kNever : at + nanos_from_s(need_s);
      break;
    }
    left_s -= static_cast<double>(until - at) * 1e-9 * rate;
    at = until;
    if (at >= end) break;
  }
  if (at >= end || source.next >= end) source.next = kNever;
}

ServiceClass Workload::draw_class(const WorkloadSpec& spec, double u) const {
  if (u < spec.realtime) return ServiceClass::Realtime;
  if (u < spec.realtime + spec.interactive) return ServiceClass::Interactive;
  if (u < spec.realtime + spec.interactive + spec.batch) return ServiceClass::Batch;
  return ServiceClass::Standard;
}

std::uint32_t Workload::draw_tenant(double u) const { return pick(tenant_shares_, u); }

Workload::Lengths Workload::draw_lengths(const WorkloadSpec& spec, double factor,
                                         Random& random) const {
  const LengthSpec& lengths = spec.lengths;
  switch (lengths.kind) {
    case LengthSpec::Kind::Fixed:
      return {tokens(lengths.in_mean, lengths.in_max), tokens(lengths.out_mean, lengths.out_max)};
    case LengthSpec::Kind::Lognormal: {
      const double in = draw_lognormal(random, lengths.in_mean * factor, lengths.in_sigma);
      const double out = draw_lognormal(random, lengths.out_mean * factor, lengths.out_sigma);
      return {tokens(in, lengths.in_max), tokens(out, lengths.out_max)};
    }
    case LengthSpec::Kind::Trace: {
      const auto& records = lengths.trace->records;
      const TraceRecord& record = records[random.below(records.size())];
      return {tokens(record.in_tokens * factor, lengths.in_max),
              tokens(record.out_tokens * factor, lengths.out_max)};
    }
  }
  PERIGEE_ASSERT(false);
}

Arrival Workload::take_record(Source& source) {
  const WorkloadSpec& spec = scenario_.workloads[source.spec];
  const Trace& trace = *spec.trace;
  const TraceRecord& record = trace.records[source.record];
  Arrival arrival;
  // Requests that share more than a common first block are one conversation: of one user.
  const std::uint64_t* blocks = trace.blocks.data() + record.first_block;
  const std::uint64_t root = record.block_count > 1   ? blocks[1]
                             : record.block_count > 0 ? blocks[0]
                                                      : source.record;
  const std::uint64_t key = mix64(seed_ ^ mix64(root + 1));
  arrival.ingress = pick(site_shares_[source.spec], keyed_uniform(key + 1));
  arrival.tenant = draw_tenant(keyed_uniform(key + 2));
  arrival.service_class = draw_class(spec, keyed_uniform(key + 3));
  arrival.in_tokens = std::clamp(record.in_tokens, 1U, spec.lengths.in_max);
  arrival.out_tokens = std::clamp(record.out_tokens, 1U, spec.lengths.out_max);
  if (record.block_count > 0) {
    arrival.blocks = blocks;
    arrival.prompt_blocks = arrival.final_blocks =
        std::min(record.block_count, arrival.in_tokens / scenario_.prefix_block_tokens + 1);
    arrival.session_key = record.block_count > 1 ? key | 1 : 0;
  }
  arrival.deadline = nanos_from_s(spec.deadline_s);
  source.next = kNever;
  if (++source.record < trace.records.size()) {
    const double ms = static_cast<double>(trace.records[source.record].t_ms) / spec.speedup;
    const Nanos at = nanos_from_s(spec.start_s) + nanos_from_ms(ms);
    const Nanos end = spec.end_s > 0 ? std::min(end_, nanos_from_s(spec.end_s)) : end_;
    if (at < end) source.next = at;
  }
  return arrival;
}

Arrival Workload::take(std::size_t index) {
  Source& source = sources_[index];
  const WorkloadSpec& spec = scenario_.workloads[source.spec];
  if (spec.arrivals == WorkloadSpec::Arrivals::Trace) return take_record(source);
  Arrival arrival;
  arrival.ingress = source.site;
  const double u = source.random.uniform();
  arrival.tenant = source.tenant != kNone ? source.tenant : draw_tenant(u);
  arrival.service_class = draw_class(spec, source.random.uniform());
  if (spec.turns > 1 || spec.system_prompt_tokens > 0) {
    arrival = start_session(source, arrival);
  } else {
    const Lengths lengths = draw_lengths(spec, source.length_factor, source.random);
    arrival.in_tokens = lengths.in;
    arrival.out_tokens = lengths.out;
    arrival.deadline = nanos_from_s(spec.deadline_s);
  }
  schedule(source, source.next);
  return arrival;
}

Arrival Workload::start_session(Source& source, Arrival arrival) {
  const WorkloadSpec& spec = scenario_.workloads[source.spec];
  const std::uint64_t session_seed = source.random.next();
  std::uint32_t number = 0;
  if (free_sessions_.empty()) {
    number = static_cast<std::uint32_t>(sessions_.size());
    sessions_.emplace_back(session_seed);
  } else {
    number = free_sessions_.back();
    free_sessions_.pop_back();
    std::vector<std::uint64_t> blocks = std::move(sessions_[number].blocks);
    sessions_[number] = Session{session_seed};
    sessions_[number].blocks = std::move(blocks);
    sessions_[number].blocks.clear();
  }
  Session& session = sessions_[number];
  session.spec = source.spec;
  session.site = source.site;
  session.service_class = arrival.service_class;
  session.length_factor = source.length_factor;
  session.key = mix64(session_seed ^ ++session_count_) | 1;
  const std::uint64_t application = session.random.below(spec.applications);
  session.tenant = spec.applications > 1
                       ? draw_tenant(keyed_uniform(seed_ ^ mix64(application + 77)))
                       : arrival.tenant;
  session.shared_key = mix64(mix64(session.tenant + 1) ^ (application + 1) ^ (source.spec << 8));
  session.shared_blocks = spec.system_prompt_tokens / scenario_.prefix_block_tokens;
  session.turns_left = draw_geometric(session.random, spec.turns);
  session.context = spec.system_prompt_tokens;
  arrival.session = number;
  fill_turn(session, arrival);
  return arrival;
}

void Workload::fill_turn(Session& session, Arrival& arrival) {
  const WorkloadSpec& spec = scenario_.workloads[session.spec];
  const Lengths lengths = draw_lengths(spec, session.length_factor, session.random);
  arrival.ingress = session.site;
  arrival.tenant = session.tenant;
  arrival.service_class = session.service_class;
  arrival.in_tokens = std::min(session.context + lengths.in, spec.lengths.in_max);
  arrival.out_tokens = lengths.out;
  arrival.deadline = nanos_from_s(spec.deadline_s);
  arrival.session_key = session.key;
  session.context = arrival.in_tokens + arrival.out_tokens;
  const std::uint32_t block = scenario_.prefix_block_tokens;
  arrival.prompt_blocks = arrival.in_tokens / block;
  arrival.final_blocks = session.context / block;
  while (session.blocks.size() < arrival.final_blocks) {
    const std::uint64_t i = session.blocks.size();
    const std::uint64_t key = i < session.shared_blocks ? session.shared_key : session.key;
    session.blocks.push_back(mix64(key ^ mix64(i)));
  }
  arrival.blocks = session.blocks.data();
  --session.turns_left;
}

Nanos Workload::end_turn(std::uint32_t number, bool served, Nanos now) {
  Session& session = sessions_[number];
  const WorkloadSpec& spec = scenario_.workloads[session.spec];
  if (served && session.turns_left > 0) {
    const Nanos next = now + nanos_from_s(spec.think_s * draw_exponential(session.random));
    if (next < end_ && session.context < spec.lengths.in_max) {
      session.ended = now;
      return next;
    }
  }
  free_sessions_.push_back(number);
  return kNever;
}

Arrival Workload::take_turn(std::uint32_t number, const std::vector<std::uint32_t>& nearest) {
  Session& session = sessions_[number];
  const WorkloadSpec& spec = scenario_.workloads[session.spec];
  const double moves = spec.moves_per_minute * spec.think_s / 60;
  if (session.random.uniform() < 1 - std::exp(-moves)) session.site = nearest[session.site];
  Arrival arrival;
  arrival.session = number;
  fill_turn(session, arrival);
  return arrival;
}

}  // namespace perigee::sim
