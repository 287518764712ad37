// Joining and renewing in a grid that has an authority.
#include <gmock/gmock.h>

#include "control/control_test_grid.h"
#include "control/grid_authority.h"
#include "directory/json_text.h"
#include "directory/records_json.h"
#include "pki/certificate_check.h"

namespace perigee::control {
namespace {

using ::testing::HasSubstr;

class JoinCertificatesTest : public testing::Test {
 protected:
  JoinCertificatesTest() {
    EXPECT_TRUE(init_authority(folder_.file("ca"), "test", clock_.wall()));
    authority_ = *GridAuthority::open(folder_.file("ca"), clock_);
    api_.use_authority(*authority_, {"Control.example."});
  }
  Result<ApiAnswer> call(const std::string& path, const std::string& body, const std::string& key,
                         const std::string& member = "") {
    const std::string full = "/control/v1/" + path;
    const std::string authorization = key.empty() ? "" : "Bearer " + key;
    ApiRequest request{"POST", full, body, authorization, "", ""};
    request.member = member;
    return api_.answer(request);
  }
  std::string token_for(const std::string& site) {
    auto made =
        call("join-tokens", R"({"site":")" + site + R"(","jurisdiction":"de"})", operator_key_);
    EXPECT_EQ(json_text(made->body, "ca_sha256"), to_hex(authority_->fingerprint()));
    return json_text(made->body, "token");
  }
  std::string request() const { return pki::make_certificate_request(key_, "anything"); }
  Result<ApiAnswer> join(const std::string& site, const std::string& url,
                         const std::string& certificate_request) {
    JsonObject body;
    body.add("token", token_for(site)).add("name", site).add("url", url).add("tier", "metro");
    body.add("jurisdiction", "de").add("latitude", 52.5).add("longitude", 13.4);
    if (!certificate_request.empty()) body.add("certificate_request", certificate_request);
    return call("join", body.take(), "");
  }
  std::string why(const Result<ApiAnswer>& answer) {
    return answer ? "it was let in" : answer.error().message;
  }

