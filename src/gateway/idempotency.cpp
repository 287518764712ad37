#include "gateway/idempotency.h"

#include <utility>
#include <vector>

#include "api/headers.h"
#include "gateway/inference.h"

namespace perigee {
namespace {

constexpr std::uint64_t kDayMicros = 24ULL * 3600 * 1'000'000;
constexpr std::int64_t kRetryAfterMs = 1000;

Error refused(std::string message) {
  return Error{Code::InvalidArgument, std::move(message),
               std::string{api::headers::kIdempotencyKey}};
}

std::uint64_t number_at(const Sha256& digest, std::size_t offset) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < sizeof number; ++i) number = number << 8 | digest.at(offset + i);
  return number;
}

// Names are told apart by a line break, which none of them has.
Sha256 name_of(const TenantId& tenant, std::string_view key) {
  return sha256(tenant.str() + "\n" + std::string{key});
}

}  // namespace

Sha256 request_fingerprint(const InferenceCall& call) {
  std::string all{to_string(call.operation)};
  for (const JurisdictionId& jurisdiction : call.hints.jurisdictions) {
    all += "\n" + jurisdiction.str();
  }
  return sha256(all + "\n\n" + to_hex(sha256(call.body)));
}

RecordId record_id(const TenantId& tenant, std::string_view key, const Sha256& fingerprint,
                   WallTime now) {
  const Sha256 digest =
      sha256("usage\n" + tenant.str() + "\n" + std::string{key} + "\n" + to_hex(fingerprint));
  const auto micros = static_cast<std::uint64_t>(now.micros);
  return {micros - micros % kDayMicros + number_at(digest, 0) % kDayMicros, number_at(digest, 8)};
}

IdempotencyTable::IdempotencyTable(const Clock& clock, IdempotencyLimits limits)
    : clock_(clock), limits_(limits) {}

Result<IdempotencyTable::Entered> IdempotencyTable::enter(const TenantId& tenant,
                                                          std::string_view key,
                                                          const Sha256& fingerprint) {
  forget_old();
  const Sha256 name = name_of(tenant, key);
  if (const auto known = entries_.find(name); known != entries_.end()) {
    Entry& entry = known->second;
    if (entry.fingerprint != fingerprint) {
      return refused(
          "This key was used with another request: repeat a request as it was, and choose a new "
          "key for a new one.");
    }
    return entry.recording != nullptr ? join(entry) : begin(name, entry);
  }
  PERIGEE_CHECK(make_place());
  Entry& entry = entries_[name];
  entry.fingerprint = fingerprint;
  entry.place = ended_.insert(ended_.end(), name);
  return begin(name, entry);
}

Result<IdempotencyTable::Entered> IdempotencyTable::begin(const Sha256& name, Entry& entry) {
  if (entry.runs >= limits_.runs_max) {
    return refused("This key's request was begun and cut off too often; choose a new key.");
  }
  ++entry.runs;
  entry.running = true;
  ended_.erase(entry.place);
  entry.recording = std::make_shared<Recording>(limits_.answer_bytes_max, bytes_);
  Entered entered;
  entered.run.emplace(*this, name, entry.recording);
  return entered;
}

Result<IdempotencyTable::Entered> IdempotencyTable::join(Entry& entry) {
  if (entry.recording->state() == Recording::State::TooLong) {
    return refused(
        "This key's answer was too long to be kept: it can't be given twice. Choose a new key to "
        "run the request again.");
  }
  if (entry.recording->readers() >= limits_.readers_max) {
    return Error{Code::ResourceExhausted, "Too many requests with this key wait for its answer.",
                 std::string{api::headers::kIdempotencyKey}, kRetryAfterMs};
  }
  ++replays_;
  Entered entered;
  entered.followed = entry.recording;
  return entered;
}

Result<> IdempotencyTable::make_place() {
  if (entries_.size() < limits_.entries_max) return {};
  if (ended_.empty()) {
    return Error{Code::ResourceExhausted,
                 "Too many requests with an 'idempotency-key' are running.",
                 std::string{api::headers::kIdempotencyKey}, kRetryAfterMs};
  }
  forget_oldest();
  return {};
}

void IdempotencyTable::make_room(Recording& recording, std::size_t bytes) {
  if (recording.state() != Recording::State::Running) return;
  while (*bytes_ + bytes > limits_.bytes_max && !ended_.empty()) forget_oldest();
  if (*bytes_ + bytes > limits_.bytes_max) recording.give_up_bytes();
}

IdempotencyTable::Entry* IdempotencyTable::find(const Sha256& name,
                                                const std::shared_ptr<Recording>& recording) {
  const auto known = entries_.find(name);
  return known != entries_.end() && known->second.recording == recording ? &known->second : nullptr;
}

void IdempotencyTable::ended(const Sha256& name, const std::shared_ptr<Recording>& recording) {
  Entry* entry = find(name, recording);
  if (entry == nullptr) return;
  rest(name, *entry);
  if (recording->complete()) return;
  entry->recording.reset();
  if (recording->began()) return;  // its runs are counted
  ended_.erase(entry->place);
  entries_.erase(name);
}

void IdempotencyTable::abandoned(const Sha256& name, const std::shared_ptr<Recording>& recording) {
  Entry* entry = find(name, recording);
  if (entry == nullptr) return;
  rest(name, *entry);
  entry->recording.reset();
}

void IdempotencyTable::rest(const Sha256& name, Entry& entry) {
  entry.running = false;
  entry.closing = nullptr;
  entry.ended = clock_.now();
  entry.place = ended_.insert(ended_.end(), name);
}

void IdempotencyTable::watch_closing(const Sha256& name,
                                     const std::shared_ptr<Recording>& recording,
                                     std::function<void()> closing) {
  if (Entry* entry = find(name, recording)) entry->closing = std::move(closing);
}

void IdempotencyTable::close() {
  closed_ = true;
  for (auto& [name, entry] : entries_) {
    if (entry.running && entry.closing) entry.closing();
  }
}

void IdempotencyTable::forget_oldest() {
  entries_.erase(ended_.front());
  ended_.pop_front();
}

void IdempotencyTable::forget_old() {
  const Instant now = clock_.now();
  while (!ended_.empty() && now - entries_.at(ended_.front()).ended > limits_.age_max) {
    forget_oldest();
  }
}

}  // namespace perigee
