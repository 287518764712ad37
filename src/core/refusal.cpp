// Why a plan has no candidate: the error of plan() and its words.
#include <algorithm>
#include <string>

#include "base/assert.h"
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
    case Rejection::Forwarded:
      return "at another site, and a forwarded request is not forwarded again";
    case Rejection::Drained: return "drained";
    case Rejection::Unhealthy: return "unhealthy";
    case Rejection::Breaker: return "breaker open";
  }
  PERIGEE_ASSERT(false);
}

std::string exclusions(const PlanScratch& scratch, std::size_t total) {
  std::string text = std::to_string(total) + (total == 1 ? " candidate:" : " candidates:");
  bool first = true;
  for (const Rejection rejection : {Rejection::Jurisdiction, Rejection::Forwarded,
                                    Rejection::Drained, Rejection::Unhealthy, Rejection::Breaker}) {
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

}  // namespace

std::string_view to_string(Rejection rejection) {
  switch (rejection) {
    case Rejection::None: return "none";
    case Rejection::Model: return "model";
    case Rejection::Jurisdiction: return "jurisdiction";
    case Rejection::Forwarded: return "forwarded";
    case Rejection::Drained: return "drained";
    case Rejection::Unhealthy: return "unhealthy";
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
  if (count(scratch, Rejection::Jurisdiction) == total) {
    return {.code = Code::DataResidency,
            .message = "no site that serves '" + request.model.str() +
                       "' stands under an allowed law (" + exclusions(scratch, total) +
                       "); allow more jurisdictions or add a site"};
  }
  return {.code = Code::Unavailable,
          .message = "no site can serve '" + request.model.str() + "' now (" +
                     exclusions(scratch, total) + "); try again later",
          .retry_after_ms = retry_after_ms(context.candidates, *model, now)};
}

}  // namespace perigee
