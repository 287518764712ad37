// Faults: what starts to be broken, and what works again.
#include <algorithm>

#include "sim/simulator.h"

namespace perigee::sim {

// Since when nothing passes between two sites; kNever: it does.
Nanos Simulator::cut_since(std::uint32_t a, std::uint32_t b) const {
  Nanos since = kNever;
  for (const Cut& cut : cuts_) {
    const bool hit = cut.b == kNone ? (cut.a == a || cut.a == b)
                                    : ((cut.a == a && cut.b == b) || (cut.a == b && cut.b == a));
    if (hit) since = std::min(since, cut.since);
  }
  return since;
}

void Simulator::start_fault(const SiteFault& fault) {
  ++faults_active_;
  if (fault.kind == FaultKind::Mute) {
    health_[fault.site].silent_since = now_;
  } else if (fault.link) {
    cuts_.push_back({.a = fault.site, .b = fault.other, .since = now_});
    cut_streams(cuts_.back());
  } else if (fault.engine != SiteFault::kAll) {
    take_down_engine(fault.site, fault.engine, 0);
  } else {
    take_down(fault.site);
  }
}

void Simulator::end_fault(const SiteFault& fault) {
  --faults_active_;
  if (fault.kind == FaultKind::Mute) {
    health_[fault.site].silent_since = kNever;
  } else if (fault.link) {
    std::erase_if(cuts_,
                  [&](const Cut& cut) { return cut.a == fault.site && cut.b == fault.other; });
  } else if (fault.engine == SiteFault::kAll) {
    sites_[fault.site].settle(now_);
    health_[fault.site] = Health{};
    sites_[fault.site].engine_down.assign(sites_[fault.site].size(), false);
  } else if (fault.engine < sites_[fault.site].size()) {
    sites_[fault.site].settle(now_);
    sites_[fault.site].engine_down[fault.engine] = false;
  }
  if (faults_active_ > 0) return;
  for (const auto& ingress : ingresses_) {  // nobody is given up for good
    for (std::uint32_t i = 0; i < ingress->tracks.size(); ++i) {
      if (!ingress->tracks[i].healthy) ingress->tracks[i].due = 0;
    }
  }
}

void Simulator::take_down_engine(std::uint32_t s, std::uint32_t number, Nanos notice) {
  ServingSite& site = sites_[s];
  if (number >= site.size()) return;
  site.settle(now_);
  site.engine_down[number] = true;
  ended_.clear();
  site.engine(number).fail(now_, ended_);
  for (const std::uint32_t request : ended_) break_off(request, notice);
  reschedule(engine_index(s, number));
}

void Simulator::take_down(std::uint32_t s) {
  ServingSite& site = sites_[s];
  site.settle(now_);
  const Nanos notice = nanos_from_ms(scenario_.failure_notice_ms);
  health_[s].down = true;
  health_[s].silent_since = now_;
  for (std::uint32_t i = 0; i < site.size(); ++i) take_down_engine(s, i, notice);
  for (const ServingSite::Waiting& waiting : site.pool) break_off(waiting.request, notice);
  site.pool.clear();
  site.pool_tokens = 0;
  for (const auto& [ticket, request] : site.queued) {
    requests_[request].admission = 0;
    break_off(request, notice);
  }
  site.queued.clear();
  if (site.admission != nullptr) {
    site.admission = std::make_unique<AdmissionQueue>(AdmissionOptions{});
  }
  // What its own users had under way is lost, wherever it runs.
  for (std::uint32_t i = 0; i < requests_.size(); ++i) {
    if (requests_[i].attempt == 0 || requests_[i].decider != s) continue;
    cancel(i);
    close(i, Ending::Failed);
  }
}

// Streams over the cut are lost; their ingress notices after a while.
void Simulator::cut_streams(const Cut& cut) {
  for (std::uint32_t i = 0; i < requests_.size(); ++i) {
    Request& r = requests_[i];
    if (r.attempt == 0 || r.decider == r.server) continue;
    const bool hit = cut.b == kNone ? (r.decider == cut.a || r.server == cut.a)
                                    : ((r.decider == cut.a && r.server == cut.b) ||
                                       (r.decider == cut.b && r.server == cut.a));
    if (!hit) continue;
    cancel(i);
    r.attempt = ++attempts_;  // what is under way between the two does not arrive
    break_off(i, nanos_from_ms(scenario_.failure_notice_ms));
  }
}

}  // namespace perigee::sim
