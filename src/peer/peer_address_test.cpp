#include "peer/peer_address.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

const SiteId kMetro{"metro"};

SiteRecord site_at(const std::string& url) {
  SiteRecord record;
  record.url = url;
  return record;
}

TEST(PeerAddresses, AMemberAsksForTheSiteAndNotForItsHost) {
  const PeerAddresses addresses{{}, "acme"};
  const auto where = addresses.of(kMetro, site_at("https://metro.acme.example:8100"));
  ASSERT_TRUE(where);
  EXPECT_EQ(where->host, "metro.acme.example");
  EXPECT_EQ(where->tls_name, "spiffe://acme/site/metro");
}

TEST(PeerAddresses, AnAddressOfItsOwnChangesWhereNotWhom) {
  const PeerAddresses addresses{{{kMetro, net::parse_endpoint("127.0.0.1:9100").value()}}, "acme"};
  const auto where = addresses.of(kMetro, site_at("https://metro.acme.example:8100"));
  ASSERT_TRUE(where);
  EXPECT_EQ(where->port, 9100);
  EXPECT_EQ(where->tls_name, "spiffe://acme/site/metro");
}

TEST(PeerAddresses, PlainStaysPlainOnLoopback) {
  const auto where = PeerAddresses{{}, "acme"}.of(kMetro, site_at("http://127.0.0.1:8100"));
  ASSERT_TRUE(where);
  EXPECT_EQ(where->tls_name, "");
}

TEST(PeerAddresses, AMemberCallsNobodyElseInTheClear) {
  const auto refused = [](const PeerAddresses& addresses, const std::string& url) {
    const auto where = addresses.of(kMetro, site_at(url));
    return where ? "called at " + where->to_string() : where.error().message;
  };
  const std::string why =
      "site metro has a url in the clear, and this grid has certificates: register it with a url "
      "that begins with https://";
  EXPECT_EQ(refused({{}, "acme"}, "http://metro.acme.example:8100"), why);
  const std::map<SiteId, net::Endpoint> elsewhere{
      {kMetro, net::parse_endpoint("192.0.2.7:8100").value()}};
  for (const char* url : {"http://127.0.0.1:8100", "nowhere"}) {
    EXPECT_EQ(refused({elsewhere, "acme"}, url), why) << url;
  }
  EXPECT_TRUE(PeerAddresses{}.of(kMetro, site_at("http://metro.acme.example:8100")))
      << "a grid without certificates has its own networks";
}

TEST(PeerAddresses, ASiteWithoutAUrlCanNotBeCalled) {
  const auto where = PeerAddresses{}.of(kMetro, site_at("nowhere"));
  ASSERT_FALSE(where);
  EXPECT_EQ(where.error().message, "site metro has no usable url");
}

}  // namespace
}  // namespace perigee
