// OpenSSL's own structure instead of its EVP interface, which allocates 300 bytes a digest.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "proof/sha256_stream.h"

#include <openssl/sha.h>

#include <bit>

namespace perigee::proof {
namespace {

using State = std::array<std::uint32_t, 28>;
static_assert(sizeof(SHA256_CTX) == sizeof(State));

}  // namespace

Sha256Stream::Sha256Stream() {
  SHA256_CTX context{};
  SHA256_Init(&context);
  state_ = std::bit_cast<State>(context);
}

void Sha256Stream::update(std::string_view bytes) {
  auto context = std::bit_cast<SHA256_CTX>(state_);
  SHA256_Update(&context, bytes.data(), bytes.size());
  state_ = std::bit_cast<State>(context);
}

Sha256 Sha256Stream::finish() {
  auto context = std::bit_cast<SHA256_CTX>(state_);
  Sha256 digest{};
  SHA256_Final(digest.data(), &context);
  return digest;
}

}  // namespace perigee::proof
