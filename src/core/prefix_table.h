// PrefixTable: which candidate was sent which prompt blocks, to expect a cache hit where the same
// prefix goes again. Keys are chained hashes (a block's hash covers all before it), salted by
// tenant by whoever made them, so an entry is worth nothing to another tenant. Sessions use the
// same table with one pseudo-block of their own.
//
// Bounded: `blocks_max` blocks, least recently used go first, and of one chain its end first, as
// engines' own caches evict. Per block the kHoldersMax candidates that had it last.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/instant.h"
#include "core/prefix_filter.h"
#include "core/router.h"

namespace perigee {

// Enough for a prefix spread on purpose; beyond, a prefix is common and any site soon has it.
inline constexpr std::size_t kHoldersMax = 8;
// Not sent for so long: taken as evicted. Hosted APIs document 5 to 10 minutes for idle prefixes.
inline constexpr Duration kPrefixMemory = std::chrono::minutes{10};

class PrefixTable {
 public:
  PrefixTable(std::uint32_t blocks_max, std::uint64_t seed);

  struct Holder {
    CandidateIndex candidate = 0;
    std::uint32_t touched = 0;  // ticks of kTick; 0: empty
  };
  // Records that `candidate` was sent the chain `blocks`.
  void insert(std::span<const std::uint64_t> blocks, CandidateIndex candidate, Instant now);
  // Holders of one block that have not expired, newest in no order; empty when unknown.
  template <class Visit>
  bool for_each_holder(std::uint64_t block, Instant now, Visit visit) const {
    const Entry* entry = find(block);
    if (entry == nullptr) return false;
    for (const Holder& holder : entry->holders) {
      if (fresh(holder, now)) visit(holder);
    }
    return true;
  }
  // The newest `blocks_max` blocks of which one of `among` is a holder. Allocates.
  template <class Among>
  PrefixFilter summarize(std::uint32_t blocks_max, Instant now, Among among) const {
    std::vector<std::uint64_t> blocks;
    for (std::uint32_t at = newest_; at != kNone && blocks.size() < blocks_max;
         at = entries_[at].older) {
      for (const Holder& holder : entries_[at].holders) {
        if (!fresh(holder, now) || !among(holder.candidate)) continue;
        blocks.push_back(entries_[at].block);
        break;
      }
    }
    PrefixFilter filter{static_cast<std::uint32_t>(blocks.size())};
    for (const std::uint64_t block : blocks) filter.insert(block);
    return filter;
  }
  bool holds(std::uint64_t block) const { return find(block) != nullptr; }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t block = 0;
    std::uint32_t next = kNone;  // in its bucket
    std::uint32_t newer = kNone;
    std::uint32_t older = kNone;
    std::array<Holder, kHoldersMax> holders{};
  };
  static constexpr std::uint32_t kNone = 0xffff'ffff;

  static std::uint32_t ticks(Instant now);
  static bool fresh(const Holder& holder, Instant now);
  std::size_t bucket(std::uint64_t block) const;
  const Entry* find(std::uint64_t block) const;
  std::uint32_t find_or_add(std::uint64_t block);
  std::uint32_t evict();
  void unlink(std::uint32_t position);
  void link_newest(std::uint32_t position);

  std::uint32_t blocks_max_;
  std::uint64_t multiplier_;  // odd: hashes may come from outside, their buckets must not
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> buckets_;
  int shift_;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
};

}  // namespace perigee
