#include "gateway/route_explain.h"

#include <boost/json.hpp>
#include <cmath>

#include "api/json_print.h"
#include "gateway/http_answer.h"

namespace perigee {
namespace {

namespace json = boost::json;

double rounded(double ms) { return std::round(ms * 1000) / 1000; }

// "engine" is null for a peer site, which chooses among its engines itself.
void add_name(json::object& object, const CandidateState* state) {
  object["site"] = state != nullptr ? state->id.site.str() : "";
  if (state != nullptr && !state->id.engine.empty())
    object["engine"] = state->id.engine.str();
  else
    object["engine"] = nullptr;
}

// Null where it is not known: then nothing is excluded.
json::value capability_names(Capabilities capabilities) {
  if (capabilities == kEverything) return nullptr;
  json::array names;
  if ((capabilities & kVision) != 0) names.emplace_back("vision");
  if ((capabilities & kGuidedOutput) != 0) names.emplace_back("guided_output");
  if ((capabilities & kEmbeddings) != 0) names.emplace_back("embeddings");
  if ((capabilities & kTools) != 0) names.emplace_back("tools");
  return names;
}

json::object prediction_json(const Router& router, const Prediction& prediction) {
  json::object object;
  const CandidateState* state = router.candidate(prediction.candidate);
  add_name(object, state);
  object["jurisdiction"] = state != nullptr ? state->jurisdiction.str() : "";
  if (prediction.rejection == Rejection::None)
    object["rejection"] = nullptr;
  else
    object["rejection"] = to_string(prediction.rejection);
  object["breaker"] = to_string(prediction.breaker);
  object["refusing"] = prediction.refusing;
  object["rtt_ms"] = rounded(prediction.rtt_ms);
  object["overhead_ms"] = rounded(prediction.overhead_ms);
  object["wait_ms"] = rounded(prediction.wait_ms);
  object["slot_ms"] = rounded(prediction.slot_ms);
  object["prefill_ms"] = rounded(prediction.prefill_ms);
  object["ttft_ms"] = rounded(prediction.ttft_ms);
  object["uncertainty_ms"] = rounded(prediction.uncertainty_ms);
  object["tpot_ms"] = rounded(prediction.tpot_ms);
  object["finish_ms"] = rounded(prediction.finish_ms);
  object["barrier_ms"] = rounded(prediction.barrier_ms);
  object["excess_ms"] = rounded(prediction.excess_ms);
  object["price_ms"] = rounded(prediction.price_ms);
  object["backbone_ms"] = rounded(prediction.backbone_ms);
  object["score_ms"] = rounded(prediction.score_ms);
  object["cached_tokens"] = prediction.cached_tokens;
  object["queued_tokens"] = prediction.queued_tokens;
  object["rate_tokens_per_s"] = rounded(prediction.rate_tokens_per_s);
  object["price_micros"] = prediction.price_micros;
  object["backbone_bytes"] = prediction.backbone_bytes;
  object["slots_usable"] = prediction.slots_usable;
  if (state == nullptr) return object;
  object["engines"] = state->engines;
  object["context_tokens"] = state->context_tokens;
  object["capabilities"] = capability_names(state->capabilities);
  object["attestation"] = to_string(state->attestation);
  object["price_micros_per_mtok"] = state->price_micros_per_mtok;
  object["backbone_ms_per_mib"] = rounded(state->backbone_ms_per_mib);
  object["reserved_share"] = rounded(state->reserved_share);
  object["power_share"] = rounded(state->power_share);
  object["held_blocks"] = state->held != nullptr ? state->held->inserted() : 0;
  return object;
}

json::object request_json(const RouteRequest& request) {
  json::object object;
  object["model"] = request.model.str();
  object["class"] = to_string(request.service_class);
  object["prompt_tokens"] = request.prompt_tokens;
  object["choices"] = request.choices;
  object["prefix_blocks"] = request.prefix_blocks.size();
  object["needs"] = capability_names(request.needs);
  json::array jurisdictions;
  for (const JurisdictionId& jurisdiction : request.jurisdictions) {
    jurisdictions.emplace_back(jurisdiction.str());
  }
  object["jurisdictions"] = std::move(jurisdictions);
  return object;
}

Operation operation_of_body(std::string_view body) {
  return body.find("\"messages\"") != std::string_view::npos ? Operation::Chat
                                                             : Operation::Completion;
}

}  // namespace

std::string explanation_body(const Router& router, const RouteRequest& request,
                             const RouteExplanation& explanation) {
  json::array candidates;
  for (const Prediction& prediction : explanation.candidates) {
    candidates.emplace_back(prediction_json(router, prediction));
  }
  json::array plan;
  for (const PlannedAttempt& attempt : explanation.attempts) {
    json::object object;
    add_name(object, router.candidate(attempt.candidate));
    object["reason"] = attempt.reason;
    object["ttft_ms"] = rounded(attempt.prediction.ttft_ms);
    plan.emplace_back(std::move(object));
  }
  json::object body;
  body["request"] = request_json(request);
  body["plan"] = std::move(plan);
  if (explanation.hedge_after)
    body["hedge_after_ms"] = rounded(to_ms(*explanation.hedge_after));
  else
    body["hedge_after_ms"] = nullptr;
  body["candidates"] = std::move(candidates);
  return api::print_json(body);
}

Task<> explain_route(const GatewayCall& call, const Inference& inference, Router& router,
                     const Clock& clock) {
  InferenceCall asked;
  asked.caller = call.caller;
  asked.body = call.request.body;
  asked.operation = operation_of_body(asked.body);
  auto hints = read_client_hints(call.request, false);
  if (!hints) {
    co_await respond_error(call.out, hints.error(), call.request_id);
    co_return;
  }
  asked.hints = std::move(*hints);
  auto request = inference.route_request(asked);
  if (!request) {
    co_await respond_error(call.out, request.error(), call.request_id);
    co_return;
  }
  const std::string body =
      explanation_body(router, *request, router.explain(*request, clock.now()));
  co_await respond_json(call.out, body, call.request_id);
}

}  // namespace perigee
