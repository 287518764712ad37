// AttemptReport: tells the router how one attempt went, whatever happens: abandoned, unless said
// otherwise before its destructor runs (rule C1).
#pragma once

#include "base/clock.h"
#include "core/router.h"
#include "engine/engine.h"

namespace perigee {

class AttemptReport {
 public:
  // Counts the attempt as started. `router` and `clock` must outlive it. `streams`: the answer
  // comes as it is made.
  AttemptReport(Router& router, const Clock& clock, CandidateIndex candidate,
                const RouteRequest& request, bool streams)
      : router_(router),
        clock_(clock),
        began_(clock.now()),
        ticket_(router.started(candidate, request, began_)),
        streams_(streams) {
    outcome_.kind = AttemptOutcome::Kind::Abandoned;
  }
  AttemptReport(const AttemptReport&) = delete;
  AttemptReport& operator=(const AttemptReport&) = delete;
  ~AttemptReport() {
    const Instant now = clock_.now();
    // How long a whole answer was awaited in vain tells nothing of its first token.
    const bool tells = streams_ || outcome_.kind != AttemptOutcome::Kind::Abandoned;
    if (tells) outcome_.finished = now - began_;
    router_.finished(ticket_, outcome_, now);
  }

  void first_token() {
    if (outcome_.first_token) return;
    const Instant now = clock_.now();
    outcome_.first_token = now - began_;
    router_.first_token(ticket_, now);
  }
  void served(const Usage& usage) {
    outcome_.kind = AttemptOutcome::Kind::Served;
    outcome_.usage = usage;
  }
  void failed(const Error& error, Refused refused = Refused::No) {
    if (error.code == Code::ResourceExhausted || refused != Refused::No) {
      outcome_.kind = AttemptOutcome::Kind::Refused;
    } else if (error.code == Code::Unavailable || error.code == Code::Protocol ||
               error.code == Code::DeadlineExceeded || error.code == Code::Internal) {
      outcome_.kind = AttemptOutcome::Kind::Failed;
    }
  }

 private:
  Router& router_;
  const Clock& clock_;
  Instant began_;
  AttemptTicket ticket_;
  AttemptOutcome outcome_;
  bool streams_;
};

}  // namespace perigee
