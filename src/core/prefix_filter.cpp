#include "core/prefix_filter.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace perigee {
namespace {

constexpr unsigned char kVersion = 1;
constexpr unsigned char kScheme = 1;
constexpr std::uint64_t kGroupBits = 256;
constexpr std::uint64_t kBitsPerBlock = 8;
constexpr std::size_t kVersionAt = 2;
constexpr std::size_t kSchemeAt = 3;
constexpr std::size_t kSizeAt = 4;
constexpr std::size_t kCountAt = 8;

void put(std::string& bytes, std::uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t get(std::string_view bytes, std::size_t at, unsigned size) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  }
  return value;
}

Error wrong(std::string what) {
  return {.code = Code::Protocol, .message = "prefix filter: " + std::move(what)};
}

}  // namespace

PrefixFilter::PrefixFilter(std::uint32_t blocks_expected) {
  const std::uint64_t bits = std::max<std::uint64_t>(blocks_expected, 1) * kBitsPerBlock;
  const std::uint64_t groups = std::min(std::bit_ceil((bits + kGroupBits - 1) / kGroupBits),
                                        std::uint64_t{1} << kGroupsLog2Max);
  mask_ = groups - 1;
  words_.resize(groups * kWords);
}

void PrefixFilter::fold() {
  const std::size_t half = words_.size() / 2;
  for (std::size_t i = 0; i < half; ++i) words_[i] |= words_[half + i];
  words_.resize(half);
  mask_ >>= 1;
}

void PrefixFilter::merge(const PrefixFilter& other) {
  while (words_.size() > other.words_.size()) fold();
  for (std::size_t i = 0; i < other.words_.size(); ++i) {
    words_[i & (words_.size() - 1)] |= other.words_[i];
  }
  inserted_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      std::uint64_t{inserted_} + other.inserted_, std::numeric_limits<std::uint32_t>::max()));
}

double PrefixFilter::fill() const {
  std::uint64_t set = 0;
  for (const std::uint64_t word : words_) set += static_cast<std::uint64_t>(std::popcount(word));
  return static_cast<double>(set) / (64.0 * static_cast<double>(words_.size()));
}

double PrefixFilter::false_positive_rate() const {
  double sum = 0;
  for (std::size_t group = 0; group < words_.size(); group += kWords) {
    double chance = 1;
    for (unsigned i = 0; i < kWords; ++i) chance *= std::popcount(words_[group + i]) / 64.0;
    sum += chance;
  }
  return sum * kWords / static_cast<double>(words_.size());
}

std::string PrefixFilter::encode() const {
  std::string bytes;
  bytes.reserve(this->bytes());
  bytes += "PF";
  put(bytes, kVersion, 1);
  put(bytes, kScheme, 1);
  put(bytes, static_cast<std::uint64_t>(std::countr_one(mask_)), 1);
  put(bytes, 0, 3);
  put(bytes, inserted_, 4);
  for (const std::uint64_t word : words_) put(bytes, word, sizeof(word));
  return bytes;
}

Result<PrefixFilter> PrefixFilter::parse(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, 2) != "PF") return wrong("not one");
  if (bytes[kVersionAt] != kVersion) return wrong("a version other than 1; update this site");
  if (bytes[kSchemeAt] != kScheme) return wrong("blocks are not hashed as here; update this site");
  const std::uint64_t groups_log2 = get(bytes, kSizeAt, 1);
  if (groups_log2 > kGroupsLog2Max) return wrong("larger than 2^13 groups");
  if (get(bytes, kSizeAt + 1, 3) != 0) return wrong("reserved bytes are not zero");
  PrefixFilter filter{0};
  filter.words_.resize((std::size_t{1} << groups_log2) * kWords);
  filter.mask_ = (std::uint64_t{1} << groups_log2) - 1;
  if (bytes.size() != filter.bytes()) {
    return wrong("has " + std::to_string(bytes.size()) + " bytes, its head says " +
                 std::to_string(filter.bytes()));
  }
  filter.inserted_ = static_cast<std::uint32_t>(get(bytes, kCountAt, 4));
  for (std::size_t i = 0; i < filter.words_.size(); ++i) {
    filter.words_[i] = get(bytes, kHeaderBytes + i * sizeof(std::uint64_t), sizeof(std::uint64_t));
  }
  if (filter.fill() > kFillMost) return wrong("so full that it holds anything; send a larger one");
  return filter;
}

}  // namespace perigee
