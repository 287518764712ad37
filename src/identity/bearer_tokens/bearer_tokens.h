// BearerTokens: an Identity over tokens that the directory's issuers sign (OpenID Connect, OAuth
// 2): a tenant's people and programs call with what their own provider gave them, and no key is
// made.
//
// A token counts when all of this holds: `alg` is one that the operator pinned for its issuer and
// is what the key is for; a key of the issuer's set, named by `kid`, made its signature; `iss` is
// the issuer's to the letter; `aud` is or holds the audience; `exp` is there and not over and
// `nbf`, if there, has come, give or take the clock skew; its tenant exists and is not suspended.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "base/secret.h"
#include "directory/records.h"
#include "identity/bearer_text.h"
#include "identity/bearer_tokens/jwk_set.h"
#include "identity/bearer_tokens/token.h"
#include "identity/identity.h"

namespace perigee {

// On the IO thread. A signature costs some 50 microseconds to verify, so tokens that were good are
// remembered by their SHA-256 until they expire or an issuer or a tenant changes.
class BearerTokens final : public Identity {
 public:
  static constexpr std::size_t kRememberedMax = 4096;  // then all are forgotten

  // `clock` must outlive this.
  explicit BearerTokens(const Clock& clock) : clock_(clock) {}
  // Takes effect at once; costs nothing when neither issuers nor tenants changed. An issuer whose
  // keys can't be read is left out, with a line in the log.
  void update(const DirectorySnapshot& snapshot);
  Result<Caller> authenticate(std::string_view authorization) const override;
  // The same for the token alone.
  Result<Caller> check(std::string_view token) const;
  std::size_t remembered() const { return known_.size(); }

 private:
  struct Issuer {
    IssuerRecord record;
    JwkSet keys;
  };
  struct Known {
    Caller caller;
    std::int64_t expires_s = 0;  // with the skew
    const IssuerRecord* issuer = nullptr;
  };
  struct FirstBytes {
    std::size_t operator()(const Sha256& digest) const noexcept;
  };
  std::int64_t now_s() const { return clock_.wall().micros / 1'000'000; }
  Result<const Issuer*> issuer_of(const Token& token) const;
  Result<> check_signature(const Issuer& issuer, const Token& token) const;
  Result<> check_claims(const IssuerRecord& issuer, const Token& token) const;
  Result<TenantId> tenant_of(const IssuerRecord& issuer, const Token& token) const;

  const Clock& clock_;
  std::map<std::string, Issuer, std::less<>> issuers_;  // by `iss`
  // As of the last update().
  SharedMap<std::string, IssuerRecord> issuer_records_;
  SharedMap<TenantId, TenantRecord> tenants_;
  mutable std::unordered_map<Sha256, Known, FirstBytes> known_;
};

}  // namespace perigee
