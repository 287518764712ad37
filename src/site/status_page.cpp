#include "site/status_page.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "api/json_print.h"

namespace perigee {
namespace {

namespace json = boost::json;

double rounded(double value) { return std::round(value * 1000) / 1000; }

json::object load_json(const EngineLoad& load) {
  return json::object{{"slots", load.slots},
                      {"slots_busy", load.slots_busy},
                      {"queued_requests", load.queued_requests},
                      {"queued_tokens", load.queued_tokens},
                      {"kv_used", rounded(load.kv_used)},
                      {"prefill_tokens_per_s", rounded(load.prefill_tokens_per_s)},
                      {"decode_ms", rounded(load.decode_ms)}};
}

json::object engine_json(const EngineStatus& engine, Instant now) {
  json::object object{{"name", engine.name.str()},   {"model", engine.model.str()},
                      {"external", engine.external}, {"state", to_string(engine.state)},
                      {"restarts", engine.restarts}, {"load", load_json(engine.load)}};
  if (engine.last_fault.empty())
    object["last_fault"] = nullptr;
  else
    object["last_fault"] = engine.last_fault;
  if (engine.heard == Instant{})  // an external engine, or one that never answered
    object["silent_ms"] = nullptr;
  else
    object["silent_ms"] = rounded(to_ms(now - engine.heard));
  if (engine.pid == 0)
    object["pid"] = nullptr;
  else
    object["pid"] = engine.pid;
  return object;
}

json::object queue_json(const QueueStatus& queue) {
  json::object classes;
  for (std::size_t i = 0; i < AdmissionStats::kLevels; ++i) {
    const AdmissionStats::Level& level = queue.stats.levels.at(i);
    classes[AdmissionStats::level_name(i)] =
        json::object{{"requests", level.requests},
                     {"tokens", level.tokens},
                     {"oldest_ms", rounded(to_ms(level.oldest))},
                     {"wait_ms", rounded(to_ms(level.wait_predicted))},
                     {"released", level.released},
                     {"refused", level.refused}};
  }
  return json::object{{"model", queue.model.str()},   {"requests", queue.stats.requests},
                      {"tokens", queue.stats.tokens}, {"running", queue.stats.running},
                      {"slots", queue.stats.slots},   {"preempted", queue.stats.preempted},
                      {"classes", std::move(classes)}};
}

json::object peer_json(const PeerStatus& peer, Instant now) {
  json::array models;
  for (const ModelId& model : peer.models) models.emplace_back(model.str());
  json::object object{{"site", peer.site.str()},
                      {"state", to_string(peer.state)},
                      {"rtt_ms", rounded(to_ms(peer.rtt))},
                      {"models", std::move(models)}};
  if (peer.heard == Instant{})
    object["age_ms"] = nullptr;
  else
    object["age_ms"] = rounded(to_ms(now - peer.heard));
  object["since_ms"] = rounded(to_ms(now - peer.since));
  object["failures"] = peer.failures;
  if (peer.state == PeerState::Up || peer.fault.empty())
    object["fault"] = nullptr;
  else
    object["fault"] = peer.fault;
  return object;
}

// Only those that are not simply closed: most never are otherwise.
json::array breakers_json(const SiteStatus& status, Instant now) {
  json::array all;
  for (const BreakerReport& report : status.breakers) {
    if (report.state == BreakerState::Closed) continue;
    json::object object{{"site", report.candidate.site.str()},
                        {"engine", nullptr},
                        {"model", report.candidate.model.str()},
                        {"state", to_string(report.state)},
                        {"since_ms", rounded(to_ms(now - report.since))}};
    if (!report.candidate.engine.empty()) object["engine"] = report.candidate.engine.str();
    all.emplace_back(std::move(object));
  }
  return all;
}

// Usage records that control has not acknowledged yet.
json::object usage_json(const control::ShippingStatus& usage) {
  json::object object{{"waiting", usage.waiting}, {"shipped", usage.shipped}};
  if (usage.error.empty())
    object["fault"] = nullptr;
  else
    object["fault"] = usage.error;
  return object;
}

json::object receipts_json(const SiteStatus& status) {
  const proof::ReceiptFigures& figures = *status.receipts;
  return {{"leaves", figures.leaves},
          {"first_kept", figures.first_kept},
          {"bytes", figures.bytes},
          {"head_age_s", rounded(to_seconds(status.head_age))}};
}

}  // namespace

std::string status_body(const SiteStatus& status, Instant now) {
  json::array engines;
  for (const EngineStatus& engine : status.engines) engines.emplace_back(engine_json(engine, now));
  json::array queues;
  for (const QueueStatus& queue : status.queues) queues.emplace_back(queue_json(queue));
  json::array peers;
  for (const PeerStatus& peer : status.peers) peers.emplace_back(peer_json(peer, now));
  json::object body{{"site", status.site.str()},
                    {"revision", status.revision},
                    {"control", status.connected ? "connected" : "island"},
                    {"control_fault", nullptr},
                    {"drained", status.drained},
                    {"stopping", status.stopping},
                    {"running", status.running},
                    {"uptime_s", rounded(to_seconds(status.uptime))},
                    {"streams", status.streams},
                    {"connections", status.connections},
                    {"requests", status.requests},
                    {"engines", std::move(engines)},
                    {"queues", std::move(queues)},
                    {"peers", std::move(peers)},
                    {"breakers", breakers_json(status, now)},
                    {"usage", usage_json(status.usage)}};
  if (status.receipts) body["receipts"] = receipts_json(status);
  if (!status.control_fault.empty()) body["control_fault"] = status.control_fault;
  return api::print_json(body);
}

}  // namespace perigee
