#include "control/rate_lessee.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <vector>

namespace perigee::control {
namespace {

// Control stands still: its host accepts, and says nothing.
TEST(RateLessee, GivesUpACallThatIsNotAnsweredAndAsksAgain) {
  const SystemClock clock;
  asio::io_context io{1};
  asio::ip::tcp::acceptor silent{io, {asio::ip::address_v4::loopback(), 0}};
  std::vector<asio::ip::tcp::socket> calls;
  std::function<void()> take = [&] {
    silent.async_accept([&](const boost::system::error_code& status, asio::ip::tcp::socket call) {
      if (status) return;
      calls.push_back(std::move(call));
      take();
    });
  };
  take();
  RateLesseeOptions options;
  options.url = "http://127.0.0.1:" + std::to_string(silent.local_endpoint().port());
  options.key = "any";
  options.interval = milliseconds{10};
  options.patience = milliseconds{20};
  int failed = 0;
  RateHolder holder;
  holder.report = [] { return RateReport{}; };
  holder.granted = [](const RateReport&, const std::vector<RateGrant>&) {
    ADD_FAILURE() << "nobody answered";
  };
  holder.failed = [&failed](const RateReport&) { ++failed; };
  holder.has_claims = [] { return true; };
  holder.linked_since = [] { return Instant{}; };
  auto lessee = RateLessee::start(io.get_executor(), clock, options, std::move(holder));
  ASSERT_TRUE(lessee) << lessee.error().message;
  const Instant limit = clock.now() + seconds{10};
  while ((failed < 2 || calls.size() < 2) && clock.now() < limit) io.run_one_for(milliseconds{50});
  EXPECT_GE(failed, 2);
  EXPECT_GE(calls.size(), 2U) << "an abort that was not reset asks nobody";
  lessee->reset();
  io.poll();
}

}  // namespace
}  // namespace perigee::control
