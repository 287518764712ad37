// PrefixCache: the blocks of keys and values that an engine holds for later prompts. A block is
// named by the chained hash of all tokens up to its end. Blocks in use are held; those that nobody
// uses go least recently used first, and of one chain its end first.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace perigee::sim {

class PrefixCache {
 public:
  using Blocks = std::span<const std::uint64_t>;

  // Length of the longest prefix of `chain` that is here. Touches nothing.
  std::uint32_t match(Blocks chain) const;
  // Holds the first `count` blocks of `chain`, which must be here.
  void hold(Blocks chain, std::uint32_t count);
  // Holds all blocks of `chain`, adding those that are not here; those before `held` were held
  // already. Returns how many were added.
  std::uint32_t extend(Blocks chain, std::uint32_t held);
  // Lets go of the first `count` blocks: when nobody else holds them, they may be evicted.
  // `tail_first`: the chain's end is evicted before its beginning; else as they stand.
  void release(Blocks chain, std::uint32_t count, bool tail_first = true);
  // Evicts the block that was let go longest ago. False: all that are here are held.
  bool evict();
  void clear();

  std::uint64_t size() const { return size_; }            // blocks here
  std::uint64_t evictable() const { return evictable_; }  // of these, held by nobody

 private:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  struct Entry {
    std::uint64_t block = 0;
    std::uint32_t holders = 0;
    std::uint32_t newer = kNone;  // among the evictable; `older` links the free list too
    std::uint32_t older = kNone;
  };
  std::uint32_t find(std::uint64_t block) const;
  std::uint32_t add(std::uint64_t block);
  void hold_entry(std::uint32_t position);
  void release_entry(std::uint32_t position);
  void unlink(std::uint32_t position);
  std::size_t home(std::uint64_t block) const {
    return static_cast<std::size_t>((block * 0x9e37'79b9'7f4a'7c15) >> shift_);
  }
  void grow();
  void erase_slot(std::size_t slot);

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // open addressing, linear: entry or kNone
  int shift_ = 64;
  std::uint32_t free_ = kNone;
  std::uint32_t newest_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint64_t size_ = 0;
  std::uint64_t evictable_ = 0;
};

}  // namespace perigee::sim
