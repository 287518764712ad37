// ControlMetrics: what /metrics of control shows, in Prometheus text. On the IO thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "control/usage_desk.h"
#include "directory/records.h"
#include "metrics/registry.h"

namespace perigee::control {

// What stands at the moment of a scrape, beside the directory.
struct ControlFigures {
  std::size_t watches = 0;
  std::size_t connections = 0;
  std::uint64_t audit_lines = 0;
  UsageCounts usage;
  std::map<std::string, IssuerKeysState> issuers;
};

class ControlMetrics {
 public:
  explicit ControlMetrics(std::string_view version);
  std::string exposition(const DirectorySnapshot& directory, const ControlFigures& figures);

 private:
  metrics::Registry registry_;
  metrics::Family<metrics::Gauge>& revision_;
  metrics::Family<metrics::Gauge>& rows_;
  metrics::Family<metrics::Gauge>& watches_;
  metrics::Family<metrics::Gauge>& connections_;
  metrics::Family<metrics::Gauge>& audit_lines_;
  metrics::Family<metrics::Counter>& usage_records_;
  metrics::Family<metrics::Counter>& usage_full_;
  metrics::Family<metrics::Gauge>& usage_aside_;
  metrics::Family<metrics::Gauge>& keys_fetched_;
  metrics::Family<metrics::Gauge>& keys_failures_;
};

}  // namespace perigee::control
