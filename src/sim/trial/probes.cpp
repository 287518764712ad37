#include "sim/trial/probes.h"

namespace perigee::sim {

std::string_view to_string(Probe probe) {
  static constexpr std::array<std::string_view, kProbes> kNames{"forwarded",
                                                                "retried_before_token",
                                                                "resumed",
                                                                "resumed_twice",
                                                                "resumed_under_law",
                                                                "waited",
                                                                "moved_from_silence",
                                                                "hedge_sent",
                                                                "hedge_won",
                                                                "breaker_opened",
                                                                "breaker_probed",
                                                                "refused_realtime",
                                                                "refused_interactive",
                                                                "refused_standard",
                                                                "refused_batch",
                                                                "refused_full",
                                                                "refused_too_late",
                                                                "dropped_from_queue",
                                                                "refused_by_law",
                                                                "missed_deadline",
                                                                "double_fault",
                                                                "island_served",
                                                                "ingress_died_in_stream",
                                                                "client_came_back",
                                                                "answer_replayed",
                                                                "answer_under_way",
                                                                "client_left",
                                                                "site_stopped",
                                                                "engine_died",
                                                                "message_held_by_cut",
                                                                "piece_corrupted",
                                                                "peer_suspected",
                                                                "digest_muted",
                                                                "disk_full_refused",
                                                                "ledger_full_refused",
                                                                "settled_at_restart",
                                                                "record_waited",
                                                                "record_shipped_twice",
                                                                "record_merged",
                                                                "clock_jumped"};
  return kNames.at(static_cast<std::size_t>(probe));
}

}  // namespace perigee::sim
