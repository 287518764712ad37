// HeldFilters: what this site's engines hold, as peers are told it: one filter per model with a
// number that changes when the filter is worth sending again. IO thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "core/router.h"
#include "peer/digest.h"

namespace perigee {

// A million tokens of prompts: 16 to 32 KiB.
inline constexpr std::uint32_t kHeldBlocksMax = 16'384;
// A filter is made anew at most so often, ...
inline constexpr Duration kFilterInterval = seconds{5};
// ... and is news when its blocks are so many more or less, or any others after so long.
inline constexpr double kFilterNews = 0.1;
inline constexpr Duration kFilterNewsAfter = seconds{30};

class HeldFilters {
 public:
  // Numbers count from `first`: a random one, so that those of a former life mean nothing else.
  explicit HeldFilters(std::uint64_t first) : next_(first == 0 ? 1 : first) {}

  // Adds what local candidates of the model were sent; nothing while they were sent nothing.
  void fill(ModelDigest& digest, const Router& router, Instant now);

 private:
  struct Held {
    std::uint64_t version = 0;
    std::shared_ptr<const PrefixFilter> filter;
    Instant looked{};  // when it was last compared
    Instant changed{};
  };
  bool is_news(const Held& held, const PrefixFilter& filter, Instant now) const;

  std::uint64_t next_;
  std::map<ModelId, Held> held_;
};

}  // namespace perigee
