// SqliteLedger: usage records in one SQLite file, written by a thread of its own.
//
// The IO thread counts places and moves what is reserved, noted and settled into a queue; the
// writer takes what has gathered and commits it as one transaction. A request that begins and ends
// within one batch is one row; one that lasts longer is a row of `open_request` until it is
// settled. When the disk fails, the writer keeps its batch and tries again, the places fill, and
// reserve() refuses new work: nothing is served that can't be billed. A file of `spare_bytes`
// beside the database (".spare") holds room for what waits in memory: it is given up when the disk
// is full at the end, and made again at the next start if the disk has twice as much. What does not
// fit even so is stored in parts, as many as do.
//
// What a crash of the process loses: what was given within the last `batch_time` plus one commit.
// What is found open at the next start is settled as abandoned, with what was noted last; where
// nothing had been delivered, nothing is billed. The file is never torn: one transaction a batch,
// in a write-ahead log (docs/reliability.md).
//
//   usage         sequence -> a settled record; numbers grow with settlement: shipping follows them
//   open_request  id -> a record that was reserved and not yet settled
//   shipping      the last sequence that control has acknowledged (usage_outbox.h)
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "base/bounded_queue.h"
#include "base/instant.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/spare_space.h"

namespace perigee {

struct SqliteLedgerOptions {
  std::size_t places = 32'768;  // records reserved or not yet stored
  Duration batch_time = milliseconds{100};
  Duration retry_time = seconds{1};  // between two tries on a failing disk
  // All places took 22 MiB in a measurement with names of full length. 0: none is held.
  std::uint64_t spare_bytes = 32U << 20;
};

// reserve(), note() and settle() on any thread, never waiting. One record's calls come in order.
class SqliteLedger final : public Ledger {
 public:
  // Opens or creates the file (0600), and settles what a crash left open: `recovered` says how many
  // that were. One process a file. Errors as sqlite::Database::open.
  static Result<std::unique_ptr<SqliteLedger>> open(const std::string& path,
                                                    SqliteLedgerOptions options = {});
  ~SqliteLedger() override;  // closes it
  Result<> reserve(const UsageRecord& begun) override;
  void note(const UsageRecord& so_far) override;
  void settle(std::unique_ptr<UsageRecord> record) noexcept override;
  std::uint64_t recovered() const { return recovered_; }
  // Stores what has been given, and nothing later. How many settled records the disk did not take:
  // they are lost, and a line in the log says so.
  std::uint64_t close();

 private:
  class Store;
  struct Entry {
    std::unique_ptr<UsageRecord> record;
    bool settled = false;
    bool noted = false;
  };
  SqliteLedger(std::unique_ptr<Store> store, std::uint64_t recovered, SpareSpace spare,
               SqliteLedgerOptions options);
  void write_batches();
  bool write(std::span<const Entry> batch, bool& closing);
  std::uint64_t write_in_parts(std::vector<Entry> batch);
  void give_back(const std::vector<Entry>& batch);
  const SqliteLedgerOptions options_;
  const std::uint64_t recovered_;
  std::unique_ptr<Store> store_;  // the writer's
  SpareSpace spare_;              // the writer's
  std::uint64_t lost_ = 0;        // the writer's, until it has ended
  // A place has one reservation and one settlement in the queue at most; notes have their own
  // count.
  BoundedQueue<Entry> queue_;
  std::atomic<std::int64_t> places_left_;
  std::atomic<std::int64_t> notes_left_;
  std::thread writer_;  // last: starts when all else is ready
};

}  // namespace perigee
