// Who was sent how much of a prompt's beginning.
#include <algorithm>

#include "core/planner.h"

namespace perigee {
namespace {

// A block's hash covers all before it, so whoever was sent a block was sent the whole chain up to
// it: each candidate's depth is that of the deepest block it holds. The table drops the ends of
// chains first, so the blocks it knows are a beginning of the chain, and the holders of a block are
// among those of the blocks before it, but for those that its bound on holders displaced. So depths
// are found by halving: some twenty questions for a chain of 500 blocks, not 500.
class Matcher {
 public:
  Matcher(const PlanContext& context, const RouteRequest& request, Instant now,
          PlanScratch& scratch)
      : context_(context), blocks_(request.prefix_blocks), now_(now), scratch_(scratch) {}

  void run() {
    const std::uint32_t known = known_blocks();
    if (known == 0) return;
    raise(known, 0);
    if (known > 1) between(1, raise(1, 0).fresh, known);
  }

 private:
  struct Raised {
    std::uint32_t fresh = 0;   // not seen before
    std::uint32_t deeper = 0;  // from depth `from`
  };

  std::uint32_t known_blocks() const {
    std::size_t known = 0;
    std::size_t unknown = blocks_.size() + 1;
    while (known + 1 < unknown) {
      const std::size_t middle = known + (unknown - known) / 2;
      (context_.prefixes.holds(blocks_[middle - 1]) ? known : unknown) = middle;
    }
    return static_cast<std::uint32_t>(known);
  }

  // Credits the holders of the block at `depth` (counted from 1).
  Raised raise(std::uint32_t depth, std::uint32_t from) {
    Raised raised;
    context_.prefixes.for_each_holder(
        blocks_[depth - 1], now_, [&](const PrefixTable::Holder& holder) {
          if (context_.candidates.find(holder.candidate) == nullptr) return;
          const std::uint32_t slot = CandidateTable::slot_of(holder.candidate);
          const std::uint32_t before =
              scratch_.marks[slot] == scratch_.mark ? scratch_.matched[slot] : 0;
          if (before >= depth) return;
          (before == 0 ? raised.fresh : raised.deeper) += before == from || before == 0 ? 1U : 0U;
          scratch_.matched[slot] = depth;
          scratch_.marks[slot] = scratch_.mark;
        });
    return raised;
  }

  // `open` candidates are credited with `low` blocks and hold less than `high`, whose holders are
  // credited.
  void between(std::uint32_t low, std::uint32_t open, std::uint32_t high) {
    if (open == 0 || high - low <= 1) return;
    const std::uint32_t middle = low + (high - low) / 2;
    const Raised raised = raise(middle, low);
    between(middle, raised.fresh + raised.deeper, high);
    between(low, open - std::min(open, raised.deeper), middle);
  }

  const PlanContext& context_;
  std::span<const std::uint64_t> blocks_;
  Instant now_;
  PlanScratch& scratch_;
};

}  // namespace

void match_prefixes(const PlanContext& context, const RouteRequest& request, Instant now,
                    PlanScratch& scratch) {
  scratch.matched.resize(context.candidates.slots());
  scratch.marks.resize(context.candidates.slots());
  ++scratch.mark;
  Matcher{context, request, now, scratch}.run();
}

std::uint32_t matched_blocks(const CandidateView& view, std::uint32_t slot,
                             const RouteRequest& request, const PlanScratch& scratch) {
  const std::uint32_t sent = scratch.marks[slot] == scratch.mark ? scratch.matched[slot] : 0;
  return view.held == nullptr ? sent : std::max(sent, view.held->matched(request.prefix_blocks));
}

}  // namespace perigee
