// GET /grid/v1/status: what a site is doing, as JSON (wire names are stable).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/usage_shipper.h"
#include "directory/records.h"
#include "peer/peer_exchange.h"
#include "proof/file/receipt_writer.h"
#include "site/breaker_watch.h"
#include "site/local_engines.h"

namespace perigee {

struct SiteStatus {
  SiteId site;
  std::uint64_t revision = 0;
  bool connected = false;   // to control; else an island
  bool drained = false;     // by an operator
  bool stopping = false;    // the process is about to end
  std::size_t running = 0;  // on this site's engines, whoever sent it
  Duration uptime{};
  std::size_t streams = 0;  // requests under way here, those that run elsewhere too
  std::size_t connections = 0;
  std::uint64_t requests = 0;  // ended since start
  std::vector<EngineStatus> engines;
  std::vector<QueueStatus> queues;
  std::vector<PeerStatus> peers;
  std::vector<BreakerReport> breakers;            // of all candidates
  std::string control_fault;                      // why control is not followed; empty while it is
  control::ShippingStatus usage;                  // records on their way to control
  WallTime certificate_until;                     // of this site's own; 0: it has none
  std::optional<proof::ReceiptFigures> receipts;  // once their log is open
  Duration head_age{};                            // of its newest head
};

std::string status_body(const SiteStatus& status, Instant now);

}  // namespace perigee
