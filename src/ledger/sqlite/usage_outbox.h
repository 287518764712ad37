// UsageOutbox: the settled records of a site's usage.db that control has not acknowledged, oldest
// settlement first, and the cursor that says how far it has. A connection of its own beside the
// writer's (sqlite_ledger.h); on one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "ledger/ledger.h"

namespace perigee {

// Records that control has are kept for the site's own use, the newest of them:
inline constexpr std::int64_t kShippedKept = 1'000'000;

struct UsageBatch {
  std::vector<UsageRecord> records;
  std::int64_t last = 0;  // to give to shipped() once they are acknowledged
};

class UsageOutbox {
 public:
  // Errors as sqlite::Database::open.
  static Result<std::unique_ptr<UsageOutbox>> open(const std::string& path);
  ~UsageOutbox();
  UsageOutbox(const UsageOutbox&) = delete;
  UsageOutbox& operator=(const UsageOutbox&) = delete;
  // The next `most` records; empty when all are shipped. A row that can't be read is left out and
  // logged.
  Result<UsageBatch> next(std::size_t most);
  // Moves the cursor, and forgets what is beyond kShippedKept. Not forced to the disk: a cursor
  // that a power failure takes back delivers some records twice, and their ids make them count
  // once.
  Result<> shipped(std::int64_t last);
  // How many wait. Sequences have no gaps: no row need be read to count them.
  Result<std::uint64_t> waiting();

 private:
  struct Store;
  explicit UsageOutbox(std::unique_ptr<Store> store);
  std::unique_ptr<Store> store_;
};

}  // namespace perigee
