// MemoryLedger: a Ledger that keeps its records in a vector. For tests and the simulator.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "ledger/ledger.h"

namespace perigee {

class MemoryLedger final : public Ledger {
 public:
  explicit MemoryLedger(std::size_t places = 1'000'000);
  Result<> reserve(const UsageRecord& begun) override;
  void note(const UsageRecord& /*so_far*/) override { ++notes_; }
  void settle(std::unique_ptr<UsageRecord> record) noexcept override;
  const std::vector<UsageRecord>& records() const { return records_; }
  std::size_t reserved() const { return reserved_; }
  std::size_t notes() const { return notes_; }  // ever made

 private:
  std::size_t places_;
  std::size_t reserved_ = 0;
  std::size_t notes_ = 0;
  std::vector<UsageRecord> records_;
};

}  // namespace perigee
