#include "net/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/basic_waitable_timer.hpp>
#include <filesystem>
#include <functional>

#include "net/test_support.h"

namespace perigee::net {
namespace {

using ::testing::HasSubstr;

// A server that is nothing but a thread with a listening socket: the script says what it does with
// each connection, in order.
class RawServer {
 public:
  explicit RawServer(std::vector<std::function<void(RawPeer&)>> script)
      : fd_(listen_on(endpoint_).value()), thread_([this, script = std::move(script)] {
          for (const auto& each : script) {
            const pollfd ready{fd_, POLLIN, 0};
            pollfd wait = ready;
            if (::poll(&wait, 1, 10'000) <= 0) return;
            const int accepted = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
            if (accepted < 0) return;
            RawPeer peer{accepted};
            each(peer);
            ++served;
          }
        }) {}
  ~RawServer() {
    thread_.join();
    ::close(fd_);
  }
  const Endpoint& endpoint() const { return endpoint_; }
  std::atomic<int> served = 0;

 private:
  Endpoint endpoint_{"127.0.0.1", 0, {}};
  int fd_;
  std::thread thread_;
};

struct Answer {
  Result<> head = Error{};
  int status = 0;
  std::string type;
  Result<std::string> body = Error{};
};

Task<void> fetch(HttpClient& client, Endpoint endpoint, ClientRequest request, Abort* abort,
                 std::size_t bytes_max, Answer& out) {
  auto response = co_await client.send(endpoint, request, abort);
  if (!response) {
    out.head = response.error();
    co_return;
  }
  out.head = Result<>{};
  out.status = response->status();
  out.type = response->header("CONTENT-type");
  out.body = co_await response->read_all(bytes_max);
}

class HttpClientTest : public ::testing::Test {
 protected:
  HttpClientTest() : client_(std::in_place, context_.get_executor(), clock_, short_limits()) {}
  static ClientLimits short_limits() {
    ClientLimits limits;
    limits.head_timeout = seconds{10};
    limits.read_timeout = seconds{10};
    return limits;
  }
  Answer get(const Endpoint& endpoint, ClientRequest request = {}, Abort* abort = nullptr,
             std::size_t bytes_max = 100 << 20) {
    Answer answer;
    bool done = false;
    asio::co_spawn(context_, fetch(*client_, endpoint, request, abort, bytes_max, answer),
                   [&](std::exception_ptr error) {
                     done = true;
                     ASSERT_FALSE(error);
                   });
    context_.restart();
    while (!done) context_.run_one();
    return answer;
  }
  // The client against one raw answer.
  Answer get_raw(std::string answer) {
    RawServer server{{[&](RawPeer& peer) {
      peer.read_until("\r\n\r\n");
      peer.send(answer);
    }}};
    return get(server.endpoint());
  }

  SystemClock clock_;
  asio::io_context context_{1};
  std::optional<HttpClient> client_;
};

Task<void> echo(Request& request, ResponseWriter& out) {
  const std::string body{request.body};
  const Header type{"Content-Type", request.header("content-type")};
  auto sent = co_await out.respond(request.path == "/404" ? 404 : 200, {&type, 1}, body);
  static_cast<void>(sent);
}

TEST_F(HttpClientTest, SendsAndReceivesAndReusesItsConnection) {
  TestServer server{echo};
  const Header type{"Content-Type", "application/json"};
  for (int i = 0; i < 3; ++i) {
    const Answer answer = get(server.endpoint(), {"POST", "/", {&type, 1}, "{\"a\":1}"});
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.type, "application/json");
    EXPECT_EQ(answer.body.value(), "{\"a\":1}");
  }
  EXPECT_EQ(client_->idle_connections(), 1U);
  EXPECT_EQ(server.io().call([&] { return server.server().connections(); }), 1U);
}

TEST_F(HttpClientTest, CarriesBigBodiesBothWays) {
  TestServer server{echo};
  const std::string body(7'000'000, 'x');
  const Answer answer = get(server.endpoint(), {"POST", "/", {}, body});
  EXPECT_EQ(answer.body.value().size(), body.size());
  EXPECT_TRUE(answer.body.value() == body);
}

TEST_F(HttpClientTest, TalksOverUnixSockets) {
  char name[] = "/tmp/perigee-net-XXXXXX";
  const std::string folder = ::mkdtemp(name);
  {
    TestServer server{echo, {}, {"", 0, folder + "/s"}};
    EXPECT_EQ(get(server.endpoint(), {"POST", "/404", {}, "x"}).status, 404);
    EXPECT_EQ(get(server.endpoint(), {"POST", "/", {}, "y"}).body.value(), "y");
    EXPECT_EQ(client_->idle_connections(), 1U);
  }
  EXPECT_EQ(get({"", 0, folder + "/s"}).head.error().code, Code::Unavailable);
  std::filesystem::remove_all(folder);
}

TEST_F(HttpClientTest, ResolvesLocalhost) {
  TestServer server{echo};
  EXPECT_EQ(get({"localhost", server.endpoint().port, {}}, {"POST", "/", {}, "x"}).body.value(),
            "x");
}

TEST_F(HttpClientTest, ReadsEveryFraming) {
  EXPECT_EQ(get_raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc").body.value(), "abc");
  EXPECT_EQ(get_raw("HTTP/1.1 200 OK\r\n\r\nuntil the end").body.value(), "until the end");
  EXPECT_EQ(
      get_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x\r\nbc\r\n0\r\n"
              "T: u\r\n\r\n")
          .body.value(),
      "abc");
  EXPECT_EQ(get_raw("HTTP/1.1 204 No Content\r\n\r\n").body.value(), "");
  EXPECT_EQ(
      get_raw(
          "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
          "Content-Length: 1\r\n\r\nx")
          .body.value(),
      "x");
}

TEST_F(HttpClientTest, ReadsAnAnswerHoweverItIsCut) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  for (const std::size_t step : {1U, 2U, 5U, 11U}) {
    RawServer server{{[&](RawPeer& peer) {
      peer.read_until("\r\n\r\n");
      for (std::size_t at = 0; at < text.size(); at += step) {
        peer.send(std::string_view{text}.substr(at, step));
      }
      peer.read_to_end();
    }}};
    EXPECT_EQ(get(server.endpoint()).body.value(), "abcde") << step;
    client_.emplace(context_.get_executor(), clock_, short_limits());
  }
}

TEST_F(HttpClientTest, CallsGarbageAProtocolError) {
  for (const std::string text :
       {"garbage\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "SSH-2.0-OpenSSH\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 999 Odd\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"}) {
    EXPECT_EQ(get_raw(text).head.error().code, Code::Protocol) << text;
  }
  EXPECT_EQ(get_raw("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x')).head.error().code,
            Code::Protocol);
  std::string interim;  // and never the answer itself
  for (int i = 0; i < 4'000; ++i) interim += "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(get_raw(interim).head.error().code, Code::Protocol);
  EXPECT_EQ(
      get_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").body.error().code,
      Code::Protocol);
}

TEST_F(HttpClientTest, TellsWhenAServerDiesInTheMiddle) {
  EXPECT_EQ(get_raw("").head.error().code, Code::Unavailable);
  EXPECT_EQ(get_raw("HTTP/1.1 200 OK\r\nCont").head.error().code, Code::Unavailable);
  EXPECT_EQ(get_raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc").body.error().code,
            Code::Unavailable);
  EXPECT_EQ(get_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
                .body.error()
                .code,
            Code::Unavailable);
  RawServer resetting{{[](RawPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    peer.reset();
  }}};
  const Answer answer = get(resetting.endpoint());
  const Code code = answer.head ? answer.body.error().code : answer.head.error().code;
  EXPECT_EQ(code, Code::Unavailable);
}

TEST_F(HttpClientTest, SaysThatNobodyListens) {
  Endpoint endpoint{"127.0.0.1", 0, {}};
  ::close(listen_on(endpoint).value());
  const Answer answer = get(endpoint);
  EXPECT_EQ(answer.head.error().code, Code::Unavailable);
  EXPECT_THAT(answer.head.error().message, HasSubstr("refused"));
}

TEST_F(HttpClientTest, ReplacesAKeptConnectionThatDied) {
  const auto answer_one = [](RawPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
  };
  const auto answer_one_and_drop_the_next = [&](RawPeer& peer) {
    answer_one(peer);
    peer.read_until("\r\n\r\n");  // the second request, unanswered
  };
  RawServer server{{answer_one_and_drop_the_next, answer_one}};
  EXPECT_EQ(get(server.endpoint()).body.value(), "x");
  EXPECT_EQ(get(server.endpoint()).body.value(), "x");
}

TEST_F(HttpClientTest, DoesNotRepeatOnAFreshConnection) {
  RawServer server{{[](RawPeer& peer) { peer.read_until("\r\n\r\n"); }}};
  EXPECT_EQ(get(server.endpoint()).head.error().code, Code::Unavailable);
}

TEST_F(HttpClientTest, KeepsNoConnectionThatMustClose) {
  get_raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
  EXPECT_EQ(client_->idle_connections(), 0U);
  get_raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more than it said");
  EXPECT_EQ(client_->idle_connections(), 0U);
}

TEST_F(HttpClientTest, BoundsWhatItReads) {
  TestServer server{echo};
  const std::string body(5000, 'x');
  EXPECT_EQ(get(server.endpoint(), {"POST", "/", {}, body}, nullptr, 4999).body.error().code,
            Code::PayloadTooLarge);
  EXPECT_EQ(client_->idle_connections(), 0U);
}

TEST_F(HttpClientTest, GivesAnAnswerThatComesBeforeTheWholeRequestWasSent) {
  ServerLimits limits;
  limits.body_bytes_max = 1000;
  TestServer server{echo, limits};
  const std::string body(20 << 20, 'x');
  EXPECT_EQ(get(server.endpoint(), {"POST", "/", {}, body}).status, 413);
  EXPECT_EQ(client_->idle_connections(), 0U);
}

TEST_F(HttpClientTest, RefusesToSendWhatBreaksOut) {
  const Header bad{"X", "a\r\nHost: b"};
  EXPECT_EQ(get({"127.0.0.1", 1, {}}, {"GET", "/", {&bad, 1}, {}}).head.error().code,
            Code::InvalidArgument);
  EXPECT_EQ(get({"127.0.0.1", 1, {}}, {"GET", "/a b", {}, {}}).head.error().code,
            Code::InvalidArgument);
}

class HttpClientPatienceTest : public HttpClientTest {
 protected:
  // With one thing only: all else may take its time.
  void be_impatient_with(Duration ClientLimits::* thing) {
    ClientLimits limits = short_limits();
    limits.*thing = milliseconds{50};
    client_.emplace(context_.get_executor(), clock_, limits);
  }
};

TEST_F(HttpClientPatienceTest, LosesPatienceWithAHead) {
  be_impatient_with(&ClientLimits::head_timeout);
  RawServer server{{[](RawPeer& peer) { peer.read_to_end(); }}};
  EXPECT_EQ(get(server.endpoint()).head.error().code, Code::DeadlineExceeded);
}

TEST_F(HttpClientPatienceTest, LosesPatienceWithABody) {
  be_impatient_with(&ClientLimits::read_timeout);
  RawServer server{{[](RawPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    peer.read_to_end();
  }}};
  EXPECT_EQ(get(server.endpoint()).body.error().code, Code::DeadlineExceeded);
}

TEST_F(HttpClientPatienceTest, DropsIdleConnectionsAfterAWhile) {
  be_impatient_with(&ClientLimits::idle_timeout);
  TestServer server{echo};
  get(server.endpoint(), {"POST", "/", {}, "x"});
  EXPECT_EQ(client_->idle_connections(), 1U);
  while (client_->idle_connections() > 0) context_.run_one();
}

TEST_F(HttpClientTest, AbortsAnExchangeThatWaits) {
  Abort abort;
  std::promise<void> left;
  RawServer server{{[&](RawPeer& peer) {
    peer.read_until("\r\n\r\n");
    asio::post(context_, [&] { abort.abort(); });
    peer.read_to_end();  // ends when the client closes
    left.set_value();
  }}};
  EXPECT_EQ(get(server.endpoint(), {}, &abort).head.error().code, Code::Cancelled);
  left.get_future().wait();
  EXPECT_EQ(get(server.endpoint(), {}, &abort).head.error().code, Code::Cancelled);
  abort.reset();
  EXPECT_EQ(get({"127.0.0.1", 1, {}}, {}, &abort).head.error().code, Code::Unavailable);
}

TEST_F(HttpClientTest, AbortsAnExchangeThatStreams) {
  Abort abort;
  RawServer server{{[&](RawPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    asio::post(context_, [&] { abort.abort(); });
    peer.read_to_end();
  }}};
  const Answer answer = get(server.endpoint(), {}, &abort);
  EXPECT_EQ(answer.head ? answer.body.error().code : answer.head.error().code, Code::Cancelled);
}

Task<void> drop_early(HttpClient& client, Endpoint endpoint, std::string& first) {
  auto response = co_await client.send(endpoint, {});
  if (!response) co_return;
  auto piece = co_await response->read_some();
  if (piece) first = *piece;
}

TEST_F(HttpClientTest, ClosesTheConnectionOfAResponseThatIsDropped) {
  std::promise<void> left;
  RawServer server{{[&](RawPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    peer.read_to_end();
    left.set_value();
  }}};
  std::string first;
  asio::co_spawn(context_, drop_early(*client_, server.endpoint(), first), asio::detached);
  context_.run();
  left.get_future().wait();
  EXPECT_EQ(first, "abc");
}

Task<void> many(HttpClient& client, Endpoint endpoint, int& ok) {
  for (int i = 0; i < 20; ++i) {
    auto response = co_await client.send(endpoint, {"POST", "/", {}, "hello"});
    if (!response) co_return;
    auto body = co_await response->read_all(100);
    if (body && *body == "hello") ++ok;
  }
}

TEST_F(HttpClientTest, RunsManyExchangesAtOnce) {
  TestServer server{echo};
  int ok = 0;
  for (int i = 0; i < 500; ++i) {
    asio::co_spawn(context_, many(*client_, server.endpoint(), ok), asio::detached);
  }
  while (ok < 500 * 20 && context_.run_one() > 0) {
  }
  EXPECT_EQ(ok, 500 * 20);
}

TEST(HttpClient, EndsCleanlyWhenTheLoopEndsFirst) {
  SystemClock clock;
  RawServer server{{[](RawPeer& peer) { peer.read_to_end(); }}};
  Answer answer;
  asio::io_context context;
  HttpClient client{context.get_executor(), clock, {}};
  asio::co_spawn(context, fetch(client, server.endpoint(), {}, nullptr, 100, answer),
                 asio::detached);
  context.run_for(std::chrono::milliseconds{1});
}

}  // namespace
}  // namespace perigee::net