  TestFolder folder_;
  ManualClock clock_;
  std::unique_ptr<DirectoryTable> table_ =
      make_table(std::make_unique<MemoryDirectory>(), clock_, folder_.file("operator.key"));
  std::unique_ptr<GridAuthority> authority_;
  ControlApi api_{*table_, clock_};
  const std::string operator_key_ = first_line(folder_.file("operator.key"));
  const pki::KeyPair key_ = pki::KeyPair::generate();
};

TEST_F(JoinCertificatesTest, AJoinGivesACertificateForTheNameOfTheTokenAndTheHostOfTheUrl) {
  auto joined = join("metro", "https://metro.example:8100", request());
  ASSERT_TRUE(joined) << joined.error().message;
  auto chain = pki::certificates_from_pem(json_text(joined->body, "certificate"));
  auto authorities = pki::certificates_from_pem(json_text(joined->body, "authorities"));
  ASSERT_TRUE(chain && authorities);
  EXPECT_TRUE(pki::check_certificate({*chain, *authorities, clock_.wall(),
                                      pki::CertificateUse::TlsServer, "spiffe://test/site/metro"}));
  EXPECT_EQ(chain->front().names(), std::vector<std::string>{"metro.example"});
  EXPECT_EQ(chain->front().ed25519_key(), key_.public_key());
}

TEST_F(JoinCertificatesTest, RefusesAJoinInTheClearOrWithoutARequest) {
  EXPECT_THAT(why(join("metro", "http://127.0.0.1:8100", request())), HasSubstr("https://"));
  EXPECT_THAT(why(join("metro", "https://127.0.0.1:8100", "")), HasSubstr("certificate request"));
  EXPECT_THAT(why(join("metro", "https://127.0.0.1:8100", "no PEM")), HasSubstr("no certificate"));
}

TEST_F(JoinCertificatesTest, NoTwoSitesHaveACertificateForOneHost) {
  ASSERT_TRUE(join("metro", "https://metro.example:8100", request()));
  EXPECT_THAT(why(join("evil", "https://metro.example:8101", request())),
              HasSubstr("belongs to site metro"));
  EXPECT_TRUE(join("metro", "https://metro.example:8100", request())) << "again, by itself";
}

TEST_F(JoinCertificatesTest, AHostIsTheSameHoweverItIsSpelled) {
  auto joined = join("metro", "https://Metro.Example.:8100", request());
  ASSERT_TRUE(joined) << joined.error().message;
  auto chain = pki::certificates_from_pem(json_text(joined->body, "certificate"));
  EXPECT_EQ(chain->front().names(), std::vector<std::string>{"metro.example"});
  for (const char* const url : {"https://METRO.example", "https://metro.example.:8101"}) {
    EXPECT_THAT(why(join("evil", url, request())), HasSubstr("belongs to site metro")) << url;
  }
  ASSERT_TRUE(join("six", "https://[2001:db8::1]:8100", request()));
  EXPECT_THAT(why(join("evil", "https://[2001:DB8:0::1]:8100", request())),
              HasSubstr("belongs to site six"));
}

TEST_F(JoinCertificatesTest, NoSiteIsCalledByANameOfControl) {
  EXPECT_THAT(why(join("evil", "https://control.EXAMPLE:8100", request())),
              HasSubstr("belongs to control"));
}

TEST_F(JoinCertificatesTest, AnOperatorGivesNoTwoSitesOneHostAndNoneAUrlInTheClear) {
  ASSERT_TRUE(join("metro", "https://metro.example:8100", request()));
  const std::string authorization = "Bearer " + operator_key_;
  const auto put = [&](const std::string& url) {
    const std::string body = JsonObject{}
                                 .add("url", url)
                                 .add("tier", "metro")
                                 .add("jurisdiction", "de")
                                 .add("latitude", 52.5)
                                 .add("longitude", 13.4)
                                 .take();
    return api_.answer({"PUT", "/control/v1/sites/second", body, authorization, "", ""});
  };
  EXPECT_THAT(why(put("https://METRO.example.:8101")), HasSubstr("belongs to site metro"));
  for (const char* const url : {"http://second.example", "http://127.0.0.1:8101"}) {
    const auto plain = put(url);
    ASSERT_FALSE(plain) << url;
    EXPECT_EQ(plain.error().code, Code::InvalidArgument);
    EXPECT_EQ(plain.error().param, "url");
    EXPECT_THAT(plain.error().message, HasSubstr("must begin with https://"));
  }
  EXPECT_TRUE(put("https://second.example"));
}

// Two rows from before that was refused, or put where there was no authority yet.
TEST_F(JoinCertificatesTest, RenewsNoCertificateForAHostThatIsAnothersToo) {
  auto joined = join("metro", "https://metro.example:8100", request());
  ASSERT_TRUE(joined);
  SiteRecord other = table_->snapshot().sites.at(SiteId{"metro"});
  other.id = SiteId{"other"};
  other.url = "https://Metro.example.";
  other.key_hash = {};
  ASSERT_TRUE(table_->apply({{"site", "other", to_row(other), 0}}));
  const std::string body = JsonObject{}.add("certificate_request", request()).take();
  const auto renew = [&] {
    return why(call("renew", body, json_text(joined->body, "key"), "spiffe://test/site/metro"));
  };
  EXPECT_THAT(renew(), HasSubstr("belongs to site other"));
  ASSERT_TRUE(table_->apply({{"site", "other", "", kAnyRevision}}));
  // From before such a url was refused: the site has to go on following control.
  SiteRecord plain = table_->snapshot().sites.at(SiteId{"metro"});
  plain.url = "http://metro.example:8100";
  ASSERT_TRUE(table_->apply({{"site", "metro", to_row(plain), kAnyRevision}}));
  EXPECT_TRUE(call("renew", body, json_text(joined->body, "key"), "spiffe://test/site/metro"));
}

TEST_F(JoinCertificatesTest, ASitesKeyCountsOnlyWithItsCertificate) {
  auto joined = join("metro", "https://127.0.0.1:8100", request());
  ASSERT_TRUE(joined);
  const std::string key = json_text(joined->body, "key");
  const std::string body = JsonObject{}.add("certificate_request", request()).take();
  EXPECT_THAT(why(call("renew", body, key)), HasSubstr("counts only with its certificate"));
  EXPECT_THAT(why(call("renew", body, key, "spiffe://test/site/other")),
              HasSubstr("got spiffe://test/site/other"));
  auto renewed = call("renew", body, key, "spiffe://test/site/metro");
  ASSERT_TRUE(renewed) << renewed.error().message;
  auto chain = pki::certificates_from_pem(json_text(renewed->body, "certificate"));
  EXPECT_EQ(chain->front().spiffe_id(), "spiffe://test/site/metro");
  EXPECT_FALSE(call("renew", body, operator_key_));
}

TEST_F(JoinCertificatesTest, ARemovedSiteGetsNoNextCertificate) {
  auto joined = join("metro", "https://127.0.0.1:8100", request());
  ASSERT_TRUE(joined);
  const std::string authorization = "Bearer " + operator_key_;
  ASSERT_TRUE(api_.answer({"DELETE", "/control/v1/sites/metro", "", authorization, "", ""}));
  const std::string body = JsonObject{}.add("certificate_request", request()).take();
  auto refused = call("renew", body, json_text(joined->body, "key"), "spiffe://test/site/metro");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unauthenticated);
}

}  // namespace
}  // namespace perigee::control
