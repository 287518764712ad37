#include "sim/recorder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/class_targets.h"
#include "sim/sampler.h"

namespace perigee::sim {
namespace {

constexpr std::size_t kSteps = 120;
constexpr std::size_t kClasses = 4;
constexpr std::size_t kQuantiles = 201;

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

// The value with `share` of the others below it; `values` is sorted. NaN: there are none.
double at_share(const std::vector<float>& values, double share) {
  if (values.empty()) return kNone;
  const double position = share * static_cast<double>(values.size() - 1);
  const auto low = static_cast<std::size_t>(position);
  const std::size_t high = std::min(low + 1, values.size() - 1);
  const double part = position - static_cast<double>(low);
  return static_cast<double>(values[low]) * (1 - part) + static_cast<double>(values[high]) * part;
}

Quantiles quantiles(const std::vector<float>& sorted) {
  return {at_share(sorted, 0.5), at_share(sorted, 0.9), at_share(sorted, 0.99)};
}

std::vector<float> spread(const std::vector<float>& sorted) {
  std::vector<float> all;
  if (sorted.empty()) return all;
  for (std::size_t i = 0; i < kQuantiles; ++i) {
    all.push_back(static_cast<float>(at_share(sorted, static_cast<double>(i) / (kQuantiles - 1))));
  }
  return all;
}

std::uint64_t hash_of(const Outcome& o) {
  std::uint64_t h = mix64(o.id + 1);
  const auto add = [&](std::uint64_t x) { h = mix64(h ^ x); };
  add(static_cast<std::uint64_t>(o.ending));
  add(std::bit_cast<std::uint64_t>(o.arrived));
  add((std::uint64_t{o.ingress} << 32) | o.attempts);
  if (o.ending != Ending::Served) return h;
  add((std::uint64_t{o.server} << 32) | o.engine);
  add(std::bit_cast<std::uint64_t>(o.first));
  add(std::bit_cast<std::uint64_t>(o.finished));
  add((std::uint64_t{o.out_tokens} << 32) | o.cached_tokens);
  return h;
}

}  // namespace

Recorder::Recorder(const Scenario& scenario)
    : scenario_(scenario),
      duration_(nanos_from_s(scenario.duration_s)),
      step_(std::max<Nanos>(1, duration_ / static_cast<Nanos>(kSteps))),
      steps_(kSteps),
      tenants_(scenario.tenants.size()),
      ingresses_(scenario.sites.size()),
      flows_(1024),
      classes_(kClasses) {
  for (std::size_t c = 0; c < kClasses; ++c) {
    classes_[c].service_class = static_cast<ServiceClass>(c);
  }
}

std::size_t Recorder::step_of(Nanos at) const {
  return std::min(static_cast<std::size_t>(at / step_), kSteps - 1);
}

void Recorder::arrived(Nanos now) { ++steps_[step_of(now)].counts.arrived; }

void Recorder::count_flow(std::uint32_t from, std::uint32_t to) {
  if ((flow_count_ + 1) * 2 > flows_.size()) {
    std::vector<FlowResult> old(flows_.size() * 2);
    old.swap(flows_);
    for (const FlowResult& flow : old) {
      if (flow.requests == 0) continue;
      std::size_t slot = mix64((std::uint64_t{flow.from} << 32) | flow.to) & (flows_.size() - 1);
      while (flows_[slot].requests != 0) slot = (slot + 1) & (flows_.size() - 1);
      flows_[slot] = flow;
    }
  }
  std::size_t slot = mix64((std::uint64_t{from} << 32) | to) & (flows_.size() - 1);
  while (flows_[slot].requests != 0 && (flows_[slot].from != from || flows_[slot].to != to)) {
    slot = (slot + 1) & (flows_.size() - 1);
  }
  if (flows_[slot].requests == 0) {
    flows_[slot] = {.from = from, .to = to, .requests = 0};
    ++flow_count_;
  }
  ++flows_[slot].requests;
}

void Recorder::ended(const Outcome& o) {
  totals_.digest += hash_of(o);
  ++totals_.requests;
  totals_.attempts += o.attempts;
  TimelineStep& step = steps_[step_of(o.arrived)].counts;
  ClassResult& of_class = classes_[static_cast<std::size_t>(o.service_class)];
  Ingress& ingress = ingresses_[o.ingress];
  ++of_class.requests;
  ++ingress.arrived;
  ++tenants_[o.tenant].requests;
  switch (o.ending) {
    case Ending::Served: break;
    case Ending::Refused: ++totals_.refused, ++step.refused, ++of_class.refused; return;
    case Ending::Failed: ++totals_.failed, ++step.failed; return;
    case Ending::Unlawful: ++totals_.unlawful; return;
    case Ending::Unfinished: ++totals_.unfinished; return;
  }
  const double access = scenario_.network.access_ms;
  const double ttft = ms_from_nanos(o.first - o.arrived) + access;
  const double e2e = ms_from_nanos(o.finished - o.arrived) + access;
  const double tpot =
      o.out_tokens > 1 ? ms_from_nanos(o.finished - o.first) / (o.out_tokens - 1) : -1;
  const ClassTargets targets = targets_of(o.service_class);
  const bool in_time =
      o.deadline == 0 || o.finished - o.arrived + nanos_from_ms(access) <= o.deadline;
  const bool good = ttft <= targets.ttft_ms && tpot <= targets.tpot_ms && in_time;
  ++totals_.served;
  if (o.law_broken) ++totals_.law_broken;
  if (o.finished < duration_ + step_) ++steps_[step_of(o.finished)].counts.finished;
  if (good) {
    ++step.good, ++of_class.good, ++ingress.good, ++tenants_[o.tenant].good;
  }
  ++ingresses_[o.server].served_by;
  if (o.server == o.ingress) ++ingress.served_own;
  count_flow(o.ingress, o.server);
  tokens_ += o.in_tokens + o.out_tokens;
  prompt_tokens_ += o.in_tokens;
  cached_tokens_ += o.cached_tokens;
  rows_.push_back({.ttft_ms = static_cast<float>(ttft),
                   .tpot_ms = static_cast<float>(tpot),
                   .e2e_ms = static_cast<float>(e2e),
                   .site = o.ingress,
                   .step = static_cast<std::uint16_t>(step_of(o.arrived)),
                   .service_class = o.service_class,
                   .good = good});
}

void Recorder::sample(Nanos now, double queued, Nanos busy) {
  Step& step = steps_[step_of(now > 0 ? now - 1 : 0)];
  step.queued += queued;
  ++step.samples;
  step.busy_end = busy;
}

void Recorder::add_timeline(PolicyResult& result, const std::vector<SiteTotals>& sites) const {
  double engines = 0;
  for (const SiteTotals& site : sites) engines += site.engines;
  result.timeline_step_s = static_cast<double>(step_) * 1e-9;
  std::vector<std::vector<float>> ttft(kSteps);
  for (const Row& row : rows_) ttft[row.step].push_back(row.ttft_ms);
  Nanos before = 0;
  for (std::size_t i = 0; i < kSteps; ++i) {
    TimelineStep step = steps_[i].counts;
    std::ranges::sort(ttft[i]);
    step.ttft_ms_p50 = at_share(ttft[i], 0.5);
    step.ttft_ms_p99 = at_share(ttft[i], 0.99);
    if (steps_[i].samples > 0) {
      step.queued = steps_[i].queued / steps_[i].samples;
      if (engines > 0) {
        step.utilisation = static_cast<double>(steps_[i].busy_end - before) /
                           (static_cast<double>(step_) * engines);
      }
      before = steps_[i].busy_end;
    }
    result.timeline.push_back(step);
  }
}

void Recorder::add_sites(PolicyResult& result, const std::vector<SiteTotals>& sites) const {
  std::vector<std::vector<float>> ttft(sites.size());
  for (const Row& row : rows_) ttft[row.site].push_back(row.ttft_ms);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    std::ranges::sort(ttft[i]);
    const Ingress& ingress = ingresses_[i];
    SiteResult site;
    site.site = static_cast<std::uint32_t>(i);
    site.arrived = ingress.arrived;
    site.good = ingress.good;
    site.served = ingress.served_by;
    site.served_own = ingress.served_own;
    site.preemptions = sites[i].preemptions;
    if (sites[i].engines > 0) {
      site.utilisation =
          static_cast<double>(sites[i].busy) / (static_cast<double>(duration_) * sites[i].engines);
    }
    site.ttft_ms_p50 = at_share(ttft[i], 0.5);
    site.ttft_ms_p99 = at_share(ttft[i], 0.99);
    result.sites.push_back(site);
    result.preemptions += site.preemptions;
  }
  for (const FlowResult& flow : flows_) {
    if (flow.requests > 0) result.flows.push_back(flow);
  }
  std::ranges::sort(result.flows, [](const FlowResult& x, const FlowResult& y) {
    return x.from != y.from ? x.from < y.from : x.to < y.to;
  });
}

