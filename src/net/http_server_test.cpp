#include "net/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>

#include "net/test_support.h"

namespace perigee::net {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size()))
    ++n;
  return n;
}

Task<void> answer_size(Request& request, ResponseWriter& out) {
  const std::string body = std::to_string(request.body.size());
  auto sent = co_await out.respond(200, {}, body);
  static_cast<void>(sent);
}

TEST(HttpServer, AnswersARequest) {
  TestServer server{echo};
  const std::string answer = server.talk(get("/a/b?c=d"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 15\r\n"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n\r\nGET /a/b?c=d []"));
}

TEST(HttpServer, KeepsConnectionsAndAnswersPipelinedRequestsInOrder) {
  TestServer server{echo};
  std::string bytes;
  for (int i = 0; i < 200; ++i) {
    bytes += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
  }
  bytes += get("/last");
  const std::string answer = server.talk(bytes);
  std::size_t at = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string wanted = "\r\n\r\nPOST /" + std::to_string(i) + "? [abc]";
    at = answer.find(wanted, at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_NE(answer.find("GET /last? []", at), std::string::npos);
}

TEST(HttpServer, UnderstandsRequestsHoweverTheyAreCut) {
  TestServer server{echo};
  const std::string bytes =
      "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
      "POST /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2;q=1\r\nde\r\n0\r\n\r\n" +
      get("/z");
  for (std::size_t step : {1U, 2U, 3U, 7U, 50U}) {
    RawPeer client = server.connect();
    const int on = 1;
    ::setsockopt(client.fd(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      ASSERT_TRUE(client.send(std::string_view{bytes}.substr(at, step)));
    }
    const std::string answer = client.read_to_end();
    EXPECT_THAT(answer, HasSubstr("POST /x? [hello]")) << step;
    EXPECT_THAT(answer, HasSubstr("POST /y? [abcde]")) << step;
    EXPECT_THAT(answer, HasSubstr("GET /z? []")) << step;
  }
}

// Whether the path is still in the same bytes as the query behind it.
Task<void> answer_whether_together(Request& request, ResponseWriter& out) {
  const bool together = request.path == "/" && request.query == "a=1" &&
                        request.path.data() + 2 == request.query.data();
  auto sent = co_await out.respond(200, {}, together ? "together" : "apart");
  static_cast<void>(sent);
}

TEST(HttpServer, KeepsTheRootPathOfAHeadThatCameInTwoSegments) {
  TestServer server{answer_whether_together};
  for (const std::string_view body : {"", "hello"}) {
    RawPeer client = server.connect();
    const int on = 1;
    ::setsockopt(client.fd(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    ASSERT_TRUE(client.send("POST /?a=1 HTTP/1.1\r\nHost: a\r\nContent-Le"));
    ASSERT_TRUE(client.send("ngth: " + std::to_string(body.size()) +
                            "\r\nConnection: close\r\n\r\n" + std::string{body}));
    EXPECT_THAT(client.read_to_end(), HasSubstr("\r\n\r\ntogether"));
  }
}

TEST(HttpServer, TakesBigBodies) {
  TestServer server{answer_size};
  for (const std::size_t size : {100U, 65'400U, 65'536U, 220'000U, 8'000'000U}) {
    RawPeer client = server.connect();
    ASSERT_TRUE(client.send("POST / HTTP/1.1\r\nConnection: close\r\nHost: a\r\nContent-Length: " +
                            std::to_string(size) + "\r\n\r\n" + std::string(size, 'x')));
    EXPECT_THAT(client.read_to_end(), HasSubstr("\r\n\r\n" + std::to_string(size)));
  }
}

TEST(HttpServer, RefusesBodiesBeyondTheLimitHoweverTheyAreFramed) {
  ServerLimits limits;
  limits.body_bytes_max = 1000;
  TestServer server{answer_size, limits};
  EXPECT_THAT(server.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" +
                          std::string(1001, 'x')),
              StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(
      server.talk("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
                  std::string(1001, 'x') + "\r\n0\r\n\r\n"),
      StartsWith("HTTP/1.1 413 "));
}

struct BadRequest {
  const char* name;
  std::string bytes;
  int status;
};

std::vector<BadRequest> bad_requests() {
  const auto post = [](std::string headers, std::string body = "") {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + headers + "\r\n" + body;
  };
  return {
      {"garbage", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400},
      {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
      {"bare CR", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
      {"folding", post("X: a\r\n b\r\n"), 400},
      {"space before colon", post("Content-Length : 3\r\n", "abc"), 400},
      {"length and chunked",
       post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"two lengths", post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
      {"length list", post("Content-Length: 3, 3\r\n", "abc"), 400},
      {"signed length", post("Content-Length: +3\r\n", "abc"), 400},
      {"hex length", post("Content-Length: 0x3\r\n", "abc"), 400},
      {"huge length", post("Content-Length: 99999999999999999999\r\n"), 400},
      {"other coding", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
      {"tabbed chunked",
       post("Transfer-Encoding: \x0b"
            "chunked\r\n",
            "0\r\n\r\n"),
       400},
      {"compressed", post("Content-Encoding: gzip\r\nContent-Length: 3\r\n", "abc"), 415},
      {"two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"bad chunk size", post("Transfer-Encoding: chunked\r\n", "xyz\r\n"), 400},
      {"chunk LF only", post("Transfer-Encoding: chunked\r\n", "3\nabc\r\n0\r\n\r\n"), 400},
      {"chunk overrun", post("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"), 400},
      {"chunk size overflow", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), 400},
      {"bad trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nno colon\r\n\r\n"), 400},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"bad host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
      {"NUL in value", post(std::string("X: a\0b\r\n", 8)), 400},
      {"no colon", post("Nonsense\r\n"), 400},
      {"empty name", post(": x\r\n"), 400},
      {"bad version", "GET / HTTP/1.x\r\nHost: a\r\n\r\n", 400},
      {"version 2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
      {"HTTP/0.9", "GET /\r\n\r\n", 400},
      {"bad method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"connect", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
      {"relative target", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"control in target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"space in target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"unknown expectation", post("Expect: miracles\r\n"), 417},
      {"big head", post("X: " + std::string(40'000, 'x') + "\r\n"), 431},
      {"endless line", "GET /" + std::string(40'000, 'x'), 431},
      {"many headers", post([] {
         std::string out;
         for (int i = 0; i < 101; ++i) out += "X: y\r\n";
         return out;
       }()),
       431},
      {"chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
  };
}

TEST(HttpServer, RefusesMalformedRequestsAndClosesAndLivesOn) {
  std::atomic<int> handled = 0;
  TestServer server{[&handled](Request& request, ResponseWriter& out) {
    ++handled;
    return echo(request, out);
  }};
  for (const BadRequest& bad : bad_requests()) {
    // What follows must not be taken for a second request.
    const std::string answer = server.talk(bad.bytes + get("/smuggled"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 " + std::to_string(bad.status) + " ")) << bad.name;
    EXPECT_EQ(count(answer, "Date: "), 1U) << bad.name;
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n")) << bad.name;
  }
  EXPECT_EQ(handled, 0);
  EXPECT_THAT(server.talk(get("/")), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, AnswersASlowHeadWith408) {
  ServerLimits limits;
  limits.head_timeout = milliseconds{50};
  TestServer server{echo, limits};
  EXPECT_THAT(server.talk("GET / HTTP/1.1\r\nHos"), StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, AnswersASlowBodyWith408) {
  ServerLimits limits;
  limits.body_timeout = milliseconds{50};
  TestServer server{echo, limits};
  EXPECT_THAT(server.talk("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
              StartsWith("HTTP/1.1 408 "));
}

TEST(HttpServer, ClosesIdleConnectionsSilently) {
  ServerLimits limits;
  limits.idle_timeout = milliseconds{50};
  TestServer server{echo, limits};
  EXPECT_EQ(server.talk(""), "");
}

TEST(HttpServer, ContinuesWhenExpected) {
  TestServer server{echo};
  RawPeer client = server.connect();
  client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  EXPECT_THAT(client.read_until("[abc]"), StartsWith("HTTP/1.1 200 "));
}

TEST(HttpServer, SendsNoBodyToHead) {
  TestServer server{echo};
  const std::string answer = server.talk("HEAD /x HTTP/1.1\r\n" + std::string{kClose});
  EXPECT_THAT(answer, HasSubstr("Content-Length: 11\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\n"));
}

TEST(HttpServer, AcceptsAbsoluteTargets) {
  TestServer server{echo};
  EXPECT_THAT(server.talk(get("http://a:80/b?c")), HasSubstr("GET /b?c []"));
  EXPECT_THAT(server.talk(get("http://a")), HasSubstr("GET /? []"));
}

Task<void> stream_three(Request&, ResponseWriter& out) {
  const Header type{"Content-Type", "text/event-stream"};
  auto begun = co_await out.begin(200, {&type, 1});
  for (int i = 0; i < 3; ++i) {
    auto written = co_await out.write("data: x\n\n");
    if (!written) co_return;
  }
  auto finished = co_await out.finish();
  static_cast<void>(finished);
}

TEST(HttpServer, StreamsInChunksAndKeepsTheConnection) {
  TestServer server{stream_three};
  RawPeer client = server.connect();
  for (int i = 0; i < 2; ++i) {
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_THAT(client.read_until("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked\r\n"));
    const std::string chunk = "9\r\ndata: x\n\n\r\n";
    EXPECT_EQ(client.read_until("0\r\n\r\n"), chunk + chunk + chunk + "0\r\n\r\n");
  }
}

TEST(HttpServer, EndsAStreamToHttp10WithTheConnection) {
  TestServer server{stream_three};
  const std::string answer = server.talk("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(count(answer, "chunked"), 0U);
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\ndata: x\n\ndata: x\n\ndata: x\n\n"));
}

Task<void> stream_and_vanish(Request&, ResponseWriter& out) {
  auto begun = co_await out.begin(200, {});
  auto written = co_await out.write("half");
  static_cast<void>(written);
}

TEST(HttpServer, CutsAStreamThatItsHandlerLeft) {
  TestServer server{stream_and_vanish};
  EXPECT_THAT(server.talk("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
              ::testing::EndsWith("4\r\nhalf\r\n"));
}

Task<void> throw_up(Request&, ResponseWriter&) {
  throw std::runtime_error("boom");
  co_return;
}
Task<void> say_nothing(Request&, ResponseWriter&) { co_return; }

TEST(HttpServer, AnswersForHandlersThatThrowOrSayNothing) {
  for (const Handler& handler : {Handler{throw_up}, Handler{say_nothing}}) {
    TestServer server{handler};
    const std::string answer = server.talk(get("/"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 500 "));
    EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(answer,
                HasSubstr(R"(,"type":"server_error","param":null,"code":"server_error"}})"));
  }
}

Task<void> inject(Request&, ResponseWriter& out) {
  const Header bad{"X", "a\r\nSet-Cookie: b"};
  auto refused = co_await out.respond(200, {&bad, 1}, "x");
  const Header told{"X-Refused", refused ? "no" : "yes"};
  auto sent = co_await out.respond(200, {&told, 1}, "x");
  static_cast<void>(sent);
}

TEST(HttpServer, RefusesToSendHeadersThatBreakOut) {
  TestServer server{inject};
  EXPECT_THAT(server.talk(get("/")), HasSubstr("X-Refused: yes\r\n"));
}

using Timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                         asio::wait_traits<std::chrono::steady_clock>, Executor>;

struct Leaving {
  Executor executor;
  std::promise<void> arrived;
  std::promise<void> left;
};

// Waits until the client leaves, streaming nothing.
Task<void> wait_for_leave(Leaving& leaving, ResponseWriter& out) {
  Timer timer{leaving.executor};
  timer.expires_after(seconds{30});
  out.watch_client([&] { timer.cancel(); });
  auto begun = co_await out.begin(200, {});
  leaving.arrived.set_value();
  auto waited = co_await timer.async_wait(kAwait);
  if (std::get<0>(waited)) leaving.left.set_value();
}

void expect_leave_is_noticed(void (*leave)(RawPeer&)) {
  Leaving* current = nullptr;
  TestServer server{
      [&current](Request&, ResponseWriter& out) { return wait_for_leave(*current, out); }};
  Leaving leaving{server.io().executor(), {}, {}};
  current = &leaving;
  RawPeer client = server.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  leaving.arrived.get_future().wait();
  leave(client);
  EXPECT_EQ(leaving.left.get_future().wait_for(std::chrono::seconds{10}),
            std::future_status::ready);
}

// Answers nothing once the client has left.
Task<void> wait_silently(Leaving& leaving, ResponseWriter& out) {
  Timer timer{leaving.executor};
  timer.expires_after(seconds{30});
  out.watch_client([&] { timer.cancel(); });
  leaving.arrived.set_value();
  auto waited = co_await timer.async_wait(kAwait);
  static_cast<void>(waited);
}

TEST(HttpServer, SaysNothingToAClientThatLeftBeforeItsAnswer) {
  Leaving* current = nullptr;
  TestServer server{
      [&current](Request&, ResponseWriter& out) { return wait_silently(*current, out); }};
  Leaving leaving{server.io().executor(), {}, {}};
  current = &leaving;
  RawPeer client = server.connect();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  leaving.arrived.get_future().wait();
  client.half_close();
  EXPECT_EQ(client.read_to_end(), "");
}

TEST(HttpServer, TellsThatTheClientClosed) {
  expect_leave_is_noticed([](RawPeer& client) { client.close(); });
}
TEST(HttpServer, TellsThatTheClientReset) {
  expect_leave_is_noticed([](RawPeer& client) { client.reset(); });
}

TEST(HttpServer, RefusesATcpAddressInUse) {
  TestServer server{echo};
  SystemClock clock;
  asio::io_context context;
  HttpServer second{context.get_executor(), clock, {}, echo};
  EXPECT_EQ(second.listen(server.endpoint()).error().code, Code::FailedPrecondition);
}

Task<void> shut(HttpServer& server, std::promise<void>& done) {
  co_await server.shut_down(seconds{10});
  done.set_value();
}

TEST(HttpServer, ShutsDownOnceRunningResponsesEnded) {
  Leaving* current = nullptr;
  TestServer server{
      [&current](Request&, ResponseWriter& out) { return wait_for_leave(*current, out); }};
  Leaving leaving{server.io().executor(), {}, {}};
  current = &leaving;
  RawPeer idle = server.connect();
  RawPeer busy = server.connect();
  busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  leaving.arrived.get_future().wait();
  std::promise<void> done;
  server.io().call([&] {
    asio::co_spawn(server.io().executor(), shut(server.server(), done), asio::detached);
    return 0;
  });
  EXPECT_FALSE(RawPeer{server.endpoint()}.connected());
  busy.close();
  done.get_future().wait();
  EXPECT_EQ(idle.read_to_end(), "");
}

// A client that was promised a kept connection may send its next request at any instant.
TEST(HttpServer, ServesWhatComesOnAKeptConnectionWhileItShutsDown) {
  Leaving* current = nullptr;
  TestServer server{[&current](Request& request, ResponseWriter& out) {
    return request.path == "/wait" ? wait_for_leave(*current, out) : echo(request, out);
  }};
  Leaving leaving{server.io().executor(), {}, {}};
  current = &leaving;
  RawPeer kept = server.connect();
  kept.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(kept.read_until("/one").find("Connection: close"), std::string::npos);
  RawPeer busy = server.connect();
  busy.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  leaving.arrived.get_future().wait();
  std::promise<void> done;
  server.io().call([&] {
    asio::co_spawn(server.io().executor(), shut(server.server(), done), asio::detached);
    return 0;
  });
  kept.send("GET /two HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string last = kept.read_to_end();
  EXPECT_NE(last.find("Connection: close"), std::string::npos) << last;
  EXPECT_NE(last.find("/two"), std::string::npos) << last;
  busy.close();
  done.get_future().wait();
}

}  // namespace
}  // namespace perigee::net
