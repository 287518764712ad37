#include "core/prefix_table.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace perigee {
namespace {

constexpr Duration kTick = milliseconds{100};

}  // namespace

PrefixTable::PrefixTable(std::uint32_t blocks_max, std::uint64_t seed)
    : blocks_max_(std::max(blocks_max, 1U)),
      multiplier_(Random{seed}.next() | 1),
      buckets_(std::bit_ceil(std::size_t{blocks_max_}), kNone),
      shift_(64 - std::max(1, std::countr_zero(buckets_.size()))) {}

std::uint32_t PrefixTable::ticks(Instant now) {
  return static_cast<std::uint32_t>(now.time_since_epoch() / kTick) + 1;
}

bool PrefixTable::fresh(const Holder& holder, Instant now) {
  return holder.touched != 0 && ticks(now) - holder.touched < kPrefixMemory / kTick;
}

std::size_t PrefixTable::bucket(std::uint64_t block) const {
  return static_cast<std::size_t>((block * multiplier_) >> shift_) & (buckets_.size() - 1);
}

const PrefixTable::Entry* PrefixTable::find(std::uint64_t block) const {
  for (std::uint32_t at = buckets_[bucket(block)]; at != kNone; at = entries_[at].next) {
    if (entries_[at].block == block) return &entries_[at];
  }
  return nullptr;
}

void PrefixTable::insert(std::span<const std::uint64_t> blocks, CandidateIndex candidate,
                         Instant now) {
  const std::uint32_t touched = ticks(now);
  if (blocks.size() > blocks_max_) blocks = blocks.first(blocks_max_);
  for (std::size_t i = blocks.size(); i-- > 0;) {  // the beginning last, to be evicted last
    Entry& entry = entries_[find_or_add(blocks[i])];
    Holder* place = &entry.holders[0];
    for (Holder& holder : entry.holders) {
      if (holder.touched != 0 && holder.candidate == candidate) {
        place = &holder;
        break;
      }
      if (holder.touched < place->touched) place = &holder;
    }
    *place = {.candidate = candidate, .touched = touched};
  }
}

std::uint32_t PrefixTable::find_or_add(std::uint64_t block) {
  if (const Entry* found = find(block)) {
    const auto position = static_cast<std::uint32_t>(found - entries_.data());
    unlink(position);
    link_newest(position);
    return position;
  }
  std::uint32_t position = kNone;
  if (entries_.size() < blocks_max_) {
    position = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    position = evict();
  }
  std::uint32_t& head = buckets_[bucket(block)];
  entries_[position] = Entry{.block = block, .next = head};
  head = position;
  link_newest(position);
  return position;
}

std::uint32_t PrefixTable::evict() {
  const std::uint32_t victim = oldest_;
  unlink(victim);
  std::uint32_t* link = &buckets_[bucket(entries_[victim].block)];
  while (*link != victim) link = &entries_[*link].next;
  *link = entries_[victim].next;
  return victim;
}

void PrefixTable::unlink(std::uint32_t position) {
  Entry& entry = entries_[position];
  (entry.newer != kNone ? entries_[entry.newer].older : newest_) = entry.older;
  (entry.older != kNone ? entries_[entry.older].newer : oldest_) = entry.newer;
  entry.newer = kNone;
  entry.older = kNone;
}

void PrefixTable::link_newest(std::uint32_t position) {
  Entry& entry = entries_[position];
  entry.older = newest_;
  entry.newer = kNone;
  (newest_ != kNone ? entries_[newest_].newer : oldest_) = position;
  newest_ = position;
}

}  // namespace perigee
