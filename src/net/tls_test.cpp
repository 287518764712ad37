#include "net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"
#include "net/test_support.h"
#include "net/tls_stream.h"
#include "net/tls_test_support.h"

namespace perigee::net {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

struct Answer {
  Result<> head = Error{};
  int status = 0;
  std::string body;
  bool done = false;
};

Task<void> fetch(HttpClient& client, Endpoint endpoint, ClientRequest request, Answer& out) {
  auto response = co_await client.send(std::move(endpoint), request);
  if (!response) {
    out.head = response.error();
    out.done = true;
    co_return;
  }
  out.head = Result<>{};
  out.status = response->status();
  auto body = co_await response->read_all(std::size_t{64} * 1024 * 1024);
  if (body) {
    out.body = std::move(*body);
  } else {
    out.head = body.error();
  }
  out.done = true;
}

// Says who asks: "plain", "tls" or the member's id; echoes the body after it. To "whence" says the
// other end's address.
Task<void> who_asks(Request& request, ResponseWriter& out) {
  std::string body = request.tls_peer == nullptr ? "plain" : "tls";
  if (!request.member().empty()) body = request.member();
  if (request.body == "whence") {
    body = request.tls_peer == nullptr ? "nowhere" : request.tls_peer->address;
  } else {
    body += request.body;
  }
  auto sent = co_await out.respond(200, {}, body);
  static_cast<void>(sent);
}

class TlsTest : public testing::Test {
 protected:
  TlsTest() { use(server_of(grid_.site("metro"))); }
  void use(std::shared_ptr<const TlsServer> tls) {
    server_.io().call([&] {
      server_.server().use_tls(std::move(tls));
      return 0;
    });
  }
  Answer ask(HttpClient& client, const std::string& tls_name, std::string_view body = {}) {
    Endpoint endpoint = server_.endpoint();
    endpoint.tls_name = tls_name;
    ClientRequest request;
    request.body = body;
    Answer answer;
    asio::co_spawn(context_, fetch(client, endpoint, request, answer), asio::detached);
    context_.restart();
    while (!answer.done && context_.run_one() > 0) {
    }
    context_.poll();
    return answer;
  }
  std::string refusal(const std::shared_ptr<TlsClientSource>& tls, const std::string& tls_name) {
    HttpClient client{context_.get_executor(), clock_, limits(), tls};
    const Answer answer = ask(client, tls_name);
    return answer.head ? "it was let in: " + answer.body : answer.head.error().message;
  }
  static ClientLimits limits() {
    ClientLimits short_ones;
    short_ones.connect_timeout = seconds{20};
    short_ones.head_timeout = seconds{20};
    return short_ones;
  }

