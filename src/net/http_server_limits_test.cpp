// What a server's limits do to clients that are too slow, too large or too many.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <vector>

#include "net/test_support.h"

namespace perigee::net {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Task<void> flood(Request&, ResponseWriter& out, std::promise<Code>& ended) {
  const std::string megabyte(1 << 20, 'x');
  auto begun = co_await out.begin(200, {});
  for (int i = 0; i < 64; ++i) {
    auto written = co_await out.write(megabyte);
    if (written) continue;
    ended.set_value(written.error().code);
    co_return;
  }
  auto finished = co_await out.finish();
  ended.set_value(Code::AlreadyExists);  // it took all
}

TEST(HttpServerLimits, CutsAClientThatTakesNothing) {
  ServerLimits limits;
  limits.write_timeout = milliseconds{50};
  std::promise<Code> ended;
  TestServer server{
      [&](Request& request, ResponseWriter& out) { return flood(request, out, ended); }, limits};
  RawPeer client = server.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(ended.get_future().get(), Code::DeadlineExceeded);
}

TEST(HttpServerLimits, SendsAllToAClientThatIsSlow) {
  std::promise<Code> ended;
  TestServer server{
      [&](Request& request, ResponseWriter& out) { return flood(request, out, ended); }};
  const std::string answer = server.talk(get("/"));
  EXPECT_EQ(ended.get_future().get(), Code::AlreadyExists);
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n0\r\n\r\n"));
  EXPECT_EQ(std::ranges::count(answer, 'x'), 64 << 20);
}

// A body of tiny chunks with long extensions: as many bytes as a connection carries, and hardly one
// that counts.
TEST(HttpServerLimits, TakesTurnsWithAClientThatSendsWithoutAPause) {
  ServerLimits limits;
  limits.body_bytes_max = std::size_t{1} << 30;
  limits.bodies_bytes_max = std::size_t{1} << 30;
  TestServer server{echo, limits};
  RawPeer greedy = server.connect();
  std::string chunks;
  for (int i = 0; i < 2000; ++i) chunks += "1;" + std::string(250, 'e') + "\r\nx\r\n";
  ASSERT_TRUE(greedy.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  std::atomic<bool> enough{false};
  std::thread sender{[&] {
    while (!enough && greedy.send(chunks)) {
    }
  }};
  for (int i = 0; i < 20; ++i) EXPECT_THAT(server.talk(get("/")), StartsWith("HTTP/1.1 200 "));
  enough = true;
  sender.join();
}

TEST(HttpServerLimits, RefusesMoreConnectionsThanItsLimit) {
  ServerLimits limits;
  limits.connections_max = 2;
  TestServer server{echo, limits};
  RawPeer first = server.connect();
  RawPeer second = server.connect();
  for (RawPeer* client : {&first, &second}) {  // both have begun a second request
    client->send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n");
    EXPECT_THAT(client->read_until("[]"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_THAT(server.talk(""), StartsWith("HTTP/1.1 503 "));
  first.close();
  // The freed place is taken once the server saw the close.
  for (std::string answer; !answer.starts_with("HTTP/1.1 200 ");) answer = server.talk(get("/"));
}

TEST(HttpServerLimits, GivesTheConnectionsThatDoNothingUpForNewOnes) {
  ServerLimits limits;
  limits.connections_max = 8;
  TestServer server{echo, limits};
  std::vector<RawPeer> flood;
  for (int i = 0; i < 100; ++i) flood.push_back(server.connect());
  for (int i = 0; i < 20; ++i) {
    RawPeer client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(client.read_until("[]"), StartsWith("HTTP/1.1 200 "));
    flood.push_back(std::move(client));
  }
  EXPECT_LE(server.io().call([&] { return server.server().connections(); }), 8U + 1U);
}

TEST(HttpServerLimits, RefusesLargeBodiesBeyondWhatAllMayHoldAndTakesSmallOnes) {
  ServerLimits limits;
  limits.bodies_bytes_max = 100'000;
  TestServer server{echo, limits};
  const auto post = [](std::size_t bytes) {
    return "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: " +
           std::to_string(bytes) + "\r\n\r\n";
  };
  RawPeer slow = server.connect();  // has sent all but the last byte
  slow.send(post(100'000) + std::string(99'999, 'x'));
  while (server.io().call([&] { return server.server().body_bytes(); }) < 80'000) {
  }
  const std::string chunks =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n";
  for (const std::string& head : {post(60'000), chunks}) {
    const std::string refused = server.talk(head + std::string(60'000, 'x'));
    EXPECT_THAT(refused, StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(refused, HasSubstr("Retry-After: 1\r\n"));
  }
  EXPECT_THAT(server.talk(post(10'000) + std::string(10'000, 'x')), StartsWith("HTTP/1.1 200 "));
  slow.send("x");
  EXPECT_THAT(slow.read_to_end(), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(server.talk(post(60'000) + std::string(60'000, 'x')), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(server.io().call([&] { return server.server().body_bytes(); }), 0U);
}

TEST(HttpServerLimits, CutsAClientThatTakesAByteNowAndThen) {
  ServerLimits limits;
  limits.write_timeout = milliseconds{300};
  std::promise<Code> ended;
  TestServer server{
      [&](Request& request, ResponseWriter& out) { return flood(request, out, ended); }, limits};
  RawPeer client = server.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  auto end = ended.get_future();
  for (char byte = 0; end.wait_for(milliseconds{5}) != std::future_status::ready;) {
    ASSERT_GE(::recv(client.fd(), &byte, 1, 0), 0);
  }
  EXPECT_EQ(end.get(), Code::DeadlineExceeded);
}

TEST(HttpServerLimits, RefusesConnectionsWhenTheProcessHasNoDescriptorLeftAndRecovers) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
  GTEST_SKIP() << "the sanitizer's own look at a type needs a descriptor";
#endif
#endif
  TestServer server{echo};
  const auto address = literal_address(server.endpoint()).value().value();
  std::vector<RawPeer> clients;
  for (int i = 0; i < 5; ++i) {
    clients.emplace_back(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(clients.back().fd()) + 1;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (RawPeer& client : clients) {
    EXPECT_EQ(::connect(client.fd(), address.get(), address.size), 0);
  }
  for (RawPeer& client : clients) EXPECT_EQ(client.read_to_end(), "");
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_THAT(server.talk(get("/")), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServerLimits, CarriesTwoThousandConnectionsAtOnce) {
  TestServer server{echo};
  std::vector<RawPeer> clients;
  for (int i = 0; i < 2000; ++i) clients.push_back(server.connect());
  for (RawPeer& client : clients) ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  for (RawPeer& client : clients) EXPECT_THAT(client.read_until("[]"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(server.io().call([&] { return server.server().connections(); }), 2000U);
}

}  // namespace
}  // namespace perigee::net
