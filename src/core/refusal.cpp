// Why a plan has no candidate: the error of plan() and its words; words of refusals.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "core/admission.h"
#include "core/planner.h"

namespace perigee {
namespace {

std::uint32_t count(const PlanScratch& scratch, Rejection rejection) {
  return scratch.rejections[static_cast<std::size_t>(rejection)];
}

std::string_view words_for(Rejection rejection) {
  switch (rejection) {
    case Rejection::None:
    case Rejection::Model: break;
    case Rejection::Jurisdiction: return "excluded by jurisdiction";
    case Rejection::Capability: return "without what the request needs";
    case Rejection::Context: return "with a shorter context than the prompt";
    case Rejection::Attestation: return "without the attestation demanded";
    case Rejection::Price: return "above the price ceiling";
    case Rejection::Forwarded:
      return "at another site, and a forwarded request is not forwarded again";
    case Rejection::Tried: return "that failed this request before";
    case Rejection::Drained: return "drained";
    case Rejection::Unhealthy: return "unhealthy";
    case Rejection::Capacity: return "without free capacity";
    case Rejection::Breaker: return "breaker open";
  }
  PERIGEE_ASSERT(false);
}

std::string words_for(Capabilities needs) {
  constexpr std::array<std::pair<Capabilities, std::string_view>, 4> kWords{
      {{kVision, "images"},
       {kGuidedOutput, "guided output"},
       {kTools, "tools"},
       {kEmbeddings, "embeddings"}}};
  std::string text;
  for (const auto& [need, word] : kWords) {
    if ((needs & need) == 0) continue;
    text += text.empty() ? "" : " and ";
    text += word;
  }
  return text;
}

std::string exclusions(const PlanScratch& scratch, std::size_t total) {
  std::string text = std::to_string(total) + (total == 1 ? " candidate:" : " candidates:");
  bool first = true;
  for (std::size_t i = static_cast<std::size_t>(Rejection::Jurisdiction); i < kRejections; ++i) {
    const auto rejection = static_cast<Rejection>(i);
    if (count(scratch, rejection) == 0) continue;
    text += first ? " " : ", ";
    text += std::to_string(count(scratch, rejection));
    text += ' ';
    text += words_for(rejection);
    first = false;
  }
  return text;
}

// When the first open breaker may admit a probe; 0 when none is open.
std::int64_t retry_after_ms(const CandidateTable& candidates, const ModelEntry& model,
                            Instant now) {
  std::int64_t soonest = 0;
  for (const std::uint32_t slot : model.candidates) {
    const Candidate& candidate = candidates.at(slot);
    if (candidate.breaker.admits(now)) continue;
    const double wait = std::max(1.0, to_ms(candidate.breaker.probes_at() - now));
    const auto rounded = static_cast<std::int64_t>(wait + 0.999);
    soonest = soonest == 0 ? rounded : std::min(soonest, rounded);
  }
  return soonest;
}

// What the client has to change when lasting filters exclude every candidate: the last of them in
// the order in which they are asked, because only that stands between it and some candidates.
std::optional<Error> lasting(const RouteRequest& request, const PlanScratch& scratch,
                             std::size_t total) {
  std::size_t excluded = 0;
  Rejection last = Rejection::None;
  for (const Rejection rejection : {Rejection::Jurisdiction, Rejection::Capability,
                                    Rejection::Context, Rejection::Attestation, Rejection::Price}) {
    excluded += count(scratch, rejection);
    if (count(scratch, rejection) > 0) last = rejection;
  }
  if (excluded < total || total == 0) return std::nullopt;
  const std::string model = "'" + request.model.str() + "'";
  const std::string why = " (" + exclusions(scratch, total) + "); ";
  switch (last) {
    case Rejection::Jurisdiction:
      return Error{.code = Code::DataResidency,
                   .message = "no site that serves " + model + " stands under an allowed law" +
                              why + "allow more jurisdictions or add a site"};
    case Rejection::Capability:
      return Error{.code = Code::InvalidArgument,
                   .message = "no allowed site runs " + model + " with " +
                              words_for(request.needs) + why + "choose another model",
                   .param = "model"};
    case Rejection::Context:
      return Error{.code = Code::PayloadTooLarge,
                   .message = "the prompt is longer than any allowed site takes for " + model +
                              why + "send less",
                   .param = "messages"};
    case Rejection::Attestation:
      return Error{.code = Code::FailedPrecondition,
                   .message = "no allowed site proves of " + model +
                              " what is demanded: " + std::string{to_string(request.attestation)} +
                              why + "demand less or add a site"};
    default:
      return Error{.code = Code::FailedPrecondition,
                   .message = "every allowed site charges more for " + model +
                              " than the price ceiling" + why + "raise it"};
  }
}

}  // namespace

std::string_view to_string(AdmissionRefusal::Why why) {
  switch (why) {
    case AdmissionRefusal::Why::Full: return "full";
    case AdmissionRefusal::Why::TooLate: return "too_late";
    case AdmissionRefusal::Why::NoCapacity: return "no_capacity";
  }
  PERIGEE_ASSERT(false);
}

std::string_view to_string(Attestation attestation) {
  switch (attestation) {
    case Attestation::None: return "none";
    case Attestation::Measured: return "measured";
    case Attestation::Confidential: return "confidential";
  }
  PERIGEE_ASSERT(false);
}

std::string_view to_string(Rejection rejection) {
  switch (rejection) {
    case Rejection::None: return "none";
    case Rejection::Model: return "model";
    case Rejection::Jurisdiction: return "jurisdiction";
    case Rejection::Capability: return "capability";
    case Rejection::Context: return "context";
    case Rejection::Attestation: return "attestation";
    case Rejection::Price: return "price";
    case Rejection::Forwarded: return "forwarded";
    case Rejection::Tried: return "tried";
    case Rejection::Drained: return "drained";
    case Rejection::Unhealthy: return "unhealthy";
    case Rejection::Capacity: return "capacity";
    case Rejection::Breaker: return "breaker";
  }
  PERIGEE_ASSERT(false);
}

Error why_none(const PlanContext& context, const RouteRequest& request, Instant now,
               bool model_known, const PlanScratch& scratch) {
  const ModelEntry* model = context.candidates.model(request.model);
  if (!model_known || model == nullptr) {
    return {.code = Code::NotFound,
            .message = "the model '" + request.model.str() +
                       "' is not served by any known site; GET /v1/models lists those that are",
            .param = "model"};
  }
  const std::size_t total = model->candidates.size();
  if (auto error = lasting(request, scratch, total)) return std::move(*error);
  // What was forwarded to a site that drains, or that leaves its engine alone for a while, is told
  // to go elsewhere: a breaker over there that counted it would be open for longer than this one.
  const bool refuses = request.local_only && (count(scratch, Rejection::Drained) > 0 ||
                                              count(scratch, Rejection::Breaker) > 0);
  return {.code = refuses ? Code::ResourceExhausted : Code::Unavailable,
          .message = "no site can serve '" + request.model.str() + "' now (" +
                     exclusions(scratch, total) + "); try again later",
          .retry_after_ms = retry_after_ms(context.candidates, *model, now)};
}

}  // namespace perigee
