// Limits per minute over six sites: real gates, each with a line to one real control on loopback.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>

#include "control/control_client.h"
#include "control/control_server.h"
#include "control/control_test_grid.h"
#include "control/rate_lessee.h"
#include "gateway/rate_gate.h"

namespace perigee {
namespace {

using control::json_text;

// One site's gate and its line.
struct GateAtSite {
  GateAtSite(asio::io_context& io, const Clock& clock, const std::string& url,
             const std::string& key, std::uint64_t life)
      : gate(io.get_executor(), clock, life) {
    control::RateLesseeOptions options;
    options.url = url;
    options.key = key;
    control::RateHolder holder;
    holder.report = [this] { return gate.report(); };
    holder.granted = [this](const RateReport& report, const std::vector<RateGrant>& grants) {
      gate.granted(report, grants);
    };
    holder.failed = [this](const RateReport& report) { gate.failed(report); };
    holder.has_claims = [this] { return gate.has_claims(); };
    holder.linked_since = [] { return Instant{}; };
    auto started =
        control::RateLessee::start(io.get_executor(), clock, std::move(options), std::move(holder));
    EXPECT_TRUE(started);
    line = std::move(*started);
    gate.on_want([this] { line->wake(); });
  }
  RateGate gate;
  std::unique_ptr<control::RateLessee> line;
};

class RateSharing : public testing::Test {
 protected:
  static constexpr int kSites = 6;

  RateSharing() {
    auto table = control::make_table(std::make_unique<MemoryDirectory>(), clock_,
                                     folder_.file("operator.key"));
    const std::string admin = control::first_line(folder_.file("operator.key"));
    server_.emplace(io_.get_executor(), clock_, std::move(table));
    auto bound = server_->listen({"127.0.0.1", 0, ""});
    EXPECT_TRUE(bound);
    url_ = "http://127.0.0.1:" + std::to_string(bound->port);
    admin_.emplace(io_.get_executor(), clock_, net::Url{{"127.0.0.1", bound->port, ""}, ""}, admin);
    call("PUT", "tenants/acme", "{}");
    for (int i = 0; i < kSites; ++i) sites_.push_back(join("s" + std::to_string(i)));
  }
  ~RateSharing() override {
    tickets_.clear();
    sites_.clear();
    admin_.reset();
    server_.reset();
    io_.restart();
    io_.poll();
  }

  std::string call(const std::string& method, const std::string& path, const std::string& body) {
    std::optional<Result<std::string>> outcome;
    asio::co_spawn(io_, admin_->call({method, "/control/v1/" + path, body, ""}),
                   [&outcome](const std::exception_ptr&, Result<std::string> result) {
                     outcome = std::move(result);
                   });
    run_until([&outcome] { return outcome.has_value(); });
    EXPECT_TRUE(outcome && *outcome) << path << ": " << (*outcome ? "" : outcome->error().message);
    return outcome && *outcome ? **outcome : "";
  }
  std::unique_ptr<GateAtSite> join(const std::string& site) {
    const std::string token = json_text(
        call("POST", "join-tokens", R"({"site":")" + site + R"(","jurisdiction":"de"})"), "token");
    const std::string joined =
        call("POST", "join",
             R"({"token":")" + token + R"(","name":")" + site +
                 R"(","url":"http://127.0.0.1:8101","tier":"metro","jurisdiction":"de",)"
                 R"("latitude":1,"longitude":2})");
    return std::make_unique<GateAtSite>(io_, clock_, url_, json_text(joined, "key"), 1);
  }
  std::shared_ptr<const CallerBounds> key(const std::string& scope) {
    const std::string made = call("POST", "keys", R"({"tenant":"acme",)" + scope + "}");
    auto bounds = std::make_shared<CallerBounds>();
    bounds->account = json_text(made, "id");
    auto object = parse_json_object(made);
    const auto number = [&object](const char* name) {
      return static_cast<std::uint32_t>(object->at(name).as_int64());
    };
    bounds->scope.requests_per_minute = number("requests_per_minute");
    bounds->scope.tokens_per_minute = number("tokens_per_minute");
    return bounds;
  }
  template <class Condition>
  void run_until(Condition condition) {
    const auto late = std::make_shared<bool>(false);
    asio::steady_timer deadline{io_, std::chrono::seconds{30}};
    deadline.async_wait([late](const boost::system::error_code& status) { *late = !status; });
    io_.restart();
    while (!condition() && !*late) io_.run_one();
    EXPECT_FALSE(*late) << "waited too long";
  }
  Task<> admit(RateGate& gate, std::shared_ptr<const CallerBounds> bounds, RateDemand demand,
               RateState& state, int& done) {
    auto ticket = co_await gate.admit(std::move(bounds), demand, state);
    ++done;
    if (ticket)
      tickets_.push_back(std::move(*ticket));
    else if (ticket.error().code != Code::ResourceExhausted)
      ++wrong_;
  }
  // 1,000 requests at once, spread over the sites by `site_of`; how many were admitted.
  int admitted_of_thousand(const std::shared_ptr<const CallerBounds>& bounds, RateDemand demand,
                           const std::function<int(int)>& site_of) {
    constexpr int kRequests = 1000;
    int done = 0;
    states_.assign(kRequests, {});
    for (int i = 0; i < kRequests; ++i) {
      RateGate& gate = sites_.at(static_cast<std::size_t>(site_of(i)))->gate;
      asio::co_spawn(io_,
                     admit(gate, bounds, demand, states_.at(static_cast<std::size_t>(i)), done),
                     [](const std::exception_ptr& thrown) { EXPECT_EQ(thrown, nullptr); });
    }
    run_until([&done] { return done == kRequests; });
    EXPECT_EQ(wrong_, 0);
    return static_cast<int>(tickets_.size());
  }

  control::TestFolder folder_;
  asio::io_context io_{1};
  SystemClock clock_;
  std::optional<control::ControlServer> server_;
  std::string url_;
  std::optional<control::ControlClient> admin_;
  std::vector<std::unique_ptr<GateAtSite>> sites_;
  std::vector<RateState> states_;
  std::deque<RateTicket> tickets_;
  int wrong_ = 0;
};

TEST_F(RateSharing, AThousandRequestsOverSixSitesPassExactlyAsOftenAsTheKeyMay) {
  const auto bounds = key(R"("requests_per_minute":300)");
  EXPECT_EQ(admitted_of_thousand(bounds, {}, [](int i) { return i % kSites; }), 300);
}

TEST_F(RateSharing, NoneIsLostWhereAllComeToOneSite) {
  const auto bounds = key(R"("requests_per_minute":300)");
  EXPECT_EQ(admitted_of_thousand(bounds, {}, [](int) { return 2; }), 300);
}

TEST_F(RateSharing, ALimitThatIsLargeEnoughRefusesNobody) {
  const auto bounds = key(R"("requests_per_minute":1000)");
  EXPECT_EQ(admitted_of_thousand(bounds, {}, [](int i) { return i * i % kSites; }), 1000);
}

TEST_F(RateSharing, TokensOverSixSitesNeverExceedTheKeysMinute) {
  const auto bounds = key(R"("tokens_per_minute":20000)");
  const RateDemand demand{20, 60};  // 100 with the reserve for a prompt that counts more
  const int admitted = admitted_of_thousand(bounds, demand, [](int i) { return i % kSites; });
  EXPECT_LE(admitted * 100, 20'000);
  EXPECT_GE(admitted * 100, 20'000 - kSites * 100) << "less than one request's worth left a site";
}

}  // namespace
}  // namespace perigee
