// The registry: every policy by name, written down by hand.
#include <array>

#include "sim/perigee_policy.h"
#include "sim/policy.h"
#include "sim/policy_list.h"

namespace perigee::sim {
namespace {

constexpr PolicyTraits kPerigee{.views = false, .admission = true};
constexpr PolicyTraits kRouter{.views = false};
constexpr PolicyTraits kPlain{};
constexpr PolicyTraits kPrefix{.prefixes = true};
constexpr PolicyTraits kCentral{.central = true};
constexpr PolicyTraits kTruth{.truth = true};

const std::array kPolicies{
    PolicyEntry{"perigee", "the production router and admission", kPerigee, make_perigee},
    PolicyEntry{"perigee_router", "the production router; engines first come, first served",
                kRouter, make_perigee},
    PolicyEntry{"round_robin", "each engine in turn (nginx)", kPlain, make_round_robin},
    PolicyEntry{"least_load", "fewest requests per engine, as last reported (shortest queue)",
                kPlain, make_least_load},
    PolicyEntry{"nearest", "the shortest round trip, whatever the load (anycast)", kPlain,
                make_nearest},
    PolicyEntry{"nearest_overflow", "the nearest that is not full (Gateway API saturation rule)",
                kPlain, make_nearest_overflow},
    PolicyEntry{"p2c", "the less loaded of two drawn (Mitzenmacher 2001)", kPlain, make_p2c},
    PolicyEntry{"prequal", "least latency among those not hot (Prequal, NSDI 2024)", kPlain,
                make_prequal},
    PolicyEntry{"smg_cache_aware", "best prefix match unless imbalanced (SGLang gateway)", kPrefix,
                make_smg_cache_aware},
    PolicyEntry{"smg_least_load", "least seconds of queued tokens and KV use (SGLang gateway)",
                kPlain, make_smg_least_load},
    PolicyEntry{"llmd_blend", "queue, KV use and prefix, 2:2:3 (llm-d until August 2026)", kPrefix,
                make_llmd_blend},
    PolicyEntry{"llmd_sticky", "sticky until saturated (llm-d since August 2026)", kPrefix,
                make_llmd_sticky},
    PolicyEntry{"dynamo", "least prefill and decode blocks (NVIDIA Dynamo)", kPrefix, make_dynamo},
    PolicyEntry{"gorgo", "round trip, queue and uncached prefill (arXiv 2602.11688)", kPrefix,
                make_gorgo},
    PolicyEntry{"skywalker", "selective pushing, prefix among available (EuroSys 2026)", kPrefix,
                make_skywalker},
    PolicyEntry{"lmetric", "new prefill tokens times batch size (arXiv 2603.15202)", kPrefix,
                make_lmetric},
    PolicyEntry{"central_round_robin", "all engines at one site, in turn", kCentral,
                make_round_robin},
    PolicyEntry{"central_pooled", "all engines at one site, one queue", kCentral,
                make_central_pooled},
    PolicyEntry{"oracle", "least true time to the last token: a bound", kTruth, make_oracle},
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
