#include "sim/prefix_cache.h"

#include "base/assert.h"

namespace perigee::sim {

std::uint32_t PrefixCache::find(std::uint64_t block) const {
  if (slots_.empty()) return kNone;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = home(block); slots_[slot] != kNone; slot = (slot + 1) & mask) {
    if (entries_[slots_[slot]].block == block) return slots_[slot];
  }
  return kNone;
}

void PrefixCache::grow() {
  const std::size_t wanted = slots_.empty() ? 64 : slots_.size() * 2;
  shift_ = slots_.empty() ? 64 - 6 : shift_ - 1;
  std::vector<std::uint32_t> old(wanted, kNone);
  old.swap(slots_);
  const std::size_t mask = wanted - 1;
  for (const std::uint32_t position : old) {
    if (position == kNone) continue;
    std::size_t slot = home(entries_[position].block);
    while (slots_[slot] != kNone) slot = (slot + 1) & mask;
    slots_[slot] = position;
  }
}

std::uint32_t PrefixCache::add(std::uint64_t block) {
  if ((size_ + 1) * 2 > slots_.size()) grow();
  std::uint32_t position = free_;
  if (position == kNone) {
    position = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    free_ = entries_[position].older;
  }
  entries_[position] = Entry{.block = block};
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = home(block);
  while (slots_[slot] != kNone) slot = (slot + 1) & mask;
  slots_[slot] = position;
  ++size_;
  return position;
}

// Closes the gap, so that later entries of the same run are still found.
void PrefixCache::erase_slot(std::size_t slot) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t next = (slot + 1) & mask;
  while (slots_[next] != kNone) {
    const std::size_t wanted = home(entries_[slots_[next]].block);
    if (((next - wanted) & mask) >= ((next - slot) & mask)) {
      slots_[slot] = slots_[next];
      slot = next;
    }
    next = (next + 1) & mask;
  }
  slots_[slot] = kNone;
}

void PrefixCache::unlink(std::uint32_t position) {
  Entry& entry = entries_[position];
  (entry.newer != kNone ? entries_[entry.newer].older : newest_) = entry.older;
  (entry.older != kNone ? entries_[entry.older].newer : oldest_) = entry.newer;
  entry.newer = kNone;
  entry.older = kNone;
  --evictable_;
}

void PrefixCache::hold_entry(std::uint32_t position) {
  if (entries_[position].holders++ == 0) unlink(position);
}

void PrefixCache::release_entry(std::uint32_t position) {
  Entry& entry = entries_[position];
  PERIGEE_ASSERT(entry.holders > 0);
  if (--entry.holders > 0) return;
  entry.older = newest_;
  (newest_ != kNone ? entries_[newest_].newer : oldest_) = position;
  newest_ = position;
  ++evictable_;
}

std::uint32_t PrefixCache::match(Blocks chain) const {
  std::uint32_t count = 0;
  while (count < chain.size() && find(chain[count]) != kNone) ++count;
  return count;
}

void PrefixCache::hold(Blocks chain, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) hold_entry(find(chain[i]));
}

std::uint32_t PrefixCache::extend(Blocks chain, std::uint32_t held) {
  std::uint32_t added = 0;
  for (std::size_t i = held; i < chain.size(); ++i) {
    const std::uint32_t known = find(chain[i]);
    if (known != kNone) {
      hold_entry(known);
    } else {
      entries_[add(chain[i])].holders = 1;
      ++added;
    }
  }
  return added;
}

void PrefixCache::release(Blocks chain, std::uint32_t count, bool tail_first) {
  for (std::uint32_t i = 0; i < count; ++i) {
    release_entry(find(chain[tail_first ? count - 1 - i : i]));
  }
}

bool PrefixCache::evict() {
  if (oldest_ == kNone) return false;
  const std::uint32_t position = oldest_;
  unlink(position);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = home(entries_[position].block);
  while (slots_[slot] != position) slot = (slot + 1) & mask;
  erase_slot(slot);
  entries_[position].older = free_;
  free_ = position;
  --size_;
  return true;
}

void PrefixCache::clear() { *this = PrefixCache{}; }

}  // namespace perigee::sim
