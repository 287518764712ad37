// Reads the usage records of sites that have ended from their ledgers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace perigee::lab {

struct StoredUsage {
  std::string id;
  std::string outcome;  // "completed"; "open": reserved and never settled
  std::string operation;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
};

// All records of the ledger at `path`, in no order; it is left as it is. Errors as
// sqlite::Database::open_to_read.
Result<std::vector<StoredUsage>> read_ledger(const std::string& path);

}  // namespace perigee::lab
