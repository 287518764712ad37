#include "demo/relay.h"

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <functional>
#include <optional>

#include "demo/relay_connection.h"

namespace perigee::demo {
namespace {

using tcp = asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;

const LinkName kThere{SiteId{"a"}, SiteId{"b"}};
const LinkName kBack{SiteId{"b"}, SiteId{"a"}};
constexpr double kOneWayMs = 20;

// Echoes what it gets; ends when its client ends.
Task<> echo(RelaySocket socket) {
  std::array<char, 4096> buffer;
  for (;;) {
    auto got = co_await socket.async_read_some(asio::buffer(buffer), kAwait);
    if (std::get<0>(got)) co_return;
    auto put = co_await asio::async_write(socket, asio::buffer(buffer, std::get<1>(got)), kAwait);
    if (std::get<0>(put)) co_return;
  }
}

Task<> serve(Acceptor& acceptor) {
  for (;;) {
    RelaySocket socket{acceptor.get_executor()};
    auto accepted = co_await acceptor.async_accept(socket, kAwait);
    if (std::get<0>(accepted)) co_return;
    asio::co_spawn(acceptor.get_executor(), echo(std::move(socket)), asio::detached);
  }
}

class RelayTest : public testing::Test {
 protected:
  RelayTest() {
    LinkQuality quality;
    quality.delay = from_ms(kOneWayMs);
    net::Endpoint target{.host = "127.0.0.1", .port = server_.local_endpoint().port(), .path = {}};
    entry_ = relay_.open(kThere, target, quality).value();
    asio::co_spawn(context_, serve(server_), asio::detached);
  }
  ~RelayTest() override {
    server_.close();
    for (RelaySocket* socket : {&client_, &other_}) socket->close();
    context_.poll();
  }

  // Runs the loop until `done` or, as a net under a broken test, ten seconds.
  template <class Done>
  bool run_until(Done done) {
    const Instant limit = clock_.now() + seconds{10};
    while (!done() && clock_.now() < limit) context_.run_one_for(milliseconds{100});
    return done();
  }
  void run_for(double ms) { context_.run_for(from_ms(ms)); }

  bool connect(RelaySocket& socket) {
    std::optional<boost::system::error_code> error;
    socket.async_connect({asio::ip::address_v4::loopback(), entry_.port},
                         [&](boost::system::error_code e) { error = e; });
    return run_until([&] { return error.has_value(); }) && !*error;
  }
  void start_connect() {
    client_.async_connect({asio::ip::address_v4::loopback(), entry_.port},
                          [this](boost::system::error_code e) { connected_ = e; });
  }
  void send(RelaySocket& socket, std::string_view text) {
    asio::write(socket, asio::buffer(text.data(), text.size()));
  }
  // Starts collecting what comes back on client_.
  void collect() {
    client_.async_read_some(asio::buffer(buffer_),
                            [this](boost::system::error_code e, std::size_t n) {
                              received_.append(buffer_.data(), n);
                              end_ = e;
                              if (!e) collect();
                            });
  }

