#include "proof/sha256_many.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "proof/sha256_stream.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace perigee::proof {
namespace {

using internal::Sha256Way;

constexpr std::size_t kBlockBytes = 64;
constexpr std::size_t kBlockWords = 16;
constexpr std::size_t kStateWords = 8;
constexpr std::array<std::uint32_t, kStateWords> kStart{
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

struct Features {
  bool sha = false;
  bool avx2 = false;
  bool avx512 = false;
};

#if defined(__x86_64__)
// Wide registers count if the system saves them, which __builtin_cpu_supports() looks at, too.
Features find_features() {
  constexpr unsigned kSha = 1U << 29;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  const bool known = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0;
  return {known && (b & kSha) != 0, __builtin_cpu_supports("avx2") != 0,
          __builtin_cpu_supports("avx512f") != 0};
}
#else
Features find_features() { return {.sha = true}; }
#endif

const Features& features() {
  static const Features found = find_features();
  return found;
}

Sha256Way best_way() {
  if (features().sha) return Sha256Way::OneByOne;
  if (internal::has(Sha256Way::Lanes16)) return Sha256Way::Lanes16;
  if (internal::has(Sha256Way::Lanes8)) return Sha256Way::Lanes8;
  return Sha256Way::OneByOne;
}

// One message on its way through a lane: its blocks, padded (FIPS 180-4, 5.1.1).
class Padded {
 public:
  Padded() = default;
  Padded(std::string_view prefix, std::string_view message)
      : prefix_(prefix), message_(message), size_(prefix.size() + message.size()) {}
  std::size_t blocks() const { return (size_ + 8) / kBlockBytes + 1; }
  // Where a block stands that is the message's alone, as nearly all are; null: write() makes it.
  const char* find(std::size_t index) const {
    const std::size_t at = index * kBlockBytes;
    const bool whole = at >= prefix_.size() && at + kBlockBytes <= size_;
    return whole ? message_.data() + (at - prefix_.size()) : nullptr;
  }
  void write(std::size_t index, char* block) const {
    std::size_t filled = 0;
    std::size_t at = index * kBlockBytes;
    if (at == 0 && !prefix_.empty()) {
      std::memcpy(block, prefix_.data(), prefix_.size());
      filled = prefix_.size();
      at = filled;
    }
    if (at < size_ && filled < kBlockBytes) {
      const std::size_t from = at - prefix_.size();
      const std::size_t part = std::min(kBlockBytes - filled, message_.size() - from);
      std::memcpy(block + filled, message_.data() + from, part);
      filled += part;
      at += part;
    }
    if (filled == kBlockBytes) return;
    std::memset(block + filled, 0, kBlockBytes - filled);
    if (at == size_) block[filled] = static_cast<char>(0x80);
    if (index + 1 == blocks()) write_size(block);
  }

 private:
  void write_size(char* block) const {
    const std::uint64_t bits = std::uint64_t{size_} * 8;
    for (std::size_t i = 0; i < 8; ++i) {
      block[kBlockBytes - 1 - i] = static_cast<char>(bits >> 8 * i & 0xFF);
    }
  }
  std::string_view prefix_;
  std::string_view message_;
  std::size_t size_ = 0;
};

// A lane takes the next message when it is through with one, so that lengths need not match.
template <std::size_t lanes, void compress(std::uint32_t*, const std::uint32_t*)>
class LaneRun {
 public:
  LaneRun(std::string_view prefix, std::span<const std::string_view> messages,
          std::span<Sha256> digests)
      : prefix_(prefix), messages_(messages), digests_(digests) {}
  void run() {
    for (std::size_t lane = 0; lane < lanes; ++lane) take_next(lane);
    while (busy_ > 0) {
      for (std::size_t lane = 0; lane < lanes; ++lane) feed(lane);
      compress(state_.data(), words_.data());
      for (std::size_t lane = 0; lane < lanes; ++lane) finish(lane);
    }
  }

 private:
  struct Lane {
    Padded message;
    std::size_t index = 0;  // of the message
    std::size_t block = 0;
    bool busy = false;
  };
  void take_next(std::size_t lane) {
    Lane& mine = lanes_[lane];
    mine.busy = next_ < messages_.size();
    if (!mine.busy) return;
    mine.message = Padded{prefix_, messages_[next_]};
    mine.index = next_++;
    mine.block = 0;
    for (std::size_t i = 0; i < kStateWords; ++i) state_[i * lanes + lane] = kStart[i];
    ++busy_;
  }
  void feed(std::size_t lane) {
    Lane& mine = lanes_[lane];
    if (!mine.busy) return;
    std::array<char, kBlockBytes> made;
    const char* block = mine.message.find(mine.block);
    if (block == nullptr) {
      mine.message.write(mine.block, made.data());
      block = made.data();
    }
    ++mine.block;
    for (std::size_t i = 0; i < kBlockWords; ++i) {
      std::uint32_t word = 0;
      std::memcpy(&word, block + i * sizeof word, sizeof word);
      words_[i * lanes + lane] = __builtin_bswap32(word);
    }
  }
  void finish(std::size_t lane) {
    Lane& mine = lanes_[lane];
    if (!mine.busy || mine.block < mine.message.blocks()) return;
    Sha256& digest = digests_[mine.index];
    for (std::size_t i = 0; i < kStateWords; ++i) {
      const std::uint32_t word = __builtin_bswap32(state_[i * lanes + lane]);
      std::memcpy(digest.data() + 4 * i, &word, sizeof word);
    }
    --busy_;
    take_next(lane);
  }

  std::string_view prefix_;
  std::span<const std::string_view> messages_;
  std::span<Sha256> digests_;
  std::size_t next_ = 0;
  std::size_t busy_ = 0;
  std::array<Lane, lanes> lanes_{};
  alignas(64) std::array<std::uint32_t, kStateWords * lanes> state_{};
  alignas(64) std::array<std::uint32_t, kBlockWords * lanes> words_{};
};

}  // namespace

bool internal::has(Sha256Way way) {
  switch (way) {
    case Sha256Way::OneByOne: return true;
    case Sha256Way::Lanes8: return features().avx2;
    case Sha256Way::Lanes16: return features().avx512;
  }
  return false;
}

void internal::sha256_many(Sha256Way way, std::string_view prefix,
                           std::span<const std::string_view> messages, std::span<Sha256> digests) {
  PERIGEE_ASSERT(messages.size() == digests.size() && prefix.size() <= kSha256PrefixBytesMax);
#if defined(__x86_64__)
  if (way == Sha256Way::Lanes8) {
    return LaneRun<8, internal::compress_8>{prefix, messages, digests}.run();
  }
  if (way == Sha256Way::Lanes16) {
    return LaneRun<16, internal::compress_16>{prefix, messages, digests}.run();
  }
#endif
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Sha256Stream stream;
    stream.update(prefix);
    stream.update(messages[i]);
    digests[i] = stream.finish();
  }
}

void sha256_many(std::string_view prefix, std::span<const std::string_view> messages,
                 std::span<Sha256> digests) {
  static const Sha256Way way = best_way();
  internal::sha256_many(way, prefix, messages, digests);
}

}  // namespace perigee::proof