void Recorder::add_classes(PolicyResult& result) const {
  for (const ClassResult& counts : classes_) {
    if (counts.requests == 0) continue;
    std::vector<float> ttft;
    std::vector<float> tpot;
    std::vector<float> e2e;
    for (const Row& row : rows_) {
      if (row.service_class != counts.service_class) continue;
      ttft.push_back(row.ttft_ms);
      e2e.push_back(row.e2e_ms);
      if (row.tpot_ms >= 0) tpot.push_back(row.tpot_ms);
    }
    for (auto* values : {&ttft, &tpot, &e2e}) std::ranges::sort(*values);
    result.classes.push_back(counts);
    result.classes.back().ttft_ms = quantiles(ttft);
    result.classes.back().tpot_ms = quantiles(tpot);
    result.classes.back().e2e_ms = quantiles(e2e);
  }
}

PolicyResult Recorder::result(const std::vector<SiteTotals>& sites, std::uint64_t backbone_bytes,
                              double engine_price_per_hour) const {
  PolicyResult result = totals_;
  std::vector<float> ttft;
  std::vector<float> tpot;
  std::vector<float> e2e;
  std::uint64_t good = 0;
  for (const Row& row : rows_) {
    ttft.push_back(row.ttft_ms);
    e2e.push_back(row.e2e_ms);
    if (row.tpot_ms >= 0) tpot.push_back(row.tpot_ms);
    good += row.good ? 1U : 0U;
  }
  for (auto* values : {&ttft, &tpot, &e2e}) std::ranges::sort(*values);
  result.ttft_ms = quantiles(ttft);
  result.tpot_ms = quantiles(tpot);
  result.e2e_ms = quantiles(e2e);
  result.ttft_ms_quantiles = spread(ttft);
  result.tpot_ms_quantiles = spread(tpot);
  result.e2e_ms_quantiles = spread(e2e);
  result.goodput_rps = static_cast<double>(good) / scenario_.duration_s;
  if (result.requests > 0) {
    result.attainment = static_cast<double>(good) / static_cast<double>(result.requests);
  }
  if (prompt_tokens_ > 0) {
    result.prefix_hit = static_cast<double>(cached_tokens_) / static_cast<double>(prompt_tokens_);
  }
  result.backbone_bytes = backbone_bytes;
  const double hours = scenario_.duration_s / 3600;
  const double cost = engine_price_per_hour * hours +
                      static_cast<double>(backbone_bytes) * 1e-9 * scenario_.backbone_price_per_gb;
  result.cost_per_mtok = tokens_ > 0 ? cost * 1e6 / static_cast<double>(tokens_) : kNone;

  double sum = 0;
  double squares = 0;
  double count = 0;
  for (const Tenant& tenant : tenants_) {
    if (tenant.requests == 0) continue;
    const double share = static_cast<double>(tenant.good) / static_cast<double>(tenant.requests);
    sum += share, squares += share * share, count += 1;
  }
  result.fairness = squares > 0 ? sum * sum / (count * squares) : 1;

  double busy = 0;
  double engines = 0;
  for (const SiteTotals& site : sites) {
    busy += static_cast<double>(site.busy);
    engines += site.engines;
  }
  if (engines > 0) result.utilisation = busy / (static_cast<double>(duration_) * engines);
  add_timeline(result, sites);
  add_sites(result, sites);
  add_classes(result);
  return result;
}

}  // namespace perigee::sim
