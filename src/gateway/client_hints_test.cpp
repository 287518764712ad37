#include "gateway/client_hints.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

using Headers = std::vector<net::Header>;

Result<ClientHints> hints(const Headers& headers, bool from_site = false) {
  net::Request request;
  request.headers = headers;
  PERIGEE_CHECK(refuse_repeated_headers(request));
  return read_client_hints(request, from_site);
}

TEST(ClientHints, ReadWhatAClientMayAsk) {
  const auto read = hints({{"x-request-id", "a.b:c-1_2"},
                           {"perigee-class", "realtime"},
                           {"Perigee-Deadline-Ms", "250"},
                           {"perigee-jurisdictions", "de, fr"},
                           {"perigee-session", "s"},
                           {"Idempotency-Key", "0b5e-1"}});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->request_id, "a.b:c-1_2");
  EXPECT_EQ(read->service_class, ServiceClass::Realtime);
  EXPECT_EQ(read->time_left, milliseconds{250});
  EXPECT_EQ(read->jurisdictions, (std::vector{JurisdictionId{"de"}, JurisdictionId{"fr"}}));
  EXPECT_EQ(read->session, "s");
  EXPECT_EQ(read->idempotency_key, "0b5e-1");
  EXPECT_EQ(read->hop, 0U);
}

TEST(ClientHints, NameTheHeaderThatIsWrong) {
  const std::vector<std::pair<Headers, std::string>> bad{
      {{{"perigee-jurisdictions", ""}}, "perigee-jurisdictions"},
      {{{"perigee-jurisdictions", "de;fr"}}, "perigee-jurisdictions"},
      {{{"perigee-jurisdictions", "de"}, {"Perigee-Jurisdictions", "fr"}}, "perigee-jurisdictions"},
      {{{"authorization", "Bearer a"}, {"Authorization", "Bearer b"}}, "authorization"},
      {{{"perigee-class", "fast"}}, "perigee-class"},
      {{{"perigee-deadline-ms", "0"}}, "perigee-deadline-ms"},
      {{{"perigee-deadline-ms", "1e3"}}, "perigee-deadline-ms"},
      {{{"x-request-id", "two words"}}, "x-request-id"},
      {{{"x-request-id", std::string_view{"a\0b", 3}}}, "x-request-id"},
      {{{"idempotency-key", ""}}, "idempotency-key"},
      {{{"idempotency-key", "two words"}}, "idempotency-key"},
      {{{"idempotency-key", "a"}, {"Idempotency-Key", "a"}}, "idempotency-key"},
  };
  for (const auto& [headers, name] : bad) {
    const auto read = hints(headers);
    ASSERT_FALSE(read) << name;
    EXPECT_EQ(read.error().code, Code::InvalidArgument);
    EXPECT_NE(read.error().message.find(name), std::string::npos) << read.error().message;
  }
}

TEST(ClientHints, BoundTheSession) {
  const std::string longest(512, 's');
  EXPECT_TRUE(hints({{"perigee-session", longest}}));
  const std::string longer(513, 's');
  EXPECT_FALSE(hints({{"perigee-session", longer}}));
}

TEST(ClientHints, BelieveASitesHeadersOfASiteOnly) {
  const Headers forwarded{
      {"perigee-hop", "1"}, {"perigee-tenant", "acme"}, {"perigee-cache-salt", "01ab"}};
  const auto client = hints(forwarded);
  ASSERT_FALSE(client) << "a client that forges a hop is told so";
  EXPECT_EQ(client.error().param, "perigee-hop");
  EXPECT_FALSE(hints({forwarded[1]}));
  const auto site = hints(forwarded, true);
  ASSERT_TRUE(site) << site.error().message;
  EXPECT_EQ(site->hop, 1U);
  EXPECT_EQ(site->tenant, TenantId{"acme"});
  EXPECT_FALSE(hints({{"perigee-hop", "2"}, forwarded[1], forwarded[2]}, true));
  EXPECT_FALSE(hints({forwarded[0], forwarded[1]}, true));
}

}  // namespace
}  // namespace perigee
