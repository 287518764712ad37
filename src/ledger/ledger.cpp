#include "ledger/ledger.h"

#include <charconv>
#include <tuple>

#include "base/assert.h"
#include "base/hex.h"

namespace perigee {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::Completed: return "completed";
    case Outcome::Failed: return "failed";
    case Outcome::Abandoned: return "abandoned";
  }
  PERIGEE_ASSERT(false);
}

std::optional<Outcome> parse_outcome(std::string_view name) {
  for (const Outcome outcome : {Outcome::Completed, Outcome::Failed, Outcome::Abandoned}) {
    if (to_string(outcome) == name) return outcome;
  }
  return std::nullopt;
}

std::optional<Operation> parse_operation(std::string_view name) {
  for (const Operation operation : {Operation::Chat, Operation::Completion, Operation::Embedding}) {
    if (to_string(operation) == name) return operation;
  }
  return std::nullopt;
}

std::string to_string(const RecordId& id) {
  std::string text(2 * kHexDigits64, '0');
  write_hex(id.time_us, text.data());
  write_hex(id.chance, text.data() + kHexDigits64);
  return text;
}

std::optional<RecordId> parse_record_id(std::string_view text) {
  const auto read = [](std::string_view digits, std::uint64_t& value) {
    if (digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return false;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    return error == std::errc{} && end == digits.data() + digits.size();
  };
  RecordId id;
  if (text.size() != 2 * kHexDigits64 || !read(text.substr(0, kHexDigits64), id.time_us) ||
      !read(text.substr(kHexDigits64), id.chance)) {
    return std::nullopt;
  }
  return id;
}

bool replaces(const UsageRecord& newer, const UsageRecord& stored) {
  const auto rank = [](const UsageRecord& record) {
    return std::tuple{record.outcome == Outcome::Completed, record.completion_tokens,
                      record.prompt_tokens, record.ended};
  };
  return rank(newer) > rank(stored);
}

Error ledger_full(std::size_t places) {
  return {Code::ResourceExhausted,
          "the usage ledger has no place left (" + std::to_string(places) +
              " requests are running or not yet stored): repeat shortly, or try another site",
          "", kLedgerRetryAfterMs};
}

}  // namespace perigee
