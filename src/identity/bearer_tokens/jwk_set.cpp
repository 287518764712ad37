#include "identity/bearer_tokens/jwk_set.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <array>
#include <boost/json/array.hpp>
#include <utility>

#include "base/base64url.h"
#include "directory/json_fields.h"

namespace perigee {
namespace {

namespace json = boost::json;

constexpr std::array<std::string_view, 3> kNames{"RS256", "ES256", "EdDSA"};
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;
constexpr std::size_t kCoordinateBytes = 32;  // of P-256, and of an Ed25519 key
constexpr std::size_t kKeyIdBytesMax = 256;
constexpr std::size_t kNumberTextMax = 2048;  // base64url of 8192 bits, with room

template <auto free_it>
struct Freed {
  template <class T>
  void operator()(T* pointer) const {
    free_it(pointer);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Freed<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using ParamBuilder = std::unique_ptr<OSSL_PARAM_BLD, Freed<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Freed<OSSL_PARAM_free>>;
using EcSignature = std::unique_ptr<ECDSA_SIG, Freed<ECDSA_SIG_free>>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());  // OpenSSL counts in unsigned chars
}

Number number_of(std::string_view bytes) {
  return Number{BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr)};
}

KeyPtr from_params(const char* kind, OSSL_PARAM_BLD* builder) {
  const Params params{OSSL_PARAM_BLD_to_param(builder)};
  const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, kind, nullptr)};
  EVP_PKEY* key = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    return nullptr;
  }
  return KeyPtr{key};
}

bool checks(EVP_PKEY* key) {
  const KeyContext context{EVP_PKEY_CTX_new(key, nullptr)};
  return context != nullptr && EVP_PKEY_public_check(context.get()) == 1;
}

KeyPtr rsa_key(std::string_view modulus, std::string_view exponent) {
  const Number n = number_of(modulus);
  const Number e = number_of(exponent);
  if (n == nullptr || e == nullptr) return nullptr;
  const int bits = BN_num_bits(n.get());
  if (bits < kRsaBitsMin || bits > kRsaBitsMax || BN_num_bits(e.get()) > 64 ||
      BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) != 0) {
    return nullptr;
  }
  const ParamBuilder builder{OSSL_PARAM_BLD_new()};
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 0 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 0) {
    return nullptr;
  }
  return from_params("RSA", builder.get());
}

KeyPtr p256_key(std::string_view x, std::string_view y) {
  if (x.size() != kCoordinateBytes || y.size() != kCoordinateBytes) return nullptr;
  const std::string point = "\x04" + std::string{x} + std::string{y};  // uncompressed
  const ParamBuilder builder{OSSL_PARAM_BLD_new()};
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) ==
          0 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) == 0) {
    return nullptr;
  }
  KeyPtr key = from_params("EC", builder.get());
  return key != nullptr && checks(key.get()) ? std::move(key) : nullptr;
}

KeyPtr ed25519_key(std::string_view x) {
  if (x.size() != kCoordinateBytes) return nullptr;
  return KeyPtr{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(x), x.size())};
}

std::string text_in(const json::object& object, std::string_view name, std::size_t bytes_max) {
  const json::value* value = object.if_contains(name);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr || text->size() > bytes_max) return {};
  return {text->data(), text->size()};
}

std::string number_in(const json::object& object, std::string_view name) {
  return from_base64url(text_in(object, name, kNumberTextMax)).value_or("");
}

Error wrong(std::string message) {
  return {Code::InvalidArgument, "`jwks`: " + std::move(message), "jwks"};
}

// A JWS has r and s side by side, OpenSSL wants them in DER.
std::optional<std::string> der_signature(std::string_view raw) {
  if (raw.size() != 2 * kCoordinateBytes) return std::nullopt;
  Number r = number_of(raw.substr(0, kCoordinateBytes));
  Number s = number_of(raw.substr(kCoordinateBytes));
  const EcSignature signature{ECDSA_SIG_new()};
  if (r == nullptr || s == nullptr || signature == nullptr ||
      ECDSA_SIG_set0(signature.get(), r.get(), s.get()) == 0) {
    return std::nullopt;
  }
  (void)r.release();  // the signature owns them now
  (void)s.release();
  std::array<unsigned char, 80> der{};
  unsigned char* end = der.data();
  const int size = i2d_ECDSA_SIG(signature.get(), nullptr);
  if (size <= 0 || static_cast<std::size_t>(size) > der.size()) return std::nullopt;
  i2d_ECDSA_SIG(signature.get(), &end);
  return std::string{der.begin(), der.begin() + size};
}

}  // namespace

struct JwkSet::Key {
  std::string id;
  TokenAlgorithm algorithm = TokenAlgorithm::Rs256;
  KeyPtr key;
};

