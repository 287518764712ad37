// ReceiptBook: where receipts are asked for as answers end.
#pragma once

#include <memory>
#include <string>

#include "proof/receipt.h"
#include "proof/sha256_stream.h"

namespace perigee::proof {

// Longer answers are hashed as they pass instead of being kept until they are.
inline constexpr std::size_t kHashedLaterBytesMax = 4096;

// What is the same for all receipts of a model while the directory stays.
struct ReceiptFacts {
  JurisdictionId jurisdiction;
  ModelId model;
  std::optional<Sha256> model_digest;
  std::uint64_t policy_revision = 0;
};

// One request as it is served: kept small, since thousands of streams hold one.
struct ReceiptDraft {
  std::shared_ptr<const ReceiptFacts> facts;
  std::shared_ptr<const std::string> body;  // of the request; hashed later, kept nowhere
  BodySpan not_the_clients;                 // part of it that an ingress added
  std::string request_id;
  std::string trace;
  TenantId tenant;
  WallTime began;
  WallTime ended;
  Usage usage;
  Sha256Stream response;
  std::string whole;  // a short answer that is no stream, hashed later; empty: `response` has it
  std::uint32_t resumed_tokens = 0;
  Operation operation = Operation::Chat;
  Outcome outcome = Outcome::Abandoned;
};

// IO thread, never waiting.
class ReceiptBook {
 public:
  virtual ~ReceiptBook() = default;
  // Takes a place for a receipt, so that give() can't fail. ResourceExhausted when full.
  virtual Result<> reserve() = 0;
  virtual void give_back() noexcept = 0;  // of a place: there is nothing to give a receipt for
  // The receipt's id. Exactly one of give() and give_back() per successful reserve().
  virtual std::string give(std::unique_ptr<ReceiptDraft> draft) noexcept = 0;
};

}  // namespace perigee::proof
