#include "site/site_receipts.h"

#include <utility>

#include "base/log.h"
#include "base/private_file.h"
#include "engine/receipted/receipted_engine.h"
#include "pki/any_key.h"
#include "proof/evidence.h"

namespace perigee {
namespace {

constexpr std::size_t kKeyBytesMax = 4096;
constexpr std::size_t kChainBytesMax = std::size_t{64} * 1024;
constexpr std::int64_t kRetryAfterMs = 1000;

}  // namespace

void SiteSigner::use(Credential credential) {
  credential_.store(std::make_shared<const Credential>(std::move(credential)));
}

proof::PublishedHead SiteSigner::sign(std::string_view origin, const proof::TreeHead& tree,
                                      WallTime time) {
  const std::shared_ptr<const Credential> with = credential_.load();
  return {proof::sign_head(origin, tree, time, with->key), with->key.public_key(),
          with->certificates, with->key_signature};
}

SiteReceipts::SiteReceipts(std::string state_dir, SiteId site, JurisdictionId law,
                           const Clock& clock, Duration keep)
    : state_dir_(std::move(state_dir)),
      site_(std::move(site)),
      law_(std::move(law)),
      clock_(clock),
      keep_(keep) {}

Result<> SiteReceipts::use(const control::MemberIdentity& identity) {
  PERIGEE_TRY(credential, credential_of(identity));
  certified_ = true;
  signer_.use(std::move(credential));
  if (writer_ != nullptr) writer_->sign_again();
  return {};
}

Result<SiteSigner::Credential> SiteReceipts::credential_of(
    const control::MemberIdentity& identity) const {
  const net::TlsCertificate& own = identity.tls.own;
  PERIGEE_TRY(chain, pki::certificates_from_pem(own.chain_pem));
  if (chain.size() > proof::kCertificatesMax || own.chain_pem.size() > kChainBytesMax) {
    return Error{Code::InvalidArgument,
                 "the certificate's chain is too long for receipts: 8 certificates and 64 KiB at "
                 "most"};
  }
  std::vector<std::string> certificates;
  for (const pki::Certificate& certificate : chain) certificates.push_back(certificate.to_pem());
  if (identity.certificate.ed25519_key()) {
    PERIGEE_TRY(key, pki::KeyPair::from_pem(own.key_pem));
    return SiteSigner::Credential{std::move(key), std::move(certificates)};
  }
  PERIGEE_TRY(key, own_key());
  const std::string statement =
      proof::head_key_statement(identity.certificate.spiffe_id(), key.public_key());
  PERIGEE_TRY(signature, pki::sign_with(own.key_pem, statement));
  return SiteSigner::Credential{std::move(key), std::move(certificates), std::move(signature)};
}

Result<> SiteReceipts::follow(const DirectorySnapshot& directory) {
  const auto self = directory.sites.find(site_);
  // What is signed is the site's own word, also against a directory that says otherwise.
  if (self != directory.sites.end()) {
    jurisdiction_ = law_.empty() ? self->second.jurisdiction : law_;
  }
  revision_ = directory.revision;
  facts_.clear();
  digests_.clear();
  for (const auto& [id, model] : directory.models) {
    if (!model.sha256.empty()) digests_.emplace(id, model.sha256);
  }
  if (writer_ != nullptr || directory.grid.empty()) return {};
  auto opened = open(directory.grid);
  if (!opened) closed_because_ = opened.error().message;
  return opened;
}

Result<> SiteReceipts::open(const std::string& grid) {
  if (!certified_) {
    PERIGEE_TRY(key, own_key());
    signer_.use({std::move(key)});
  }
  proof::ReceiptWriterOptions options;
  options.keep = keep_;
  PERIGEE_TRY(writer, proof::ReceiptWriter::open(state_dir_ + "/receipts", grid, site_, signer_,
                                                 clock_, options));
  writer_ = std::move(writer);
  log::info("receipts are logged",
            {{"leaves", writer_->given()}, {"recovered", writer_->recovered()}});
  return {};
}

Result<pki::KeyPair> SiteReceipts::own_key() const {
  const std::string path = state_dir_ + "/receipt.key";
  auto pem = read_private_file(path, kKeyBytesMax);
  if (!pem && pem.error().code == Code::NotFound) {
    pki::KeyPair key = pki::KeyPair::generate();
    PERIGEE_CHECK(create_private_file(path, key.to_pem()));
    return key;
  }
  PERIGEE_TRY(text, std::move(pem));
  return pki::KeyPair::from_pem(text);
}

std::shared_ptr<const proof::ReceiptFacts> SiteReceipts::facts(const ModelId& model) {
  std::shared_ptr<const proof::ReceiptFacts>& facts = facts_[model];
  if (facts == nullptr) {
    proof::ReceiptFacts made{jurisdiction_, model, {}, revision_};
    const auto digest = digests_.find(model);
    if (digest != digests_.end() && !from_hex(digest->second, made.model_digest.emplace())) {
      made.model_digest.reset();
    }
    facts = std::make_shared<const proof::ReceiptFacts>(std::move(made));
  }
  return facts;
}

std::shared_ptr<Engine> SiteReceipts::wrap(const ModelId& model, std::shared_ptr<Engine> engine) {
  return std::make_shared<ReceiptedEngine>(std::move(engine), *this, clock_,
                                           [this, model] { return facts(model); });
}

Result<> SiteReceipts::reserve() {
  if (writer_ != nullptr) return writer_->reserve();
  return Error{Code::Unavailable, "This site gives no receipts: " + closed_because_, "",
               kRetryAfterMs};
}

}  // namespace perigee
