// Meter: counts what one request consumes and settles it in the ledger, whatever happens.
#pragma once

#include <memory>
#include <utility>

#include "base/clock.h"
#include "ledger/ledger.h"

namespace perigee {

// Reserved before work starts; settles in its destructor (rule C1); between, a long stream notes
// every kNoteInterval how far it is, which is what a crash of this site still bills. `ledger` and
// `clock` must outlive it.
inline constexpr Duration kNoteInterval = seconds{2};

class Meter {
 public:
  static Result<Meter> open(Ledger& ledger, const Clock& clock,
                            std::unique_ptr<UsageRecord> record) {
    record->ended = record->started;
    PERIGEE_CHECK(ledger.reserve(*record));
    return Meter{ledger, clock, std::move(record)};
  }
  Meter(Meter&& other) noexcept = default;
  Meter& operator=(Meter&&) = delete;
  ~Meter() {
    if (record_ == nullptr) return;
    record_->ended = clock_->wall();
    if (record_->serving_site.str().empty()) record_->prompt_tokens = 0;  // nothing ran
    ledger_->settle(std::move(record_));
  }

  void deliver(std::uint32_t tokens) {
    record_->completion_tokens += tokens;
    const Instant now = clock_->now();  // the calendar may be set back by hours
    if (now - noted_ < kNoteInterval) return;
    noted_ = now;
    record_->ended = clock_->wall();
    ledger_->note(*record_);
  }
  void serve_at(SiteId site) { record_->serving_site = std::move(site); }
  void finish(const Usage& usage) {
    record_->prompt_tokens = usage.prompt_tokens;
    record_->cached_tokens = usage.cached_tokens;
    record_->completion_tokens = usage.completion_tokens;
    record_->outcome = Outcome::Completed;
  }
  const TenantId& tenant() const { return record_->tenant; }
  const std::string& key_id() const { return record_->key_id; }
  void fail() { record_->outcome = Outcome::Failed; }

 private:
  Meter(Ledger& ledger, const Clock& clock, std::unique_ptr<UsageRecord> record)
      : ledger_(&ledger), clock_(&clock), noted_(clock.now()), record_(std::move(record)) {}
  Ledger* ledger_;
  const Clock* clock_;
  Instant noted_;
  std::unique_ptr<UsageRecord> record_;  // null once moved from: nothing to settle
};

}  // namespace perigee
