// POST /v1/route/explain: where a request would run, with every candidate and every term.
#pragma once

#include <string>

#include "core/router.h"
#include "gateway/gateway.h"
#include "gateway/inference.h"

namespace perigee {

// The JSON answer (docs/routing.md says how to read it).
std::string explanation_body(const Router& router, const RouteRequest& request,
                             const RouteExplanation& explanation);

// Answers for a chat or completion body without running it.
Task<> explain_route(const GatewayCall& call, const Inference& inference, Router& router,
                     const Clock& clock);

}  // namespace perigee