  asio::io_context context_{1};
  SystemClock clock_;
  Acceptor server_{context_.get_executor(), {asio::ip::address_v4::loopback(), 0}};
  Relay relay_{context_.get_executor(), clock_, 1};
  net::Endpoint entry_;
  RelaySocket client_{context_.get_executor()};
  RelaySocket other_{context_.get_executor()};
  std::array<char, 65536> buffer_{};
  std::string received_;
  boost::system::error_code end_;
  std::optional<boost::system::error_code> connected_;
};

TEST_F(RelayTest, TakesARoundTripToConnectAndOneToAnswer) {
  ASSERT_TRUE(connect(client_));
  collect();
  Instant started = clock_.now();
  send(client_, "hello");
  ASSERT_TRUE(run_until([&] { return received_ == "hello"; }));
  EXPECT_GE(to_ms(clock_.now() - started), 4 * kOneWayMs - 1);
  started = clock_.now();
  send(client_, "!");
  ASSERT_TRUE(run_until([&] { return received_ == "hello!"; }));
  EXPECT_GE(to_ms(clock_.now() - started), 2 * kOneWayMs - 1);
}

TEST_F(RelayTest, KeepsEveryByteInOrder) {
  ASSERT_TRUE(connect(client_));
  collect();
  std::string sent;
  for (int i = 0; i < 3000; ++i) sent += std::to_string(i) + ",";
  client_.non_blocking(true);
  asio::async_write(client_, asio::buffer(sent), [](boost::system::error_code, std::size_t) {});
  ASSERT_TRUE(run_until([&] { return received_.size() >= sent.size(); }));
  EXPECT_EQ(received_, sent);
}

TEST_F(RelayTest, CarriesAHalfClose) {
  ASSERT_TRUE(connect(client_));
  collect();
  send(client_, "bye");
  client_.shutdown(tcp::socket::shutdown_send);
  ASSERT_TRUE(run_until([&] { return end_.failed(); }));
  EXPECT_EQ(received_, "bye");
  EXPECT_EQ(end_, asio::error::eof);
  EXPECT_TRUE(run_until([&] { return relay_.connections() == 0; }));
}

TEST_F(RelayTest, StallsWhatIsUnderWayWhileCutAndDeliversItAfterTheHealing) {
  ASSERT_TRUE(connect(client_));
  collect();
  send(client_, "a");
  ASSERT_TRUE(run_until([&] { return received_ == "a"; }));
  ASSERT_TRUE(relay_.cut(kThere));
  send(client_, "b");
  run_for(5 * kOneWayMs);
  EXPECT_EQ(received_, "a");
  ASSERT_TRUE(relay_.heal(kThere));
  EXPECT_TRUE(run_until([&] { return received_ == "ab"; }));
}

TEST_F(RelayTest, LosesOnlyTheAnswersWhenTheWayBackIsCut) {
  ASSERT_TRUE(connect(client_));
  collect();
  ASSERT_TRUE(relay_.cut(kBack));
  send(client_, "a");
  run_for(8 * kOneWayMs);
  EXPECT_EQ(received_, "");
  relay_.heal_all();
  EXPECT_TRUE(run_until([&] { return received_ == "a"; }));
}

TEST_F(RelayTest, LetsNewConnectsHangWhileCut) {
  ASSERT_TRUE(relay_.cut(kThere));
  start_connect();
  run_for(150);
  EXPECT_FALSE(connected_.has_value());
  ASSERT_TRUE(relay_.heal(kThere));
  // The kernel sends its SYN again after a second, as it would on a real link.
  ASSERT_TRUE(run_until([&] { return connected_.has_value(); }));
  EXPECT_FALSE(connected_->failed());
  collect();
  send(client_, "back");
  EXPECT_TRUE(run_until([&] { return received_ == "back"; }));
}

TEST_F(RelayTest, LetsNewConnectsHangWhenCutAgainAtOnce) {
  ASSERT_TRUE(relay_.cut(kThere));
  ASSERT_TRUE(relay_.heal(kThere));
  ASSERT_TRUE(relay_.cut(kBack));
  start_connect();
  run_for(150);
  EXPECT_FALSE(connected_.has_value());
}

TEST_F(RelayTest, CutsAndHealsTheSameLinkAgainAndAgain) {
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(relay_.cut(kThere));
    run_for(5);
    ASSERT_TRUE(relay_.heal(kThere));
    run_for(5);
  }
  ASSERT_TRUE(connect(client_));
  collect();
  send(client_, "x");
  EXPECT_TRUE(run_until([&] { return received_ == "x"; }));
}

TEST_F(RelayTest, ResetsAConnectionToADeadSite) {
  server_.close();
  ASSERT_TRUE(connect(client_));
  collect();
  ASSERT_TRUE(run_until([&] { return end_.failed(); }));
  EXPECT_EQ(end_, asio::error::connection_reset);
  EXPECT_EQ(relay_.connections(), 0U);
}

TEST_F(RelayTest, SlowsALinkAndRestoresIt) {
  ASSERT_TRUE(connect(client_));
  collect();
  send(client_, "a");
  ASSERT_TRUE(run_until([&] { return received_ == "a"; }));
  ASSERT_TRUE(relay_.slow(kThere, from_ms(60)));
  const Instant started = clock_.now();
  send(client_, "b");
  ASSERT_TRUE(run_until([&] { return received_ == "ab"; }));
  EXPECT_GE(to_ms(clock_.now() - started), 2 * kOneWayMs + 60 - 1);
  relay_.heal_all();
  EXPECT_EQ(relay_.links().front().delay, from_ms(kOneWayMs));
}

TEST_F(RelayTest, StopsReadingAClientWhoseBytesCannotLeave) {
  ASSERT_TRUE(connect(client_));
  ASSERT_TRUE(relay_.cut(kThere));
  client_.non_blocking(true);
  const std::string block(256 * 1024, 'x');
  std::size_t accepted = 0;
  for (int idle = 0; idle < 20;) {
    boost::system::error_code error;
    const std::size_t n = client_.write_some(asio::buffer(block), error);
    accepted += n;
    idle = n == 0 ? idle + 1 : 0;
    run_for(5);
    ASSERT_LT(accepted, 64U * 1024 * 1024);  // kernel buffers and a pipe, not everything
  }
}

TEST_F(RelayTest, RefusesAnUnknownLink) {
  const auto outcome = relay_.cut({SiteId{"a"}, SiteId{"nowhere"}});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::NotFound);
  EXPECT_NE(outcome.error().message.find("nowhere"), std::string::npos);
}

}  // namespace
}  // namespace perigee::demo
