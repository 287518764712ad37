// Broken: what is broken at this moment of a trial, and since when nothing has been. The truth,
// that no part of the grid may ask for: only the world that brings faults about, and the checkers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sim/fault_schedule.h"

namespace perigee::sim {

class Broken {
 public:
  // `schedule` must outlive it.
  Broken(std::uint32_t sites, std::span<const SiteFault> schedule);

  void start(const SiteFault& fault, Nanos now);
  void end(const SiteFault& fault, Nanos now);
  std::size_t active() const { return active_.size(); }

  bool down(std::uint32_t site) const;
  bool engine_down(std::uint32_t site, std::uint32_t engine) const;
  // When what is stopped at `then` goes on, as far as the faults of that moment say; 0: it runs.
  Nanos stopped_until(std::uint32_t site, Nanos then) const;
  Nanos engine_stopped_until(std::uint32_t site, std::uint32_t engine, Nanos then) const;
  double slowness(std::uint32_t site, std::uint32_t engine) const;  // 1: none
  // When what `from` sends to `to` passes again; 0: it passes.
  Nanos cut_until(std::uint32_t from, std::uint32_t to, Nanos then) const;
  double added_ms(std::uint32_t a, std::uint32_t b) const;  // to the round trip
  double corrupt_share(std::uint32_t a, std::uint32_t b) const;
  bool disk_full(std::uint32_t site) const;
  bool muted(std::uint32_t site) const;
  bool control_down() const;
  bool island(std::uint32_t site) const;  // cut from all others
  double clock_ahead_s(std::uint32_t site) const;

  // Since when nothing at the site (or its way to the other) has been broken; kNever: something is.
  Nanos site_sound_since(std::uint32_t site) const;
  Nanos link_sound_since(std::uint32_t a, std::uint32_t b) const;

 private:
  void touch(const SiteFault& fault, Nanos now);
  std::span<const SiteFault> schedule_;
  std::vector<const SiteFault*> active_;
  std::uint32_t sites_;
  std::vector<Nanos> site_touched_;
  std::vector<Nanos> link_touched_;
};

}  // namespace perigee::sim
