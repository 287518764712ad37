#include "ledger/ledger.h"

#include "base/assert.h"

namespace perigee {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::Completed: return "completed";
    case Outcome::Failed: return "failed";
    case Outcome::Abandoned: return "abandoned";
  }
  PERIGEE_ASSERT(false);
}

Error ledger_full(std::size_t places) {
  return {Code::ResourceExhausted,
          "the usage ledger has no place left (" + std::to_string(places) +
              " requests are running or not yet stored): repeat shortly, or try another site",
          "", kLedgerRetryAfterMs};
}

}  // namespace perigee
