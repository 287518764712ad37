#include "site/site_metrics.h"

#include "metrics/buckets.h"

namespace perigee {

SiteMetrics::SiteMetrics(std::string_view version)
    : requests_total_(registry_.counter({"perigee_requests_total",
                                         "Inference requests ended, by HTTP status",
                                         {"operation", "model", "status"}})),
      duration_(registry_.histogram({"perigee_request_duration_seconds",
                                     "From the request's arrival to its last byte",
                                     {"operation", "model"}},
                                    metrics::kDurationBuckets)),
      first_token_(
          registry_.histogram({"perigee_time_to_first_token_seconds",
                               "From the request's arrival to the first byte of the answer",
                               {"operation", "model"}},
                              metrics::kTimeToFirstTokenBuckets)),
      tokens_(registry_.counter(
          {"perigee_tokens_total", "Tokens of completed requests", {"model", "type"}})),
      retries_(registry_.counter({"perigee_retries_total",
                                  "Attempts that failed before the first byte",
                                  {"model", "why"}})),
      resumes_(registry_.counter({"perigee_stream_resumes_total",
                                  "Streams that went on at another engine",
                                  {"model", "why"}})),
      gap_(registry_.histogram({"perigee_stream_gap_seconds",
                                "From the last token before such a switch to the next one",
                                {"model"}},
                               metrics::kTimeToFirstTokenBuckets)),
      hedges_(registry_.counter({"perigee_hedges_total",
                                 "Second attempts beside a late first one, by who answered first",
                                 {"model", "won"}})),
      running_(registry_.gauge({"perigee_requests_running", "Inference requests under way"})),
      connections_(registry_.gauge({"perigee_connections", "Open client connections"})),
      connected_(registry_.gauge({"perigee_control_connected", "1: follows control, 0: island"})),
      engine_up_(registry_.gauge({"perigee_engine_up", "1: ready", {"engine", "model"}})),
      engine_restarts_(registry_.gauge(
          {"perigee_engine_restarts", "Restarts since the site's start", {"engine", "model"}})),
      engine_slots_busy_(
          registry_.gauge({"perigee_engine_slots_busy", "Sequences running", {"engine", "model"}})),
      engine_queued_tokens_(registry_.gauge({"perigee_engine_queued_tokens",
                                             "Prompt tokens accepted and not yet prefilled",
                                             {"engine", "model"}})),
      queue_requests_(registry_.gauge(
          {"perigee_queue_requests", "Requests that wait for an engine", {"model", "class"}})),
      queue_wait_(registry_.gauge({"perigee_queue_wait_seconds",
                                   "Predicted wait of a request that came now",
                                   {"model", "class"}})),
      peer_up_(registry_.gauge({"perigee_peer_up", "1: answers", {"peer"}})),
      peer_rtt_(registry_.gauge({"perigee_peer_rtt_seconds", "Smoothed round trip", {"peer"}})),
      peer_failures_(registry_.gauge(
          {"perigee_peer_failures", "Exchanges failed in a row; 2: suspect, 10: gone", {"peer"}})),
      breaker_open_(registry_.gauge({"perigee_breaker_open",
                                     "0: closed, 0.5: half open, 1: open",
                                     {"site", "engine", "model"}})),
      draining_(registry_.gauge({"perigee_draining", "1: takes no new work"})),
      usage_waiting_(registry_.gauge(
          {"perigee_usage_records_waiting", "Usage records that control has not acknowledged"})),
      certificate_expiry_(registry_.gauge({"perigee_certificate_expiry_timestamp_seconds",
                                           "When this site's certificate ends, since 1970"})),
      receipt_leaves_(registry_.gauge(
          {"perigee_receipt_log_leaves", "Receipts that this site's log holds, signed"})),
      receipt_first_kept_(registry_.gauge(
          {"perigee_receipt_log_first_kept", "The first leaf of the log whose text is kept"})),
      receipt_bytes_(
          registry_.gauge({"perigee_receipt_log_bytes", "Of the log of receipts on the disk"})),
      receipt_heads_(registry_.counter(
          {"perigee_receipt_heads_total", "Heads of the log signed since the site's start"})),
      receipt_head_age_(registry_.gauge(
          {"perigee_receipt_head_age_seconds", "Since the newest head was signed"})) {
  registry_.add_build_info(version, "");
}

SiteMetrics::Recent& SiteMetrics::recent(Operation operation, const ModelId& model, int status) {
  if (recent_.requests != nullptr && recent_.operation == operation && recent_.status == status &&
      recent_.model == model) {
    return recent_;
  }
  const std::string_view name = to_string(operation);
  // Before a model is known to exist its name is the client's invention: no label for it.
  const std::string_view label =
      model.empty() ? std::string_view{"unknown"} : std::string_view{model.str()};
  recent_ = Recent{operation,
                   model,
                   status,
                   &requests_total_.with({name, label, std::to_string(status)}),
                   &duration_.with({name, label}),
                   &first_token_.with({name, label}),
                   &tokens_.with({label, "prompt"}),
                   &tokens_.with({label, "cached"}),
                   &tokens_.with({label, "completion"})};
  return recent_;
}

void SiteMetrics::on_done(Operation operation, const ModelId& model, int status, Duration took,
                          std::optional<Duration> first_token, const Usage& usage) {
  ++requests_;
  Recent& series = recent(operation, model, status);
  series.requests->add();
  series.duration->observe(to_seconds(took));
  if (first_token) series.first_token->observe(to_seconds(*first_token));
  series.prompt_tokens->add(usage.prompt_tokens);
  series.cached_tokens->add(usage.cached_tokens);
  series.completion_tokens->add(usage.completion_tokens);
}

void SiteMetrics::on_retry(const ModelId& model, Code why) {
  retries_.with({model.str(), to_string(why)}).add();
}

void SiteMetrics::on_resumed(const ModelId& model, Code why, Duration gap) {
  resumes_.with({model.str(), to_string(why)}).add();
  gap_.with({model.str()}).observe(to_seconds(gap));
}

void SiteMetrics::on_hedged(const ModelId& model, bool second_won) {
  hedges_.with({model.str(), second_won ? "second" : "first"}).add();
}

std::string SiteMetrics::exposition(const SiteStatus& status) {
  running_.with({}).set(static_cast<double>(status.streams));
  connections_.with({}).set(static_cast<double>(status.connections));
  connected_.with({}).set(status.connected ? 1 : 0);
  draining_.with({}).set(status.drained || status.stopping ? 1 : 0);
  usage_waiting_.with({}).set(static_cast<double>(status.usage.waiting));
  if (status.certificate_until.micros != 0) {
    certificate_expiry_.with({}).set(static_cast<double>(status.certificate_until.micros) / 1e6);
  }
  if (status.receipts) {
    receipt_leaves_.with({}).set(static_cast<double>(status.receipts->leaves));
    receipt_first_kept_.with({}).set(static_cast<double>(status.receipts->first_kept));
    receipt_bytes_.with({}).set(static_cast<double>(status.receipts->bytes));
    metrics::Counter& heads = receipt_heads_.with({});
    heads.add(status.receipts->heads - heads.value());
    receipt_head_age_.with({}).set(to_seconds(status.head_age));
  }
  for (auto* family :
       {&engine_up_, &engine_restarts_, &engine_slots_busy_, &engine_queued_tokens_,
        &queue_requests_, &queue_wait_, &peer_up_, &peer_rtt_, &peer_failures_, &breaker_open_}) {
    family->clear();
  }
  for (const QueueStatus& queue : status.queues) {
    for (std::size_t i = 0; i < AdmissionStats::kLevels; ++i) {
      const AdmissionStats::Level& level = queue.stats.levels.at(i);
      const std::string_view name = AdmissionStats::level_name(i);
      queue_requests_.with({queue.model.str(), name}).set(level.requests);
      queue_wait_.with({queue.model.str(), name}).set(to_seconds(level.wait_predicted));
    }
  }
  for (const EngineStatus& engine : status.engines) {
    const std::string_view name = engine.name.str();
    const std::string_view model = engine.model.str();
    engine_up_.with({name, model}).set(engine.state == EngineState::Ready ? 1 : 0);
    engine_restarts_.with({name, model}).set(engine.restarts);
    engine_slots_busy_.with({name, model}).set(engine.load.slots_busy);
    engine_queued_tokens_.with({name, model}).set(static_cast<double>(engine.load.queued_tokens));
  }
  for (const PeerStatus& peer : status.peers) {
    peer_up_.with({peer.site.str()}).set(peer.state == PeerState::Up ? 1 : 0);
    peer_rtt_.with({peer.site.str()}).set(to_seconds(peer.rtt));
    peer_failures_.with({peer.site.str()}).set(peer.failures);
  }
  for (const BreakerReport& report : status.breakers) {
    const CandidateId& id = report.candidate;
    const BreakerState state = report.state;
    breaker_open_.with({id.site.str(), id.engine.str(), id.model.str()})
        .set(state == BreakerState::Closed ? 0
             : state == BreakerState::Open ? 1
                                           : 0.5);
  }
  return registry_.exposition();
}

}  // namespace perigee
