#include "engine/server/weights_check.h"

#include <algorithm>
#include <fstream>
#include <optional>

#include "base/file_digest.h"
#include "pki/public_key.h"

namespace perigee::engine_server {
namespace {

constexpr std::size_t kKeyFileBytesMax = 4096;

Error refused(std::string why) { return {Code::FailedPrecondition, std::move(why)}; }

// At most one byte more than `bytes_max`: then it is too long.
std::optional<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  std::ifstream in{path, std::ios::binary};
  if (!in) return std::nullopt;
  std::string text(bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

Result<pki::PublicKey> read_key(const std::string& path) {
  const auto pem = read_file(path, kKeyFileBytesMax);
  if (!pem) return refused("can't read " + path + ", the public key that models must be signed by");
  auto key = pki::public_key_from_pem(*pem);
  if (!key) return Error{Code::InvalidArgument, path + ": " + key.error().message};
  return key;
}

Result<pki::Signature> read_signature(const std::string& path, const std::string& model) {
  pki::Signature signature{};
  const auto bytes = read_file(path, signature.size());
  if (!bytes) {
    return refused(model + " is not signed: can't read " + path +
                   "; sign its SHA-256 (docs/engine.md), or copy the signature beside it");
  }
  if (bytes->size() != signature.size()) {
    return refused(path + " is no signature: it must be the 64 bytes of an Ed25519 signature");
  }
  std::ranges::copy(*bytes, signature.begin());
  return signature;
}

}  // namespace

Result<> check_weights(const std::string& path, const WeightsTrust& trust,
                       const std::atomic<bool>* cancelled) {
  if (trust.public_key.empty()) {
    if (trust.sha256.empty()) return {};
    return check_file_digest(path, trust.sha256, cancelled);
  }
  const std::string signature_path = trust.signature.empty() ? path + ".sig" : trust.signature;
  PERIGEE_TRY(key, read_key(trust.public_key));
  PERIGEE_TRY(signature, read_signature(signature_path, path));
  PERIGEE_TRY(digest, sha256_of_file(path, cancelled));
  const std::string text = to_hex(digest);
  if (!trust.sha256.empty()) PERIGEE_CHECK(check_digest(path, digest, trust.sha256));
  if (pki::verify(key, text, signature)) return {};
  return refused(path + " is not the file that was signed, or not by the owner of " +
                 trust.public_key + ": its SHA-256 is " + text + ", which " + signature_path +
                 " does not sign");
}

}  // namespace perigee::engine_server
