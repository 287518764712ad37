#include "site/site_receipts.h"

#include <utility>

#include "base/log.h"
#include "control/private_file.h"
#include "engine/receipted/receipted_engine.h"
#include "proof/evidence.h"

namespace perigee {
namespace {

constexpr std::size_t kKeyBytesMax = 4096;
constexpr std::int64_t kRetryAfterMs = 1000;

}  // namespace

void SiteSigner::use(pki::KeyPair key, const std::vector<pki::Certificate>& chain) {
  auto credential = std::make_shared<Credential>(std::move(key));
  for (const pki::Certificate& certificate : chain) {
    credential->certificates.push_back(certificate.to_pem());
  }
  credential_.store(std::move(credential));
}

proof::PublishedHead SiteSigner::sign(std::string_view origin, const proof::TreeHead& tree,
                                      WallTime time) {
  const std::shared_ptr<const Credential> with = credential_.load();
  return {proof::sign_head(origin, tree, time, with->key), with->key.public_key(),
          with->certificates};
}

SiteReceipts::SiteReceipts(std::string state_dir, SiteId site, const Clock& clock)
    : state_dir_(std::move(state_dir)), site_(std::move(site)), clock_(clock) {}

void SiteReceipts::use(pki::KeyPair key, const std::vector<pki::Certificate>& chain) {
  certified_ = true;
  signer_.use(std::move(key), chain);
}

Result<> SiteReceipts::follow(const DirectorySnapshot& directory) {
  const auto self = directory.sites.find(site_);
  if (self != directory.sites.end()) jurisdiction_ = self->second.jurisdiction;
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
    signer_.use(std::move(key), {});
  }
  PERIGEE_TRY(writer,
              proof::ReceiptWriter::open(state_dir_ + "/receipts", grid, site_, signer_, clock_));
  writer_ = std::move(writer);
  log::info("receipts are logged",
            {{"leaves", writer_->given()}, {"recovered", writer_->recovered()}});
  return {};
}

Result<pki::KeyPair> SiteReceipts::own_key() const {
  const std::string path = state_dir_ + "/receipt.key";
  auto pem = control::read_private_file(path, kKeyBytesMax);
  if (!pem && pem.error().code == Code::NotFound) {
    pki::KeyPair key = pki::KeyPair::generate();
    PERIGEE_CHECK(control::create_private_file(path, key.to_pem()));
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