  const TestGrid grid_;
  SystemClock clock_;
  asio::io_context context_{1};
  TestServer server_{who_asks};
  const std::string metro_ = "spiffe://acme/site/metro";
};

TEST_F(TlsTest, KnowsTheAddressOfTheOtherEnd) {
  HttpClient web{context_.get_executor(), clock_, limits(), web_client(grid_.authorities_pem())};
  EXPECT_THAT(ask(web, "localhost", "whence").body, MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
  HttpClient member{context_.get_executor(), clock_, limits(), client_of(grid_.site("edge"))};
  EXPECT_THAT(ask(member, "spiffe://acme/site/metro", "whence").body,
              MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
  EXPECT_EQ(ask(web, "", "whence").body, "nowhere");
}

TEST_F(TlsTest, MembersKnowEachOther) {
  HttpClient client{context_.get_executor(), clock_, limits(), client_of(grid_.site("edge"))};
  const Answer answer = ask(client, metro_);
  ASSERT_TRUE(answer.head) << answer.head.error().message;
  EXPECT_EQ(answer.body, "spiffe://acme/site/edge");
}

TEST_F(TlsTest, LargeBodiesGoBothWaysOverOneConnection) {
  HttpClient client{context_.get_executor(), clock_, limits(), client_of(grid_.site("edge"))};
  std::string body(std::size_t{6} * 1024 * 1024, 'x');
  for (std::size_t i = 0; i < body.size(); i += 7) body[i] = static_cast<char>('a' + i % 23);
  for (int round = 0; round < 3; ++round) {
    const Answer answer = ask(client, metro_, body);
    ASSERT_TRUE(answer.head) << answer.head.error().message;
    EXPECT_TRUE(answer.body == "spiffe://acme/site/edge" + body);
    EXPECT_EQ(client.idle_connections(), 1U);
  }
  EXPECT_EQ(server_.io().call([&] { return server_.server().connections(); }), 1U);
}

TEST_F(TlsTest, AStrangerIsServedWithoutBeingAMember) {
  HttpClient client{context_.get_executor(), clock_, limits(), web_client(grid_.authorities_pem())};
  EXPECT_EQ(ask(client, "127.0.0.1").body, "tls");
  EXPECT_EQ(ask(client, "localhost").body, "tls");
  EXPECT_THAT(refusal(web_client(grid_.authorities_pem()), "elsewhere.example"),
              HasSubstr("is for another host"));
  EXPECT_THAT(refusal(web_client(TestGrid{}.authorities_pem()), "127.0.0.1"),
              HasSubstr("is not of an authority that is trusted here"));
}

TEST_F(TlsTest, PlainHttpFromLoopbackIsServedAndIsNobody) {
  HttpClient client{context_.get_executor(), clock_, limits()};
  EXPECT_EQ(ask(client, "").body, "plain");
}

TEST_F(TlsTest, WithoutAuthoritiesNobodyIsCalled) {
  EXPECT_THAT(refusal(nullptr, metro_), HasSubstr("https needs authorities to believe"));
}

TEST_F(TlsTest, AToolWithoutACertificateStillKnowsWhichMemberItCalls) {
  const std::shared_ptr<TlsClientSource> tool = web_client(grid_.authorities_pem());
  HttpClient client{context_.get_executor(), clock_, limits(), tool};
  EXPECT_EQ(ask(client, metro_).body, "tls");
  EXPECT_THAT(refusal(tool, "spiffe://acme/control"), HasSubstr("names spiffe://acme/site/metro"));
}

TEST_F(TlsTest, AClientRefusesTheWrongServer) {
  EXPECT_THAT(refusal(client_of(grid_.site("edge")), "spiffe://acme/site/other"),
              HasSubstr("the certificate names spiffe://acme/site/metro, expected "
                        "spiffe://acme/site/other"));
  const TestGrid foreign;
  use(server_of(foreign.site("metro")));
  EXPECT_THAT(refusal(client_of(grid_.site("edge")), metro_),
              HasSubstr("is not of an authority that is trusted here"));
  use(server_of(grid_.expired_site("metro")));
  EXPECT_THAT(refusal(client_of(grid_.site("edge")), metro_), HasSubstr("expired at"));
}

TEST_F(TlsTest, AServerRefusesTheWrongClient) {
  const TestGrid foreign;
  TlsMember stranger = foreign.site("edge");
  stranger.authorities_pem = grid_.authorities_pem();
  EXPECT_THAT(refusal(client_of(stranger), metro_), HasSubstr("the other end refused"));
  EXPECT_THAT(refusal(client_of(grid_.expired_site("edge")), metro_),
              HasSubstr("the other end refused: certificate expired"));
  // An authority that signs for two grids: its members stay apart.
  TlsMember other = grid_.member({"other", pki::MemberRole::Site, "edge"});
  EXPECT_THAT(refusal(client_of(other), metro_), HasSubstr("the other end refused"));
  EXPECT_THAT(refusal(client_of(grid_.member({"acme", pki::MemberRole::Authority, ""})), metro_),
              HasSubstr("the other end refused"));
}

TEST_F(TlsTest, AServerWithoutADoorForMembersIsNoMember) {
  TlsServerOptions options;
  options.shown = TestGrid{}.site("metro").own;
  use(TlsServer::make(options).value());
  EXPECT_THAT(refusal(client_of(grid_.site("edge")), metro_),
              HasSubstr("is not of an authority that is trusted here"));
}

TEST_F(TlsTest, ANewCertificateIsForNewConnectionsOnly) {
  const std::shared_ptr<TlsClientSource> tls = client_of(grid_.site("edge"));
  HttpClient client{context_.get_executor(), clock_, limits(), tls};
  ASSERT_TRUE(ask(client, metro_).head);
  use(server_of(grid_.site("renamed")));
  EXPECT_TRUE(ask(client, metro_).head) << "over the connection that stands";
  EXPECT_THAT(refusal(tls, metro_), HasSubstr("names spiffe://acme/site/renamed"));
  TlsClientOptions newer;
  newer.member = grid_.site("edge-two");
  tls->set(TlsClient::make(newer).value());
  EXPECT_EQ(ask(client, "spiffe://acme/site/renamed").body, "spiffe://acme/site/edge-two");
}

TEST_F(TlsTest, ARemovedMembersConnectionsAreCut) {
  HttpClient client{context_.get_executor(), clock_, limits(), client_of(grid_.site("edge"))};
  HttpClient stays{context_.get_executor(), clock_, limits(), client_of(grid_.site("core"))};
  ASSERT_TRUE(ask(client, metro_).head);
  ASSERT_TRUE(ask(stays, metro_).head);
  server_.io().call([&] {
    server_.server().cut_members([](std::string_view id) { return id.ends_with("/edge"); });
    return 0;
  });
  const auto connections = [&] {
    return server_.io().call([&] { return server_.server().connections(); });
  };
  while (connections() > 1) {
  }
  EXPECT_TRUE(ask(stays, metro_).head);
}

TEST_F(TlsTest, BadCertificatesAreNamedWhenTheyAreRead) {
  TlsMember mixed = grid_.site("metro");
  mixed.own.key_pem = grid_.site("other").own.key_pem;
  auto made = TlsServer::make({mixed, std::nullopt});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("does not belong to the certificate"));
  TlsMember empty = grid_.site("metro");
  empty.authorities_pem = "nothing";
  EXPECT_FALSE(TlsServer::make({empty, std::nullopt}));
}

TEST_F(TlsTest, NoiseIsNoHandshakeAndNoCrash) {
  for (const std::string& noise :
       {std::string{"\x16"}, std::string{"\x16\x03\x01\xff\xff"} + std::string(70'000, '\x01'),
        std::string{"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10},
        "\x16" + std::string(100, '\0')}) {
    RawPeer peer = server_.connect();
    peer.send(noise);
    peer.half_close();
    peer.read_to_end();
  }
  HttpClient client{context_.get_executor(), clock_, limits(), client_of(grid_.site("edge"))};
  EXPECT_TRUE(ask(client, metro_).head);
}

TEST(TlsLimits, AHandshakeThatNeverEndsIsCut) {
  ServerLimits limits;
  limits.handshake_timeout = milliseconds{300};
  limits.idle_timeout = std::chrono::hours{1};
  TestServer server{who_asks, limits};
  const TestGrid grid;
  server.io().call([&] {
    server.server().use_tls(server_of(grid.site("metro")));
    return 0;
  });
  for (const std::string_view begun : {"", "\x16", "\x16\x03\x01\x02"}) {
    RawPeer peer = server.connect();
    peer.send(begun);
    EXPECT_EQ(peer.read_to_end(), "");
  }
}

TEST(TlsLimits, HandshakesBeyondTheMostAtOnceAreClosed) {
  ServerLimits limits;
  limits.handshakes_max = 2;
  TestServer server{who_asks, limits};
  const TestGrid grid;
  server.io().call([&] {
    server.server().use_tls(server_of(grid.site("metro")));
    return 0;
  });
  std::vector<RawPeer> held;
  for (int i = 0; i < 2; ++i) {
    held.push_back(server.connect());
    held.back().send("\x16");
  }
  // The others' first bytes were seen once a third is turned away.
  RawPeer last = server.connect();
  last.send("\x16");
  EXPECT_EQ(last.read_to_end(), "");
}

TEST(TlsPin, JoiningBelievesControlOfTheNamedAuthorityOnly) {
  const TestGrid grid;
  TestServer server{who_asks};
  const auto show = [&](const pki::GridMember& who) {
    server.io().call([&] {
      server.server().use_tls(server_of(grid.member(who)));
      return 0;
    });
  };
  const auto ask_pinned = [&](const std::string& pin) {
    TlsClientOptions options;
    options.only_those = true;
    options.pinned_authority = pin;
    SystemClock clock;
    asio::io_context context{1};
    ClientLimits patient;
    patient.connect_timeout = seconds{20};
    HttpClient client{context.get_executor(), clock, patient,
                      std::make_shared<TlsClientSource>(TlsClient::make(options).value())};
    Endpoint endpoint = server.endpoint();
    endpoint.tls_name = "control.example";
    Answer answer;
    asio::co_spawn(context, fetch(client, endpoint, ClientRequest{}, answer), asio::detached);
    while (!answer.done && context.run_one() > 0) {
    }
    return answer.head ? answer.body : answer.head.error().message;
  };
  const std::string right = grid.authority().certificate().sha256();
  show({"acme", pki::MemberRole::Control, ""});
  EXPECT_EQ(ask_pinned(right), "tls");
  EXPECT_THAT(ask_pinned(std::string(32, 'x')), HasSubstr("not the one that the join command"));
  show({"acme", pki::MemberRole::Site, "metro"});
  EXPECT_THAT(ask_pinned(right), HasSubstr("not the one of a grid's control"));
}

}  // namespace
}  // namespace perigee::net
