// dynamo: the KV router of NVIDIA Dynamo (lib/kv-router/src/scheduling/selector/default.rs), with
// its defaults: argmin (temperature 0) of
//   max(0, (prefill tokens under way + prompt) / block - overlap blocks) + decode blocks
// with blocks of 16 tokens, ties at random. Terms whose default is 0 are left out: load decay of
// the overlap, active requests, and tiers of caches beyond the device, which engines here don't
// have.
//
// Its own book-keeping sees all requests of one cluster; here it is digests and own since. Overlap
// is what this site sent before, as in its mode without engine events. It knows no round trip.
#include "sim/policies/uncached_tokens.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr double kBlockTokens = 16;

class Dynamo final : public TokenCountingPolicy {
 public:
  explicit Dynamo(const PolicyContext& context) : TokenCountingPolicy(context) {}

 private:
  void rank(const RequestView& request, std::span<const CandidateView> views, Instant /*now*/,
            std::span<Rank> ranks) override {
    for (std::uint32_t i = 0; i < views.size(); ++i) {
      const CandidateView& view = views[i];
      const double engines = facts()[i].engines;
      const double prefill = ahead(i, view) / engines + request.prompt_tokens;
      const double held = (view.load.kv_used * static_cast<double>(facts()[i].kv_tokens) +
                           static_cast<double>(view.new_tokens)) /
                          engines;
      ranks[i].cost = (std::max(0.0, prefill - view.cached_tokens) + held) / kBlockTokens;
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_dynamo(const PolicyContext& context) {
  return std::make_unique<Dynamo>(context);
}

}  // namespace perigee::sim
