// SiteMetrics: what /metrics of a site shows, in Prometheus text. One IO thread writes.
#pragma once

#include <cstdint>
#include <string>

#include "gateway/inference.h"
#include "metrics/registry.h"
#include "site/status_page.h"

namespace perigee {

class SiteMetrics final : public InferenceObserver {
 public:
  explicit SiteMetrics(std::string_view version);
  void on_done(Operation operation, const ModelId& model, int status, Duration took,
               std::optional<Duration> first_token, const Usage& usage) override;
  void on_retry(const ModelId& model, Code why) override;
  void on_resumed(const ModelId& model, Code why, Duration gap) override;
  void on_hedged(const ModelId& model, bool second_won) override;
  std::uint64_t requests() const { return requests_; }  // ended since start
  // Gauges are taken from `status` now.
  std::string exposition(const SiteStatus& status);

 private:
  // Every request by its labels, kept at hand for the last ones seen: looking labels up costs a
  // string each.
  struct Recent {
    Operation operation = Operation::Chat;
    ModelId model;
    int status = 0;
    metrics::Counter* requests = nullptr;
    metrics::Histogram* duration = nullptr;
    metrics::Histogram* first_token = nullptr;
    metrics::Counter* prompt_tokens = nullptr;
    metrics::Counter* cached_tokens = nullptr;
    metrics::Counter* completion_tokens = nullptr;
  };
  Recent& recent(Operation operation, const ModelId& model, int status);

  metrics::Registry registry_;
  metrics::Family<metrics::Counter>& requests_total_;
  metrics::Family<metrics::Histogram>& duration_;
  metrics::Family<metrics::Histogram>& first_token_;
  metrics::Family<metrics::Counter>& tokens_;
  metrics::Family<metrics::Counter>& retries_;
  metrics::Family<metrics::Counter>& resumes_;
  metrics::Family<metrics::Histogram>& gap_;
  metrics::Family<metrics::Counter>& hedges_;
  metrics::Family<metrics::Gauge>& running_;
  metrics::Family<metrics::Gauge>& connections_;
  metrics::Family<metrics::Gauge>& connected_;
  metrics::Family<metrics::Gauge>& engine_up_;
  metrics::Family<metrics::Gauge>& engine_restarts_;
  metrics::Family<metrics::Gauge>& engine_slots_busy_;
  metrics::Family<metrics::Gauge>& engine_queued_tokens_;
  metrics::Family<metrics::Gauge>& queue_requests_;
  metrics::Family<metrics::Gauge>& queue_wait_;
  metrics::Family<metrics::Gauge>& peer_up_;
  metrics::Family<metrics::Gauge>& peer_rtt_;
  metrics::Family<metrics::Gauge>& peer_failures_;
  metrics::Family<metrics::Gauge>& breaker_open_;
  metrics::Family<metrics::Gauge>& draining_;
  metrics::Family<metrics::Gauge>& usage_waiting_;
  metrics::Family<metrics::Gauge>& certificate_expiry_;
  metrics::Family<metrics::Gauge>& receipt_leaves_;
  metrics::Family<metrics::Gauge>& receipt_first_kept_;
  metrics::Family<metrics::Gauge>& receipt_bytes_;
  metrics::Family<metrics::Counter>& receipt_heads_;
  metrics::Family<metrics::Gauge>& receipt_head_age_;
  Recent recent_;
  std::uint64_t requests_ = 0;
};

}  // namespace perigee
