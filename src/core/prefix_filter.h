// PrefixFilter: which prompt blocks a site's engines hold, small enough to travel in digests. A
// router asks it beside its own memory of what it sent (core/prefix_table.h), so that it expects
// cache hits for what other ingress sites sent there too.
//
// A split block Bloom filter (Putze, Sanders, Singler 2007; the form of Apache Parquet's, with four
// words of 64 bits instead of eight of 32): a hash picks one group of 256 bits and sets one bit in
// each of its four words, so a question reads half a cache line. Keys are the chained block hashes
// of RouteRequest::prefix_blocks, salted by tenant: who does not know a tenant's salt can ask
// nothing about its prompts.
//
// Never a false "no" for what was inserted. False "yes", with b bits per block inserted:
//   b = 6: 5.8 %   8: 2.6 %   12: 0.7 %   16: 0.3 %     (a test measures them)
// A filter for N blocks has 8 to 16 bits for each (whole powers of two): 1 to 2 bytes per block of
// 64 tokens. Chains are asked from their start, so with rate p an unknown prompt is believed to
// hold p / (1 - p) blocks on average (under two tokens at 2.6 %), and a known prefix to be as much
// longer: that is why so few bits do.
//
// Filters merge (engines of a site, sites of a region); the result has the smaller one's size, and
// answers as if all had been inserted there.
//
// A block's place: m = block * 0x9e3779b97f4a7c15 mod 2^64; group = (m >> 24) mod groups; in word i
// of it bit (m >> (58 - 6 i)) mod 64. Bytes, version 1: 'P' 'F', version (1), scheme (1: 256-byte
// blocks of text, chained XXH3, see api/prefix_hasher.h), log2 of groups (0..13), three zero bytes,
// blocks inserted (32 bits, least byte first), then 4 * groups words of 64 bits, least byte first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perigee {

class PrefixFilter {
 public:
  static constexpr std::uint32_t kGroupsLog2Max = 13;  // 256 KiB: 262,144 blocks, 16.8 M tokens
  static constexpr std::size_t kHeaderBytes = 12;
  static constexpr std::size_t kBytesMax = kHeaderBytes + (std::size_t{32} << kGroupsLog2Max);
  // Above, it answers "yes" to a third of all that it does not hold and says nothing: not parsed.
  static constexpr double kFillMost = 0.75;

  // Empty, with room for so many blocks at the rates above; more than fit in kBytesMax only raise
  // the rate of false answers.
  explicit PrefixFilter(std::uint32_t blocks_expected);

  void insert(std::uint64_t block) {
    const std::uint64_t mixed = block * kMixer;
    std::uint64_t* group = &words_[first_word(mixed)];
    for (unsigned i = 0; i < kWords; ++i) group[i] |= bit(mixed, i);
    ++inserted_;
  }
  bool contains(std::uint64_t block) const {
    const std::uint64_t mixed = block * kMixer;
    const std::uint64_t* group = &words_[first_word(mixed)];
    for (unsigned i = 0; i < kWords; ++i) {
      if ((group[i] & bit(mixed, i)) == 0) return false;
    }
    return true;
  }
  // Has the memory that contains(block) reads brought near.
  void prefetch(std::uint64_t block) const {
    __builtin_prefetch(&words_[first_word(block * kMixer)]);
  }
  // How many blocks from the start of `chain` it holds.
  std::uint32_t matched(std::span<const std::uint64_t> chain) const {
    std::uint32_t depth = 0;
    while (depth < chain.size() && contains(chain[depth])) ++depth;
    return depth;
  }
  // Takes in all that `other` holds; shrinks to its size when that is smaller.
  void merge(const PrefixFilter& other);

  std::uint32_t inserted() const { return inserted_; }  // of merged ones the sum
  double fill() const;                                  // share of bits set
  double false_positive_rate() const;                   // expected, from the fill of each group
  std::size_t bytes() const { return kHeaderBytes + words_.size() * sizeof(std::uint64_t); }

  std::string encode() const;
  // Any bytes are safe. Protocol: the message says what is wrong with them.
  static Result<PrefixFilter> parse(std::string_view bytes);

  friend bool operator==(const PrefixFilter&, const PrefixFilter&) = default;

 private:
  static constexpr unsigned kWords = 4;  // of a group
  static constexpr std::uint64_t kMixer = 0x9e37'79b9'7f4a'7c15;

  std::size_t first_word(std::uint64_t mixed) const {
    return static_cast<std::size_t>((mixed >> 24) & mask_) * kWords;
  }
  static std::uint64_t bit(std::uint64_t mixed, unsigned word) {
    return std::uint64_t{1} << ((mixed >> (58 - 6 * word)) & 63);
  }
  void fold();  // to half its size

  std::uint64_t mask_;  // groups - 1
  std::uint32_t inserted_ = 0;
  std::vector<std::uint64_t> words_;
};

}  // namespace perigee
