#include "pki/certificate_check.h"

#include <gtest/gtest.h>

#include "pki/authority.h"

namespace perigee::pki {
namespace {

constexpr WallTime kNow{1'800'000'000'000'000};
constexpr std::int64_t kHour = 3'600'000'000;

class CertificateCheckTest : public testing::Test {
 protected:
  std::vector<Certificate> chain_of(const Authority& authority, const std::string& site) {
    auto made = authority.sign(make_certificate_request(key_, site),
                               {{"acme", MemberRole::Site, site}, kNow});
    return {*made};
  }
  std::string refusal(const CertificateCheck& check) {
    auto checked = check_certificate(check);
    EXPECT_FALSE(checked);
    return checked ? "" : checked.error().message;
  }
  const KeyPair key_ = KeyPair::generate();
  const Authority authority_ = Authority::make("acme", kNow);
  const std::vector<Certificate> trusted_{authority_.certificate()};
  const std::vector<Certificate> chain_ = chain_of(authority_, "metro");
};

TEST_F(CertificateCheckTest, BelievesAMemberForEachUse) {
  for (const CertificateUse use :
       {CertificateUse::TlsClient, CertificateUse::TlsServer, CertificateUse::Signing}) {
    EXPECT_TRUE(check_certificate({chain_, trusted_, kNow, use, "spiffe://acme/site/metro"}));
    EXPECT_TRUE(check_certificate({chain_, trusted_, kNow, use}));
  }
}

TEST_F(CertificateCheckTest, RefusesAnExpiredOne) {
  const std::string why = refusal({chain_, trusted_, WallTime{kNow.micros + 25 * kHour}});
  EXPECT_EQ(why,
            "the certificate of spiffe://acme/site/metro expired at 2027-01-16T08:00:00Z: renew "
            "it, or set the clock right");
}

TEST_F(CertificateCheckTest, RefusesOneThatIsNotYetValidButToleratesClocksMinutesApart) {
  EXPECT_TRUE(check_certificate({chain_, trusted_, WallTime{kNow.micros - kHour / 15}}));
  const std::string why = refusal({chain_, trusted_, WallTime{kNow.micros - kHour}});
  EXPECT_NE(why.find("is not valid before"), std::string::npos) << why;
}

TEST_F(CertificateCheckTest, RefusesAnotherAuthoritysAlsoUnderTheSameName) {
  const Authority other = Authority::make("acme", kNow);
  const std::vector<Certificate> foreign = chain_of(other, "metro");
  EXPECT_EQ(refusal({foreign, trusted_, kNow}),
            "the certificate of spiffe://acme/site/metro is not of an authority that is trusted "
            "here");
  const std::vector<Certificate> both{authority_.certificate(), other.certificate()};
  EXPECT_TRUE(check_certificate({foreign, both, kNow})) << "an overlap of two authorities";
}

TEST_F(CertificateCheckTest, RefusesAnotherMember) {
  EXPECT_EQ(
      refusal({chain_, trusted_, kNow, CertificateUse::TlsServer, "spiffe://acme/site/other"}),
      "the certificate names spiffe://acme/site/metro, expected spiffe://acme/site/other");
}

TEST_F(CertificateCheckTest, RefusesAnAuthorityAsAMember) {
  const std::string why = refusal({trusted_, trusted_, kNow, CertificateUse::Signing});
  EXPECT_NE(why.find("key usage"), std::string::npos) << why;
}

TEST_F(CertificateCheckTest, RefusesAMemberThatSignsAnother) {
  // A site's certificate in the chain of a forged one: CA:FALSE does not sign.
  auto forged_by = Authority::make("acme", kNow);
  std::vector<Certificate> chain = chain_of(forged_by, "metro");
  chain.push_back(chain_.front());
  EXPECT_FALSE(check_certificate({chain, trusted_, kNow}));
}

TEST_F(CertificateCheckTest, RefusesNothingAndNobody) {
  EXPECT_FALSE(check_certificate({{}, trusted_, kNow}));
  EXPECT_FALSE(check_certificate({chain_, {}, kNow}));
}

}  // namespace
}  // namespace perigee::pki
