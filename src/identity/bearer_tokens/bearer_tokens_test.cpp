#include "identity/bearer_tokens/bearer_tokens.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include <array>

#include "base/base64url.h"
#include "identity/bearer_tokens/keys_and_tokens.h"
#include "identity/bearer_tokens/token_signer.h"

namespace perigee {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;

class BearerTokensTest : public testing::Test {
 protected:
  BearerTokensTest() {
    clock_.advance(seconds{kNow});
    TenantRecord tenant;
    tenant.id = TenantId{"acme"};
    snapshot_.tenants.insert_or_assign(tenant.id, tenant);
    issuer_.id = "corp";
    issuer_.issuer = "https://id.example/realm";
    issuer_.audience = "perigee";
    issuer_.algorithms = {"RS256", "ES256", "EdDSA"};
    issuer_.tenant_claim = "org";
    publish_keys({&rsa_, &ec_, &ed_});
  }
  void publish_keys(const std::vector<const TokenSigner*>& signers) {
    std::string keys;
    for (const TokenSigner* signer : signers) keys += (keys.empty() ? "" : ",") + signer->jwk();
    issuer_.jwks = R"({"keys":[)" + keys + "]}";
    publish();
  }
  void publish() {
    snapshot_.issuers.insert_or_assign(issuer_.id, issuer_);
    tokens_.update(snapshot_);
  }

  static std::string claims(std::int64_t expires = kNow + 300, const std::string& more = "",
                            const std::string& audience = R"("perigee")",
                            const std::string& by = "https://id.example/realm") {
    return R"({"iss":")" + by + R"(","sub":"user-1","aud":)" + audience + R"(,"exp":)" +
           std::to_string(expires) + R"(,"org":"acme")" + more + "}";
  }
  std::string refusal(const std::string& token) const {
    auto caller = tokens_.check(token);
    EXPECT_FALSE(caller) << "it was taken";
    if (caller) return "taken";
    EXPECT_EQ(caller.error().message.find(token.substr(0, 20)), std::string::npos);
    EXPECT_EQ(caller.error().message.find('\n'), std::string::npos);
    return caller.error().message;
  }
  void refuses(const std::string& token, const std::string& because) const {
    const std::string message = refusal(token);
    EXPECT_NE(message.find(because), std::string::npos) << message;
  }

