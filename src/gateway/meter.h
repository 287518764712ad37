// Meter: counts what one request consumes and settles it in the ledger, whatever happens.
#pragma once

#include <memory>
#include <utility>

#include "base/clock.h"
#include "ledger/ledger.h"

namespace perigee {

// Reserved before work starts; settles in its destructor (rule C1). `ledger` and `clock` must
// outlive it.
class Meter {
 public:
  static Result<Meter> open(Ledger& ledger, const Clock& clock,
                            std::unique_ptr<UsageRecord> record) {
    PERIGEE_CHECK(ledger.reserve());
    return Meter{ledger, clock, std::move(record)};
  }
  Meter(Meter&& other) noexcept = default;
  Meter& operator=(Meter&&) = delete;
  ~Meter() {
    if (record_ == nullptr) return;
    record_->ended = clock_->wall();
    if (record_->serving_site.str().empty()) record_->prompt_tokens = 0;  // nothing ran
    ledger_->settle(std::move(*record_));
  }

  void deliver(std::uint32_t tokens) { record_->completion_tokens += tokens; }
  void serve_at(SiteId site) { record_->serving_site = std::move(site); }
  void finish(const Usage& usage) {
    record_->prompt_tokens = usage.prompt_tokens;
    record_->cached_tokens = usage.cached_tokens;
    record_->completion_tokens = usage.completion_tokens;
    record_->outcome = Outcome::Completed;
  }
  void fail() { record_->outcome = Outcome::Failed; }

 private:
  Meter(Ledger& ledger, const Clock& clock, std::unique_ptr<UsageRecord> record)
      : ledger_(&ledger), clock_(&clock), record_(std::move(record)) {}
  Ledger* ledger_;
  const Clock* clock_;
  std::unique_ptr<UsageRecord> record_;  // null once moved from: nothing to settle
};

}  // namespace perigee
