// SiteReceipts: the receipts of this site (docs/receipts.md). Opens the site's log as soon as the
// grid's name is known, puts a ReceiptedEngine round each own engine, and answers for the log.
//
// IO thread. Until the log is open, and when it can't be, nothing is served by this site's engines:
// reserve() says why.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "control/member_files.h"
#include "directory/records.h"
#include "engine/engine.h"
#include "pki/key_pair.h"
#include "proof/file/receipt_writer.h"
#include "proof/receipt_book.h"

namespace perigee {

// Signs heads with the site's key; takes another key and certificate at any time.
class SiteSigner final : public proof::HeadSigner {
 public:
  struct Credential {
    pki::KeyPair key;
    std::vector<std::string> certificates = {};  // as in PublishedHead
    std::string key_signature = {};
  };
  // Any thread.
  void use(Credential credential);
  proof::PublishedHead sign(std::string_view origin, const proof::TreeHead& tree,
                            WallTime time) override;

 private:
  std::atomic<std::shared_ptr<const Credential>> credential_;
};

class SiteReceipts final : public proof::ReceiptBook {
 public:
  // `state_dir` will hold `receipts/` and, unless the site's certificate is for an Ed25519 key,
  // `receipt.key`.
  // `clock` must outlive it. `keep`: as ReceiptWriterOptions::keep. `law`: under which the site
  // stands by its own file; empty: as the directory says.
  SiteReceipts(std::string state_dir, SiteId site, JurisdictionId law, const Clock& clock,
               Duration keep);

  // With the first directory that names the grid opens the log; later does nothing but take over
  // what receipts say of the directory. Errors as ReceiptLog::open.
  Result<> follow(const DirectorySnapshot& directory);
  // From now on heads carry this certificate, and are signed with its key. A key of another kind
  // than Ed25519 (an operator's PKI) vouches for `receipt.key` instead, which goes on signing.
  // InvalidArgument: a key that can't vouch, a chain that is too long; what was used goes on.
  Result<> use(const control::MemberIdentity& identity);
  // Stores and signs what was given. Nothing may be given any more.
  void close() { writer_.reset(); }

  std::shared_ptr<Engine> wrap(const ModelId& model, std::shared_ptr<Engine> engine);
  // Null before the log is open.
  proof::ReceiptWriter* writer() const { return writer_.get(); }

  Result<> reserve() override;
  void give_back() noexcept override { writer_->give_back(); }
  std::string give(std::unique_ptr<proof::ReceiptDraft> draft) noexcept override {
    return writer_->give(std::move(draft));
  }

 private:
  Result<> open(const std::string& grid);
  Result<pki::KeyPair> own_key() const;
  Result<SiteSigner::Credential> credential_of(const control::MemberIdentity& identity) const;
  std::shared_ptr<const proof::ReceiptFacts> facts(const ModelId& model);

  std::string state_dir_;
  SiteId site_;
  JurisdictionId law_;
  const Clock& clock_;
  Duration keep_;
  SiteSigner signer_;
  bool certified_ = false;
  std::map<ModelId, std::string> digests_;  // hex, of the directory
  JurisdictionId jurisdiction_;
  std::uint64_t revision_ = 0;
  std::map<ModelId, std::shared_ptr<const proof::ReceiptFacts>> facts_;
  std::string closed_because_ = "the directory is not known yet";
  std::unique_ptr<proof::ReceiptWriter> writer_;
};

}  // namespace perigee
