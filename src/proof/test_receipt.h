// For tests: a receipt, and a log of some with its evidence.
#pragma once

#include <string>
#include <vector>

#include "proof/evidence.h"

namespace perigee::proof {

inline Receipt test_receipt(std::uint64_t leaf) {
  Receipt receipt;
  receipt.grid = "acme";
  receipt.site = SiteId{"metro-berlin"};
  receipt.log = "0123456789abcdef";
  receipt.leaf = leaf;
  receipt.nonce = {0x9f, 0x86};
  receipt.nonce.back() = static_cast<std::uint8_t>(leaf);
  receipt.request_id = "req_" + std::to_string(leaf);
  receipt.trace = "0af7651916cd43dd8448eb211c80319c";
  receipt.tenant = TenantId{"shop"};
  receipt.jurisdiction = JurisdictionId{"de"};
  receipt.model = ModelId{"perigee-demo"};
  receipt.model_digest = sha256("abc");
  receipt.policy_revision = 17;
  receipt.outcome = Outcome::Completed;
  receipt.began = WallTime{1790000000000000};
  receipt.ended = WallTime{1790000000250000};
  receipt.usage = {.prompt_tokens = 12, .completion_tokens = 40, .cached_tokens = 3};
  receipt.request = sha256({});
  receipt.response = sha256("abc");
  return receipt;
}

class TestLog final : public HashReader {
 public:
  explicit TestLog(std::uint64_t size) {
    while (frontier_.leaves() < size) add(receipt_text(test_receipt(frontier_.leaves())));
  }
  void add(const std::string& text) {
    texts_.push_back(text);
    frontier_.append(leaf_hash(text), stored_);
  }
  Result<Sha256> read(std::uint64_t position) const override { return stored_.at(position); }

  PublishedHead head(std::uint64_t size, const pki::KeyPair& key) const {
    const std::string origin = "acme/metro-berlin/0123456789abcdef";
    const TreeHead tree{size, root_at(size, *this).value()};
    return {sign_head(origin, tree, WallTime{1790000001000000}, key), key.public_key(), {}};
  }
  ReceiptEvidence evidence(std::uint64_t leaf, std::uint64_t size, const pki::KeyPair& key) const {
    return {texts_.at(leaf), leaf_hash(texts_.at(leaf)), *inclusion_proof(leaf, size, *this),
            head(size, key)};
  }
  LogEvidence since(std::uint64_t older, std::uint64_t size, const pki::KeyPair& key) const {
    return {older, *consistency_proof(older, size, *this), head(size, key)};
  }

 private:
  std::vector<std::string> texts_;
  std::vector<Sha256> stored_;
  MerkleFrontier frontier_;
};

}  // namespace perigee::proof
