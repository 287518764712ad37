// Usage records of a trial: how a site keeps and ships them, and how control merges them.
//
// A site reserves a place before work starts, and writes the reservation down; it settles the place
// when the request has ended. What is settled reaches the disk kStoreTime later; a crash before
// that leaves the reservation, which is settled at the restart, as abandoned and with no tokens.
// Stored records are shipped again and again until control has said that it has them.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "ledger/ledger.h"
#include "sim/event_queue.h"

namespace perigee::sim {

inline constexpr Nanos kStoreTime = 100'000'000;
inline constexpr std::size_t kShipmentMax = 64;  // records

struct TrialRecord {
  std::uint64_t id = 0;       // names the record for good
  std::uint32_t request = 0;  // the truth, for checkers
  std::uint32_t site = 0;
  std::uint32_t tokens = 0;
  Outcome outcome = Outcome::Abandoned;
  std::int64_t ended_us = 0;  // by the site's wall clock
  std::uint64_t place = 0;    // where its site keeps it
};

class RecordStore {
 public:
  explicit RecordStore(std::uint32_t places) : places_(places) {}

  bool full() const { return taken() >= places_; }
  std::uint32_t taken() const { return static_cast<std::uint32_t>(entries_.size()); }
  std::uint32_t open() const { return open_; }
  // Returns the place. The caller has looked at full().
  std::uint64_t reserve(const TrialRecord& record);
  // `stored`: when it is on the disk; kNever: the disk is full.
  void settle(std::uint64_t place, const TrialRecord& record, Nanos stored);
  void disk_mended(Nanos now);
  // What was not stored by `now` is open again ...
  void crash(Nanos now);
  // ... and settled as abandoned when the site comes back; returns how many were.
  std::uint32_t recover(Nanos now, std::int64_t wall_us);
  // The oldest stored ones.
  std::vector<TrialRecord> shipment(Nanos now) const;
  void acknowledged(const std::vector<TrialRecord>& records);

 private:
  struct Entry {
    TrialRecord record;
    bool settled = false;
    Nanos stored = kNever;
  };
  std::uint32_t places_;
  std::uint32_t open_ = 0;
  std::uint64_t next_ = 1;
  std::map<std::uint64_t, Entry> entries_;  // by place
};

// Control's table of records: one per id, the completed one where there are two.
class RecordTable {
 public:
  enum class Merge : std::uint8_t { Added, Known, Merged };
  Merge merge(const TrialRecord& record);
  const std::map<std::uint64_t, TrialRecord>& records() const { return records_; }

 private:
  std::map<std::uint64_t, TrialRecord> records_;  // by id
};

}  // namespace perigee::sim
