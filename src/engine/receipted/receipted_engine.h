// ReceiptedEngine: an engine of this site, of whose every answer a receipt is given
// (docs/receipts.md). It sees what the gateway hands on to the client, byte for byte, and names the
// receipt in Finished; neither the gateway nor the engine behind it knows more of it.
//
// An answer that ended, well or not, has a receipt if any of it was yielded; so has one whose
// Generation was destroyed. Costs a stream some 400 bytes, and the IO thread the hash of what
// passes.
#pragma once

#include <functional>
#include <memory>

#include "base/clock.h"
#include "engine/engine.h"
#include "proof/receipt_book.h"

namespace perigee {

// IO thread. `book` and `clock` must outlive it and its generations.
class ReceiptedEngine final : public Engine {
 public:
  // `facts` gives those of this engine's model now.
  using Facts = std::function<std::shared_ptr<const proof::ReceiptFacts>()>;
  ReceiptedEngine(std::shared_ptr<Engine> engine, proof::ReceiptBook& book, const Clock& clock,
                  Facts facts);
  // ResourceExhausted or Unavailable when no receipt can be given: nothing is served without one.
  std::unique_ptr<Generation> start(const Job& job, EventSink& sink) override;

 private:
  std::shared_ptr<Engine> engine_;
  proof::ReceiptBook& book_;
  const Clock& clock_;
  Facts facts_;
};

}  // namespace perigee