namespace {

// The algorithm of a key's kind; none: it is of another kind.
std::optional<TokenAlgorithm> algorithm_in(const json::object& object) {
  const std::string kind = text_in(object, "kty", kKeyIdBytesMax);
  const std::string curve = text_in(object, "crv", kKeyIdBytesMax);
  if (kind == "RSA") return TokenAlgorithm::Rs256;
  if (kind == "EC" && curve == "P-256") return TokenAlgorithm::Es256;
  if (kind == "OKP" && curve == "Ed25519") return TokenAlgorithm::EdDsa;
  return std::nullopt;
}

KeyPtr key_in(const json::object& object, TokenAlgorithm algorithm) {
  switch (algorithm) {
    case TokenAlgorithm::Rs256: return rsa_key(number_in(object, "n"), number_in(object, "e"));
    case TokenAlgorithm::Es256: return p256_key(number_in(object, "x"), number_in(object, "y"));
    case TokenAlgorithm::EdDsa: return ed25519_key(number_in(object, "x"));
  }
  return nullptr;
}

// For what else than tokens it may say it is.
bool for_tokens(const json::object& object, TokenAlgorithm algorithm) {
  const std::string use = text_in(object, "use", kKeyIdBytesMax);
  const std::string named = text_in(object, "alg", kKeyIdBytesMax);
  return (use.empty() || use == "sig") && (named.empty() || named == to_string(algorithm));
}

}  // namespace

std::string_view to_string(TokenAlgorithm algorithm) {
  return kNames.at(static_cast<std::size_t>(algorithm));
}

std::optional<TokenAlgorithm> parse_token_algorithm(std::string_view name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames.at(i) == name) return static_cast<TokenAlgorithm>(i);
  }
  return std::nullopt;
}

JwkSet::JwkSet(std::vector<Key> keys) : keys_(std::move(keys)) {}
JwkSet::JwkSet(JwkSet&&) noexcept = default;
JwkSet& JwkSet::operator=(JwkSet&&) noexcept = default;
JwkSet::~JwkSet() = default;

Result<JwkSet> JwkSet::parse(std::string_view text) {
  auto object = parse_json_object(text);
  const json::value* list = object ? object->if_contains("keys") : nullptr;
  if (list == nullptr || !list->is_array()) {
    return wrong("it must be a JWK set, {\"keys\":[...]}");
  }
  if (list->get_array().size() > kKeysMax) return wrong("it has more than 16 keys");
  std::vector<Key> keys;
  for (const json::value& each : list->get_array()) {
    const json::object* entry = each.if_object();
    if (entry == nullptr) return wrong("each key must be an object");
    if (entry->if_contains("d") != nullptr || entry->if_contains("k") != nullptr) {
      return wrong("it holds a private or shared key: give the public ones only");
    }
    const auto algorithm = algorithm_in(*entry);
    if (!algorithm || !for_tokens(*entry, *algorithm)) continue;
    Key key{text_in(*entry, "kid", kKeyIdBytesMax), *algorithm, key_in(*entry, *algorithm)};
    if (key.key == nullptr) return wrong("the key '" + key.id.substr(0, 64) + "' is malformed");
    keys.push_back(std::move(key));
  }
  if (keys.empty()) {
    return wrong("none of its keys is RSA of 2048 bits or more, P-256 or Ed25519, for signatures");
  }
  return JwkSet{std::move(keys)};
}

std::size_t JwkSet::size() const { return keys_.size(); }

const JwkSet::Key* JwkSet::find(TokenAlgorithm algorithm, std::string_view key_id) const {
  const Key* found = nullptr;
  for (const Key& key : keys_) {
    if (key.algorithm != algorithm) continue;
    if (!key_id.empty()) {
      if (key.id == key_id) return &key;
      continue;
    }
    if (found != nullptr) return nullptr;  // which one is not said
    found = &key;
  }
  return found;
}

bool JwkSet::has(TokenAlgorithm algorithm, std::string_view key_id) const {
  return find(algorithm, key_id) != nullptr;
}

bool JwkSet::verify(TokenAlgorithm algorithm, std::string_view key_id, std::string_view text,
                    std::string_view signature) const {
  const Key* key = find(algorithm, key_id);
  if (key == nullptr) return false;
  std::string der;
  if (algorithm == TokenAlgorithm::Es256) {
    auto converted = der_signature(signature);
    if (!converted) return false;
    der = std::move(*converted);
    signature = der;
  }
  const EVP_MD* digest = algorithm == TokenAlgorithm::EdDsa ? nullptr : EVP_sha256();
  const DigestContext context{EVP_MD_CTX_new()};
  return context != nullptr &&
         EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key->key.get()) == 1 &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(text),
                          text.size()) == 1;
}

}  // namespace perigee
