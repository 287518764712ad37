// SqliteLedger: usage records in one SQLite file, written by a thread of its own.
//
// The IO thread counts places and moves a record into a queue; the writer takes what has gathered
// and commits it as one transaction. A record given to settle() is on the disk within
// `batch_time` plus one commit; destruction stores all that is queued. When the disk fails, the
// writer keeps its batch and tries again, the places fill, and reserve() refuses new work: nothing
// is served that can't be billed.
//
// A crash of the process loses what was queued (at most `batch_time` of traffic) and what was
// reserved and not settled. Recovering those needs a journal of reservations: `open_requests` of a
// later layout, written where reserve() is now a count.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>

#include "base/bounded_queue.h"
#include "base/instant.h"
#include "ledger/ledger.h"

namespace perigee {

struct SqliteLedgerOptions {
  std::size_t places = 32'768;  // records reserved or not yet stored
  Duration batch_time = milliseconds{100};
  Duration retry_time = seconds{1};  // between two tries on a failing disk
};

// reserve() and settle() on any thread, never waiting.
class SqliteLedger final : public Ledger {
 public:
  // Opens or creates the file (0600); errors as sqlite::Database::open.
  static Result<std::unique_ptr<SqliteLedger>> open(const std::string& path,
                                                    SqliteLedgerOptions options = {});
  ~SqliteLedger() override;
  Result<> reserve() override;
  void settle(UsageRecord&& record) noexcept override;

 private:
  class Store;
  SqliteLedger(std::unique_ptr<Store> store, SqliteLedgerOptions options);
  void write_batches();
  const SqliteLedgerOptions options_;
  std::unique_ptr<Store> store_;  // the writer's
  BoundedQueue<UsageRecord> queue_;
  std::atomic<std::int64_t> places_left_;
  std::thread writer_;  // last: starts when all else is ready
};

}  // namespace perigee
