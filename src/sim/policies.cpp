// The registry: every policy by name, written down by hand.
#include <array>

#include "sim/perigee_policy.h"
#include "sim/policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr PolicyTraits kPerigee{.views = false, .admission = true};
constexpr PolicyTraits kPlain{};
constexpr PolicyTraits kCentral{.central = true};

const std::array kPolicies{
    PolicyEntry{"perigee", "the production router and admission", kPerigee, make_perigee},
    PolicyEntry{"round_robin", "each site in turn", kPlain, make_round_robin},
    PolicyEntry{"least_load", "fewest requests under way, as last reported", kPlain,
                make_least_load},
    PolicyEntry{"nearest", "the nearest engine, whatever its load", kPlain, make_nearest},
    PolicyEntry{"central_round_robin", "all engines at one site, in turn", kCentral,
                make_round_robin},
    PolicyEntry{"central_pooled", "all engines at one site, one queue", kCentral,
                make_central_pooled},
};

}  // namespace

std::span<const PolicyEntry> policies() { return kPolicies; }

const PolicyEntry* find_policy(std::string_view name) {
  for (const PolicyEntry& entry : kPolicies) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace perigee::sim