  ManualClock clock_;
  IssuerRecord issuer_;
  DirectorySnapshot snapshot_;
  BearerTokens tokens_{clock_};
  static inline const TokenSigner rsa_{TokenAlgorithm::Rs256, "r1"};
  static inline const TokenSigner ec_{TokenAlgorithm::Es256, "e1"};
  static inline const TokenSigner ed_{TokenAlgorithm::EdDsa, "d1"};
};

TEST_F(BearerTokensTest, TakesEveryAlgorithmThatIsPinned) {
  for (const TokenSigner* signer : {&rsa_, &ec_, &ed_}) {
    const auto caller = tokens_.check(signer->sign(claims()));
    ASSERT_TRUE(caller) << signer->header() << caller.error().message;
    EXPECT_EQ(caller->role, Role::Tenant);
    EXPECT_EQ(caller->tenant.str(), "acme");
    EXPECT_TRUE(caller->key_id.starts_with("iss:corp:")) << caller->key_id;
    EXPECT_EQ(caller->key_id.find("user-1"), std::string::npos) << "records need not say who";
    EXPECT_EQ(issuer_of_account(caller->key_id), "corp");
    EXPECT_EQ(caller->bounds, nullptr);
  }
  EXPECT_TRUE(tokens_.authenticate("bearer  " + ed_.sign(claims())));
  EXPECT_TRUE(tokens_.check(ed_.sign(claims(kNow + 9, "", R"(["other","perigee"])"))));
}

TEST_F(BearerTokensTest, NoneAndSharedSecretsAreRefusedWhateverTheyAreSignedWith) {
  const std::string none = to_base64url(R"({"alg":"none"})") + "." + to_base64url(claims()) + ".";
  refuses(none, "algorithm");
  refuses(rsa_.sign(R"({"alg":"None","kid":"r1"})", claims()), "algorithm");
  // The public key taken for the secret of an HMAC.
  const std::string text =
      to_base64url(R"({"alg":"HS256","kid":"r1"})") + "." + to_base64url(claims());
  const std::string secret = rsa_.pem();
  std::array<unsigned char, 32> mac{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
  refuses(text + "." + to_base64url(std::string{mac.begin(), mac.end()}), "algorithm");
}

TEST_F(BearerTokensTest, AnAlgorithmThatIsNotPinnedIsRefusedThoughItsKeyIsThere) {
  issuer_.algorithms = {"EdDSA"};
  publish();
  EXPECT_TRUE(tokens_.check(ed_.sign(claims())));
  refuses(rsa_.sign(claims()), "must be EdDSA");
  // Named as the pinned one but by a key of another kind.
  refuses(rsa_.sign(R"({"alg":"EdDSA","kid":"r1"})", claims()), "`kid`");
  refuses(ec_.sign(R"({"alg":"EdDSA","kid":"d1"})", claims()), "signature is wrong");
}

TEST_F(BearerTokensTest, AnotherIssuersAudiencesTimesAreEachRefused) {
  refuses(ed_.sign(claims(kNow + 300, "", R"("somebody")")), "audience");
  refuses(ed_.sign(claims(kNow + 300, "", "[]")), "audience");
  refuses(ed_.sign(claims(kNow + 300, "", R"("perigee")", "https://id.example/realm/")), "issuer");
  refuses(ed_.sign(claims(kNow - 61)), "expired");
  EXPECT_TRUE(tokens_.check(ed_.sign(claims(kNow - 59)))) << "within the clock skew";
  refuses(ed_.sign(claims(kNow + 300, R"(,"nbf":)" + std::to_string(kNow + 61))), "not valid yet");
  EXPECT_TRUE(
      tokens_.check(ed_.sign(claims(kNow + 300, R"(,"nbf":)" + std::to_string(kNow + 59)))));
  refuses(ed_.sign(R"({"iss":"https://id.example/realm","sub":"u","aud":"perigee","org":"acme"})"),
          "no expiry");
  refuses(ed_.sign(R"({"iss":"https://id.example/realm","aud":"perigee","org":"acme","exp":)" +
                   std::to_string(kNow + 1) + "}"),
          "no subject");
}

TEST_F(BearerTokensTest, EveryChangedByteOfATokenIsNoticed) {
  const std::string token = ed_.sign(claims());
  ASSERT_TRUE(tokens_.check(token));
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(tokens_.check(changed)) << i;
  }
  refuses(ed_.sign(R"({"alg":"EdDSA","kid":"d1","crit":["b64"],"b64":false})", claims()), "crit");
  refuses(token + ".", "three parts");
  refuses(token + "=", "base64url");
  refuses("ey.ey.", "malformed");
  refuses("ey" + std::string(9000, 'A') + ".a.b", "longer than");
}

TEST_F(BearerTokensTest, ATokenThatExpiresWhileItIsRememberedIsRefused) {
  const std::string token = ed_.sign(claims(kNow + 10));
  ASSERT_TRUE(tokens_.check(token));
  EXPECT_EQ(tokens_.remembered(), 1U);
  clock_.advance(seconds{69});
  EXPECT_TRUE(tokens_.check(token));
  clock_.advance(seconds{1});
  refuses(token, "expired");
}

TEST_F(BearerTokensTest, KeysRollOverByTheirNamesAndOldOnesEndAtOnce) {
  const TokenSigner next{TokenAlgorithm::EdDsa, "d2"};
  refuses(next.sign(claims()), "have the operator update them");
  publish_keys({&ed_, &next});
  EXPECT_TRUE(tokens_.check(ed_.sign(claims())));
  EXPECT_TRUE(tokens_.check(next.sign(claims())));
  refuses(next.sign(R"({"alg":"EdDSA"})", claims()), "`kid`");
  publish_keys({&next});
  refuses(ed_.sign(claims()), "`kid`");
  EXPECT_TRUE(tokens_.check(next.sign(R"({"alg":"EdDSA"})", claims()))) << "there is only one";
  const TokenSigner impostor{TokenAlgorithm::EdDsa, "d2"};
  refuses(impostor.sign(claims()), "signature is wrong");
}

TEST_F(BearerTokensTest, TheTenantMustBeNamedAndThereAndNotSuspended) {
  const std::string of_other = R"({"iss":"https://id.example/realm","sub":"u","aud":"perigee",)"
                               R"("exp":)" +
                               std::to_string(kNow + 9) + R"(,"org":"other"})";
  refuses(ed_.sign(of_other), "does not exist");
  issuer_.tenant_claim = "department";
  publish();
  refuses(ed_.sign(claims()), "names no tenant");
  issuer_.tenant_claim.clear();
  issuer_.tenant = TenantId{"acme"};
  publish();
  EXPECT_EQ(tokens_.check(ed_.sign(of_other))->tenant.str(), "acme");
  snapshot_.tenants.update(TenantId{"acme"}, [](TenantRecord& acme) { acme.suspended = true; });
  tokens_.update(snapshot_);
  refuses(ed_.sign(claims()), "suspended");
}

TEST_F(BearerTokensTest, TheScopeOfAnIssuerBindsEachOfItsSubjects) {
  issuer_.scope.requests_per_minute = 7;
  publish();
  const auto caller = tokens_.check(ed_.sign(claims()));
  ASSERT_TRUE(caller);
  ASSERT_NE(caller->bounds, nullptr);
  EXPECT_EQ(caller->bounds->scope.requests_per_minute, 7U);
  EXPECT_EQ(caller->bounds->account, caller->key_id);
}

// A signature is dear to verify: what changes about keys or sites is no reason to forget.
TEST_F(BearerTokensTest, ForgetsWhatWasGoodOnlyWhenIssuersOrTenantsChange) {
  ASSERT_TRUE(tokens_.check(ed_.sign(claims())));
  snapshot_.keys.insert_or_assign("k1", KeyRecord{});
  snapshot_.sites.insert_or_assign(SiteId{"near"}, SiteRecord{});
  tokens_.update(snapshot_);
  EXPECT_EQ(tokens_.remembered(), 1U);
  snapshot_.tenants.insert_or_assign(TenantId{"other"}, TenantRecord{});
  tokens_.update(snapshot_);
  EXPECT_EQ(tokens_.remembered(), 0U);
  ASSERT_TRUE(tokens_.check(ed_.sign(claims())));
  publish();
  EXPECT_EQ(tokens_.remembered(), 0U);
}

TEST_F(BearerTokensTest, WithoutIssuersOnlyKeysAreTaken) {
  snapshot_.issuers.clear();
  KeysAndTokens both{clock_};
  both.update(snapshot_);
  const auto caller = both.authenticate("Bearer " + ed_.sign(claims()));
  ASSERT_FALSE(caller);
  EXPECT_NE(caller.error().message.find("keys only"), std::string::npos);
  EXPECT_NE(both.authenticate("Bearer sk-1").error().message.find("not a Perigee key"),
            std::string::npos);
}

TEST(JwkSet, RefusesWhatMustNotBeTrusted) {
  const auto why = [](const std::string& keys) {
    auto set = JwkSet::parse(R"({"keys":[)" + keys + "]}");
    return set ? std::string{"taken"} : set.error().message;
  };
  const TokenSigner ed{TokenAlgorithm::EdDsa, "d"};
  EXPECT_EQ(why(ed.jwk()), "taken");
  EXPECT_NE(why("").find("none of its keys"), std::string::npos);
  EXPECT_NE(why(R"({"kty":"oct","k":"c2VjcmV0"})").find("private or shared"), std::string::npos);
  std::string with_private = ed.jwk();
  with_private.insert(1, R"("d":"AAAA",)");
  EXPECT_NE(why(with_private).find("private or shared"), std::string::npos);
  EXPECT_NE(why(R"({"kty":"RSA","n":"AQAB","e":"AQAB"})").find("malformed"), std::string::npos);
  EXPECT_NE(why(R"({"kty":"EC","crv":"P-256","x":")" + std::string(43, 'A') + R"(","y":")" +
                std::string(43, 'A') + R"("})")
                .find("malformed"),
            std::string::npos)
      << "not on the curve";
  EXPECT_NE(why(R"({"kty":"OKP","crv":"Ed25519","x":"AA"})").find("malformed"), std::string::npos);
  std::string encrypts = ed.jwk();
  encrypts.replace(encrypts.find(R"("sig")"), 5, R"("enc")");
  EXPECT_NE(why(encrypts).find("none of its keys"), std::string::npos);
  EXPECT_FALSE(JwkSet::parse("[]"));
}

}  // namespace
}  // namespace perigee
