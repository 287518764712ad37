#include "pki/authority.h"

#include <gtest/gtest.h>

#include "pki/certificate_check.h"

namespace perigee::pki {
namespace {

constexpr WallTime kNow{1'800'000'000'000'000};  // 2027-01-15

CertificateOrder order_of(const std::string& site) {
  return {{"acme", MemberRole::Site, site}, kNow};
}

TEST(Authority, SignsTheKeyOfARequestUnderTheNameThatItWasTold) {
  const Authority authority = Authority::make("acme", kNow);
  const KeyPair key = KeyPair::generate();
  CertificateOrder order = order_of("metro");
  order.names = {"127.0.0.1", "metro.example.net", "::1"};
  auto made = authority.sign(make_certificate_request(key, "somebody else"), order);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->spiffe_id(), "spiffe://acme/site/metro");
  EXPECT_EQ(made->ed25519_key(), key.public_key());
  EXPECT_EQ(made->subject(), "CN = metro");
  EXPECT_EQ(made->names(), (std::vector<std::string>{"127.0.0.1", "metro.example.net", "::1"}));
  EXPECT_EQ(made->not_before().micros, kNow.micros - 300'000'000);
  EXPECT_EQ(made->not_after().micros, kNow.micros + 86'400'000'000);
  EXPECT_FALSE(made->is_authority());
  EXPECT_TRUE(authority.certificate().is_authority());
  EXPECT_EQ(authority.certificate().spiffe_id(), "spiffe://acme");
  EXPECT_TRUE(check_key_belongs(key.to_pem(), *made));
  EXPECT_FALSE(check_key_belongs(KeyPair::generate().to_pem(), *made));
}

TEST(Authority, TwoCertificatesHaveDifferentSerials) {
  const Authority authority = Authority::make("acme", kNow);
  const std::string request = make_certificate_request(KeyPair::generate(), "metro");
  EXPECT_NE(authority.sign(request, order_of("a"))->serial(),
            authority.sign(request, order_of("a"))->serial());
}

TEST(Authority, SurvivesItsPemForm) {
  const Authority authority = Authority::make("acme", kNow);
  auto read = Authority::from_pem(authority.certificate().to_pem(), authority.key_pem());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->certificate().serial(), authority.certificate().serial());
  const Authority other = Authority::make("acme", kNow);
  EXPECT_FALSE(Authority::from_pem(authority.certificate().to_pem(), other.key_pem()));
}

TEST(Authority, AMembersCertificateIsNoAuthority) {
  const Authority authority = Authority::make("acme", kNow);
  const KeyPair key = KeyPair::generate();
  auto made = authority.sign(make_certificate_request(key, "x"), order_of("metro"));
  ASSERT_TRUE(made);
  EXPECT_FALSE(Authority::from_pem(made->to_pem(), key.to_pem()));
}

TEST(Authority, RefusesRequestsThatProveNothing) {
  const Authority authority = Authority::make("acme", kNow);
  std::string request = make_certificate_request(KeyPair::generate(), "metro");
  EXPECT_FALSE(authority.sign("", order_of("metro")));
  EXPECT_FALSE(authority.sign(std::string(100'000, 'A'), order_of("metro")));
  // The last bytes are the signature's.
  const std::size_t at = request.find("-----END") - 12;
  request[at] = request[at] == 'A' ? 'B' : 'A';
  auto refused = authority.sign(request, order_of("metro"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("not signed with the key"), std::string::npos);
}

TEST(Authority, RefusesNamesThatAreNoHosts) {
  const Authority authority = Authority::make("acme", kNow);
  const std::string request = make_certificate_request(KeyPair::generate(), "metro");
  CertificateOrder order = order_of("metro");
  order.names = {"a b"};
  EXPECT_FALSE(authority.sign(request, order));
  order.names = std::vector<std::string>(17, "host");
  EXPECT_FALSE(authority.sign(request, order));
}

TEST(Authority, NeverSignsBeyondItsOwnEnd) {
  const Authority authority = Authority::make("acme", kNow, std::chrono::hours{1});
  const std::string request = make_certificate_request(KeyPair::generate(), "metro");
  EXPECT_EQ(authority.sign(request, order_of("metro"))->not_after(),
            authority.certificate().not_after());
  CertificateOrder late = order_of("metro");
  late.now.micros += 2 * 3'600'000'000;
  EXPECT_FALSE(authority.sign(request, late));
}

TEST(Certificates, AreReadFromABundleAndRefusedWhenDamaged) {
  const std::string one = Authority::make("one", kNow).certificate().to_pem();
  const std::string two = Authority::make("two", kNow).certificate().to_pem();
  auto both = certificates_from_pem("comment\n" + one + "\n# more\n" + two);
  ASSERT_TRUE(both);
  ASSERT_EQ(both->size(), 2U);
  EXPECT_EQ((*both)[1].spiffe_id(), "spiffe://two");
  EXPECT_EQ(to_pem(*both), one + two);
  EXPECT_FALSE(certificates_from_pem(""));
  EXPECT_FALSE(certificates_from_pem(one + two.substr(0, two.size() / 2)));
  EXPECT_FALSE(certificates_from_pem(std::string(kPemBytesMax + 1, '\n')));
  std::string many;
  for (std::size_t i = 0; i <= kCertificatesMax; ++i) many += one;
  EXPECT_FALSE(certificates_from_pem(many));
}

TEST(WallTimeText, IsUtc) { EXPECT_EQ(to_text(kNow), "2027-01-15T08:00:00Z"); }

}  // namespace
}  // namespace perigee::pki
