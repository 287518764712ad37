// ServingSite: the engines of a site, and the digests that it sends. Digests are made at fixed
// times, but only written down when somebody looks or the state is about to change: what a digest
// says follows from the state between two changes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "core/admission.h"
#include "sim/engine_model.h"
#include "sim/event_queue.h"

namespace perigee::sim {

class ServingSite {
 public:
  ServingSite(std::uint32_t block_tokens, Nanos digest_interval, Nanos digest_phase,
              std::uint32_t digests_kept);

  void add_engine(const EngineProfile& profile) { engines_.emplace_back(profile, block_tokens_); }
  std::size_t size() const { return engines_.size(); }
  EngineModel& engine(std::size_t i) { return engines_[i]; }
  const EngineModel& engine(std::size_t i) const { return engines_[i]; }

  // Over all engines that are up.
  EngineLoad engines_load(Nanos now) const;
  // With the site's own queue, and no more slots than it fills.
  EngineLoad load(Nanos now) const;
  // With its part of the site's own queue: what waits there will run on one of the engines.
  EngineLoad engine_load(std::size_t i, Nanos now) const;
  bool ready() const;  // some engine is up

  // To be called before anything changes: writes down the digests up to now.
  void settle(Nanos now) {
    if (now >= next_digest_) write_digests(now);
  }
  struct Digest {
    EngineLoad load;
    bool ready = false;
  };
  // Digest `tick` was made at digest_time(tick); the last `digests_kept` of those due are kept.
  Nanos digest_time(std::int64_t tick) const { return phase_ + tick * interval_; }
  std::int64_t digest_tick(Nanos at) const {  // the newest one made by then; negative: none
    return at < phase_ ? -1 : (at - phase_) / interval_;
  }
  bool keeps(std::int64_t tick) const {
    return digest_time(tick + static_cast<std::int64_t>(digests_.size())) >= next_digest_;
  }
  const Digest& digest(std::int64_t tick) const {
    return digests_[static_cast<std::size_t>(tick) % digests_.size()];
  }

  // What waits at the site itself, before any engine.
  struct Waiting {
    std::uint32_t request = 0;
    std::uint32_t prompt_tokens = 0;
  };
  std::deque<Waiting> pool;  // of policies that pool
  std::uint64_t pool_tokens = 0;
  std::unique_ptr<AdmissionQueue> admission;        // of policies with admission
  std::map<AdmissionTicket, std::uint32_t> queued;  // requests that wait there
  std::vector<bool> engine_down;

 private:
  static constexpr std::uint32_t kNoLimit = 0xffff'ffff;
  struct Queue {
    std::uint32_t requests = 0;
    std::uint64_t tokens = 0;
    std::uint32_t slots = kNoLimit;  // that it fills
  };
  Queue queue(Nanos now) const;  // at the site itself
  void write_digests(Nanos now);
  std::uint32_t block_tokens_;
  Nanos interval_;
  Nanos phase_;
  Nanos next_digest_;
  std::vector<Digest> digests_;
  std::vector<EngineModel> engines_;
};

}  // namespace perigee::sim
