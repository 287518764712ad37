#include "sim/trial/broken.h"

#include <algorithm>

namespace perigee::sim {
namespace {

constexpr std::uint32_t kAll = SiteFault::kAll;
constexpr Nanos kLongAgo = -1'000'000'000'000;

bool active_at(const SiteFault& fault, Nanos then) {
  return fault.start <= then && then < fault.end;
}

bool on_link(const SiteFault& fault, std::uint32_t a, std::uint32_t b) {
  if (!fault.link || a == b) return false;
  if (fault.other == kAll) return fault.site == a || fault.site == b;
  return (fault.site == a && fault.other == b) || (fault.site == b && fault.other == a);
}

bool on_engine(const SiteFault& fault, std::uint32_t site, std::uint32_t engine) {
  return !fault.link && fault.site == site && (fault.engine == kAll || fault.engine == engine);
}

bool on_site(const SiteFault& fault, FaultKind kind, std::uint32_t site) {
  return fault.kind == kind && !fault.link && fault.site == site && fault.engine == kAll;
}

}  // namespace

Broken::Broken(std::uint32_t sites, std::span<const SiteFault> schedule)
    : schedule_(schedule),
      sites_(sites),
      site_touched_(sites, kLongAgo),
      link_touched_(std::size_t{sites} * sites, kLongAgo) {}

void Broken::touch(const SiteFault& fault, Nanos now) {
  for (std::uint32_t a = 0; a < sites_; ++a) {
    if (!fault.link && (fault.site == a || fault.site == kAll)) site_touched_[a] = now;
    for (std::uint32_t b = 0; b < sites_; ++b) {
      if (on_link(fault, a, b)) link_touched_[std::size_t{a} * sites_ + b] = now;
    }
  }
}

void Broken::start(const SiteFault& fault, Nanos now) {
  active_.push_back(&fault);
  touch(fault, now);
}

void Broken::end(const SiteFault& fault, Nanos now) {
  std::erase(active_, &fault);
  touch(fault, now);
}

bool Broken::down(std::uint32_t site) const {
  return std::ranges::any_of(
      active_, [&](const SiteFault* f) { return on_site(*f, FaultKind::Kill, site); });
}

bool Broken::engine_down(std::uint32_t site, std::uint32_t engine) const {
  return std::ranges::any_of(active_, [&](const SiteFault* f) {
    return f->kind == FaultKind::Kill && on_engine(*f, site, engine);
  });
}

Nanos Broken::stopped_until(std::uint32_t site, Nanos then) const {
  Nanos until = 0;
  for (const SiteFault& f : schedule_) {
    if (on_site(f, FaultKind::Stop, site) && active_at(f, then)) until = std::max(until, f.end);
  }
  return until;
}

Nanos Broken::engine_stopped_until(std::uint32_t site, std::uint32_t engine, Nanos then) const {
  Nanos until = 0;
  for (const SiteFault& f : schedule_) {
    const bool hit = f.kind == FaultKind::Stop && on_engine(f, site, engine);
    if (hit && active_at(f, then)) until = std::max(until, f.end);
  }
  return until;
}

double Broken::slowness(std::uint32_t site, std::uint32_t engine) const {
  double factor = 1;
  for (const SiteFault* f : active_) {
    if (f->kind == FaultKind::Slow && on_engine(*f, site, engine)) {
      factor = std::max(factor, f->factor);
    }
  }
  return factor;
}

Nanos Broken::cut_until(std::uint32_t from, std::uint32_t to, Nanos then) const {
  Nanos until = 0;
  for (const SiteFault& f : schedule_) {
    const bool both = f.kind == FaultKind::Cut;
    const bool one = f.kind == FaultKind::CutOneWay && f.site == from;
    if ((both || one) && on_link(f, from, to) && active_at(f, then)) until = std::max(until, f.end);
  }
  return until;
}

double Broken::added_ms(std::uint32_t a, std::uint32_t b) const {
  double ms = 0;
  for (const SiteFault* f : active_) {
    if (f->kind == FaultKind::Slow && on_link(*f, a, b)) ms += f->added_ms;
  }
  return ms;
}

double Broken::corrupt_share(std::uint32_t a, std::uint32_t b) const {
  double share = 0;
  for (const SiteFault* f : active_) {
    if (f->kind == FaultKind::Corrupt && on_link(*f, a, b)) share = std::max(share, f->share);
  }
  return share;
}

bool Broken::disk_full(std::uint32_t site) const {
  return std::ranges::any_of(
      active_, [&](const SiteFault* f) { return on_site(*f, FaultKind::DiskFull, site); });
}

bool Broken::muted(std::uint32_t site) const {
  return std::ranges::any_of(
      active_, [&](const SiteFault* f) { return on_site(*f, FaultKind::Mute, site); });
}

bool Broken::control_down() const {
  return std::ranges::any_of(active_,
                             [](const SiteFault* f) { return f->kind == FaultKind::ControlDown; });
}

bool Broken::island(std::uint32_t site) const {
  return std::ranges::any_of(active_, [&](const SiteFault* f) {
    return f->kind == FaultKind::Cut && f->other == kAll && f->site == site;
  });
}

double Broken::clock_ahead_s(std::uint32_t site) const {
  double ahead = 0;
  for (const SiteFault* f : active_) {
    if (on_site(*f, FaultKind::ClockJump, site)) ahead += f->jump_s;
  }
  return ahead;
}

Nanos Broken::site_sound_since(std::uint32_t site) const {
  const bool hit =
      std::ranges::any_of(active_, [&](const SiteFault* f) { return !f->link && f->site == site; });
  return hit ? kNever : site_touched_[site];
}

Nanos Broken::link_sound_since(std::uint32_t a, std::uint32_t b) const {
  const bool hit =
      std::ranges::any_of(active_, [&](const SiteFault* f) { return on_link(*f, a, b); });
  return hit ? kNever : link_touched_[std::size_t{a} * sites_ + b];
}

}  // namespace perigee::sim
