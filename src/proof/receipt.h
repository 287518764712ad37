// Receipt: what a site says that it did for one request. Its text is a leaf of the site's log; the
// format is documented in docs/receipts.md. No word of a prompt or an answer is in it: their hashes
// let who has both show that they belong together.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/instant.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/inference.h"
#include "ledger/ledger.h"

namespace perigee::proof {

inline constexpr std::size_t kReceiptBytesMax = 4096;

// Random bytes in each receipt: a proof shows hashes of other tenants' leaves, and nobody must be
// able to find out by guessing what such a leaf says.
using Nonce = std::array<std::uint8_t, 16>;

struct Receipt {
  std::string grid;
  SiteId site;  // that served it
  std::string log;
  std::uint64_t leaf = 0;  // its number in that log
  Nonce nonce{};
  std::string request_id;
  std::string trace;  // trace-id of its traceparent, 32 hexadecimal digits; empty: none given
  TenantId tenant;
  JurisdictionId jurisdiction;  // that the site is under
  ModelId model;
  std::optional<Sha256> model_digest;  // of its weights; none: the directory does not say
  std::uint64_t policy_revision = 0;   // of the directory by which it was planned
  Operation operation = Operation::Chat;
  Outcome outcome = Outcome::Abandoned;
  WallTime began;
  WallTime ended;
  Usage usage;
  std::uint32_t resumed_tokens = 0;  // of the answer, made elsewhere before
  Sha256 request{};                  // of the client's body, byte for byte
  // Of the answer's JSON as the client gets it. Of a stream: of each event's data and a line feed
  // after it, without the last one, [DONE].
  Sha256 response{};
};

// The canonical text: lines "name: value" in a fixed order.
std::string receipt_text(const Receipt& receipt);
// Adds it to what `out` has.
void append_text(const Receipt& receipt, std::string& out);
// InvalidArgument unless it is what receipt_text() would write.
Result<Receipt> parse_receipt(std::string_view text);

// How a receipt is asked for: site, leaf and the first bytes of the nonce,
// "metro-berlin.12.9f86d081". The last part makes sure that after a crash, which may lose the
// receipts of the last moments, an id never names the receipt of somebody else.
struct ReceiptId {
  SiteId site;
  std::uint64_t leaf = 0;
  std::uint32_t mark = 0;
  friend bool operator==(const ReceiptId&, const ReceiptId&) = default;
};
ReceiptId id_of(const Receipt& receipt);
std::uint32_t mark_of(const Nonce& nonce);
std::string to_string(const ReceiptId& id);
// InvalidArgument.
Result<ReceiptId> parse_receipt_id(std::string_view text);

}  // namespace perigee::proof
