#include "net/endpoint.h"

#include <gtest/gtest.h>

namespace perigee::net {
namespace {

TEST(Endpoint, ReadsAndPrintsEveryForm) {
  for (const std::string text :
       {"127.0.0.1:80", "[::1]:8080", "host.name:1", "unix:/run/x.sock", "localhost:0"}) {
    const Result<Endpoint> endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
}

TEST(Endpoint, RefusesWhatIsNone) {
  for (const std::string text : {"", "host", ":80", "host:", "host:65536", "host:-1", "host:8a",
                                 "::1:80", "[::1]", "[x]:1", "unix:", "a b:1", "http://a:1"}) {
    const Result<Endpoint> endpoint = parse_endpoint(text);
    ASSERT_FALSE(endpoint) << text;
    EXPECT_EQ(endpoint.error().code, Code::InvalidArgument);
  }
}

TEST(Endpoint, KnowsLoopback) {
  const std::string too_long = "unix:/" + std::string(200, 'x');  // to listen on
  for (const std::string_view text :
       {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/x", too_long.c_str()}) {
    EXPECT_TRUE(parse_endpoint(text)->is_loopback()) << text;
  }
  for (const std::string text :
       {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "example.org:1", "127.0.0.1.example.org:1"}) {
    EXPECT_FALSE(parse_endpoint(text)->is_loopback()) << text;
  }
}

TEST(Url, SplitsEndpointAndBase) {
  const Result<Url> url = parse_url("http://127.0.0.1:8080/v1/base/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->endpoint.port, 8080);
  EXPECT_EQ(url->base_path, "/v1/base");
  EXPECT_EQ(parse_url("http://host")->endpoint.port, 80);
  EXPECT_EQ(parse_url("http://[::1]:9/")->endpoint.host, "::1");
  EXPECT_EQ(parse_url("unix:/x")->endpoint.path, "/x");
  for (const std::string text :
       {"https://", "a:1", "ftp://a", "http://", "http://a:1/b c", "http://a:1/?q"}) {
    EXPECT_FALSE(parse_url(text)) << text;
  }
  const auto secure = parse_url("https://grid.example/api");
  ASSERT_TRUE(secure);
  EXPECT_EQ(secure->endpoint.port, 443);
  EXPECT_EQ(secure->endpoint.tls_name, "grid.example");
  EXPECT_EQ(secure->base_path, "/api");
  EXPECT_EQ(parse_url("https://[::1]:8443")->endpoint.tls_name, "::1");
  EXPECT_EQ(parse_url("http://a:1")->endpoint.tls_name, "");
}

}  // namespace
}  // namespace perigee::net
