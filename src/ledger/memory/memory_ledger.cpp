#include "ledger/memory/memory_ledger.h"

#include <utility>

#include "base/assert.h"

namespace perigee {

MemoryLedger::MemoryLedger(std::size_t places) : places_(places) {}

Result<> MemoryLedger::reserve(const UsageRecord& /*begun*/) {
  if (records_.size() + reserved_ >= places_) return ledger_full(places_);
  ++reserved_;
  return {};
}

void MemoryLedger::settle(std::unique_ptr<UsageRecord> record) noexcept {
  PERIGEE_ASSERT(reserved_ > 0);
  --reserved_;
  records_.push_back(std::move(*record));
}

}  // namespace perigee
