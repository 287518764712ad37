#include "sim/trial/record_store.h"

#include "base/assert.h"

namespace perigee::sim {

std::uint64_t RecordStore::reserve(const TrialRecord& record) {
  ++open_;
  entries_.emplace(next_, Entry{.record = record}).first->second.record.place = next_;
  return next_++;
}

void RecordStore::settle(std::uint64_t place, const TrialRecord& record, Nanos stored) {
  const auto found = entries_.find(place);
  PERIGEE_ASSERT(found != entries_.end() && !found->second.settled);
  found->second = {.record = record, .settled = true, .stored = stored};
  found->second.record.place = place;
  --open_;
}

void RecordStore::disk_mended(Nanos now) {
  for (auto& [place, entry] : entries_) {
    if (entry.settled && entry.stored == kNever) entry.stored = now;
  }
}

void RecordStore::crash(Nanos now) {
  for (auto& [place, entry] : entries_) {
    if (!entry.settled || entry.stored <= now) continue;
    entry.settled = false;
    ++open_;
  }
}

std::uint32_t RecordStore::recover(Nanos now, std::int64_t wall_us) {
  std::uint32_t count = 0;
  for (auto& [place, entry] : entries_) {
    if (entry.settled) continue;
    entry.record.tokens = 0;
    entry.record.outcome = Outcome::Abandoned;
    entry.record.ended_us = wall_us;
    entry.settled = true;
    entry.stored = now;
    --open_;
    ++count;
  }
  return count;
}

std::vector<TrialRecord> RecordStore::shipment(Nanos now) const {
  std::vector<TrialRecord> records;
  for (const auto& [place, entry] : entries_) {
    if (records.size() == kShipmentMax) break;
    if (entry.settled && entry.stored <= now) records.push_back(entry.record);
  }
  return records;
}

void RecordStore::acknowledged(const std::vector<TrialRecord>& records) {
  for (const TrialRecord& record : records) entries_.erase(record.place);
}

RecordTable::Merge RecordTable::merge(const TrialRecord& record) {
  const auto [found, fresh] = records_.try_emplace(record.id, record);
  if (fresh) return Merge::Added;
  TrialRecord& known = found->second;
  const bool same = known.site == record.site && known.ended_us == record.ended_us &&
                    known.outcome == record.outcome;
  if (same) return Merge::Known;
  const bool better = record.outcome == Outcome::Completed && known.outcome != Outcome::Completed;
  const bool longer = known.outcome != Outcome::Completed && record.tokens > known.tokens;
  if (better || longer) known = record;
  return Merge::Merged;
}

}  // namespace perigee::sim
