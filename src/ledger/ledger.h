// Ledger: where usage records live. Reserve a place before work starts; settle in a destructor on
// success, failure and abandonment alike (design, section 8). Pricing and shipping build on this.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/instant.h"
#include "base/result.h"
#include "core/inference.h"

namespace perigee {

enum class Outcome : std::uint8_t { Completed, Failed, Abandoned };
std::string_view to_string(Outcome outcome);  // "completed", "failed", "abandoned"
std::optional<Outcome> parse_outcome(std::string_view name);
std::optional<Operation> parse_operation(std::string_view name);

// Names a record for good, so that shipping it twice bills it once. Grows with time, so that a
// store grows at its end; that of a request with an `Idempotency-Key` by days only, since it is
// made from the key (gateway/idempotency.h). As text: 32 hexadecimal digits.
struct RecordId {
  std::uint64_t time_us = 0;
  std::uint64_t chance = 0;
  friend auto operator<=>(const RecordId&, const RecordId&) = default;
};
std::string to_string(const RecordId& id);
std::optional<RecordId> parse_record_id(std::string_view text);

// What one request consumed.
struct UsageRecord {
  RecordId id;
  TenantId tenant;
  std::string key_id;
  ModelId model;
  SiteId ingress_site;
  SiteId serving_site;
  Operation operation = Operation::Chat;
  ServiceClass service_class = ServiceClass::Standard;
  WallTime started;
  WallTime ended;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t cached_tokens = 0;
  std::uint32_t completion_tokens = 0;  // as delivered to the client
  Outcome outcome = Outcome::Abandoned;
};

// Whether `newer` takes the place of `stored`, which has the same id: one of them is billed. The
// one that was completed, else the one that delivered more: in whatever order they come, the same
// one stands.
bool replaces(const UsageRecord& newer, const UsageRecord& stored);

// Threads: all on the IO thread, never blocking; an implementation that stores does so on a thread
// of its own. What is reserved and never settled, because the process died, is settled as abandoned
// by the next one that opens the same store, with what it was told last.
class Ledger {
 public:
  virtual ~Ledger() = default;
  // Takes a place for a record that begins, so that settle() can't fail. ResourceExhausted when
  // full.
  virtual Result<> reserve(const UsageRecord& begun) = 0;
  // What a reserved record stands at by now, so that a crash forgets less. May be left out when
  // busy.
  virtual void note(const UsageRecord& so_far) = 0;
  // Gives the place back with its record. Exactly once per successful reserve(). Never fails.
  virtual void settle(std::unique_ptr<UsageRecord> record) noexcept = 0;
};

// What reserve() answers when full.
inline constexpr std::int64_t kLedgerRetryAfterMs = 1000;
Error ledger_full(std::size_t places);

}  // namespace perigee
