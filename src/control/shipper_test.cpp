// A site's ledger, its shipper and a real control server on loopback.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "control/control_client.h"
#include "control/control_server.h"
#include "control/control_test_grid.h"
#include "control/usage_shipper.h"
#include "directory/sqlite/sqlite_directory.h"
#include "ledger/sqlite/sqlite_ledger.h"
#include "sqlite/database.h"

namespace perigee::control {
namespace {

class ShipperTest : public testing::Test {
 protected:
  ShipperTest() {
    start_control();
    join();
  }
  ~ShipperTest() override {
    shipper_.reset();
    stop_control();
  }

  void start_control() {
    auto directory = SqliteDirectory::open(folder_.file("directory.db"));
    ASSERT_TRUE(directory) << directory.error().message;
    server_ = std::make_unique<ControlServer>(
        io_.get_executor(), clock_,
        make_table(std::move(*directory), clock_, folder_.file("operator.key")));
    auto store = UsageStore::open(folder_.file("grid.db"));
    ASSERT_TRUE(store) << store.error().message;
    server_->keep_usage(std::move(*store));
    auto audit = AuditLog::open(folder_.file("audit.log"));
    ASSERT_TRUE(audit) << audit.error().message;
    server_->keep_audit(std::move(*audit));
    auto bound = server_->listen({"127.0.0.1", port_, ""});
    ASSERT_TRUE(bound) << bound.error().message;
    port_ = bound->port;
  }
  void stop_control() {
    server_.reset();
    io_.restart();
    io_.poll();
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto late = std::make_shared<bool>(false);
    asio::steady_timer deadline{io_, std::chrono::seconds{20}};
    deadline.async_wait([late](const boost::system::error_code& status) { *late = !status; });
    asio::steady_timer look{io_};
    std::function<void(boost::system::error_code)> again = [&](boost::system::error_code stopped) {
      if (stopped) return;
      look.expires_after(std::chrono::milliseconds{2});
      look.async_wait(again);
    };
    again({});
    io_.restart();
    while (!condition() && !*late) io_.run_one();
    EXPECT_FALSE(*late) << "waited too long";
    look.cancel();
    deadline.cancel();
    io_.poll();
    return !*late;
  }
  Result<std::string> call(const std::string& method, const std::string& path,
                           const std::string& body, const std::string& key) {
    ControlClient client{io_.get_executor(), clock_, {{"127.0.0.1", port_, ""}, ""}, key};
    std::optional<Result<std::string>> outcome;
    asio::co_spawn(io_, client.call({method, "/control/v1/" + path, body, ""}),
                   [&](const std::exception_ptr&, Result<std::string> result) {
                     outcome = std::move(result);
                   });
    run_until([&] { return outcome.has_value(); });
    return outcome ? std::move(*outcome) : Error{Code::Internal, "no outcome"};
  }
  void join() {
    operator_key_ = first_line(folder_.file("operator.key"));
    auto made =
        call("POST", "join-tokens", R"({"site":"cell-a","jurisdiction":"de"})", operator_key_);
    ASSERT_TRUE(made) << made.error().message;
    auto joined = call("POST", "join",
                       R"({"token":")" + json_text(*made, "token") +
                           R"(","name":"cell-a","url":"http://127.0.0.1:8101","tier":"metro",)"
                           R"("jurisdiction":"de","latitude":1,"longitude":2})",
                       "");
    ASSERT_TRUE(joined) << joined.error().message;
    site_key_ = json_text(*joined, "key");
    know("acme");
  }
  void know(const std::string& tenant) {
    auto put = call("PUT", "tenants/" + tenant, "{}", operator_key_);
    ASSERT_TRUE(put) << put.error().message;
  }
  void settle(std::uint64_t first, std::uint64_t last, const std::string& tenant = "acme") {
    auto ledger = SqliteLedger::open(folder_.file("site.db"));
    ASSERT_TRUE(ledger) << ledger.error().message;
    for (std::uint64_t number = first; number <= last; ++number) {
      auto record = std::make_unique<UsageRecord>();
      record->id = RecordId{1'000, number};
      record->tenant = TenantId{tenant};
      record->started = record->ended = clock_.wall();
      record->model = ModelId{"m"};
      record->ingress_site = SiteId{"cell-a"};
      record->serving_site = SiteId{"cell-a"};
      record->completion_tokens = 2;
      record->outcome = Outcome::Completed;
      ASSERT_TRUE((*ledger)->reserve(*record));
      (*ledger)->settle(std::move(record));
    }
  }
  void ship() {
    ShipperOptions options;
    options.file = folder_.file("site.db");
    options.url = "http://127.0.0.1:" + std::to_string(port_);
    options.key = site_key_;
    options.interval = milliseconds{10};
    options.retry_min = milliseconds{10};
    options.retry_max = milliseconds{40};
    auto started = UsageShipper::start(std::move(options), clock_);
    ASSERT_TRUE(started) << started.error().message;
    shipper_ = std::move(*started);
  }
  std::string sums() {
    auto asked = call("GET", "usage?by=tenant", "", operator_key_);
    EXPECT_TRUE(asked) << asked.error().message;
    return asked ? *asked : "";
  }

  TestFolder folder_;
  asio::io_context io_{1};
  SystemClock clock_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ControlServer> server_;
  std::unique_ptr<UsageShipper> shipper_;
  std::string operator_key_;
  std::string site_key_;
};

TEST_F(ShipperTest, DeliversAllThatWasSettled) {
  settle(1, 450);
  ship();
  run_until([&] { return shipper_->status().shipped == 450; });
  EXPECT_EQ(shipper_->status().waiting, 0U);
  EXPECT_NE(sums().find(R"("tenant":"acme","requests":450,)"), std::string::npos) << sums();
}

TEST_F(ShipperTest, KeepsRecordsWhileControlIsAwayAndDeliversThemOnce) {
  stop_control();
  settle(1, 30);
  ship();
  run_until([&] { return !shipper_->status().error.empty(); });
  EXPECT_EQ(shipper_->status().waiting, 30U);
  start_control();
  run_until([&] { return shipper_->status().waiting == 0; });
  EXPECT_NE(sums().find(R"("requests":30,)"), std::string::npos) << sums();
}

// An acknowledgement that was lost: the cursor did not move, control has the records already.
TEST_F(ShipperTest, DeliveringAgainCountsNothingTwice) {
  settle(1, 10);
  ship();
  run_until([&] { return shipper_->status().shipped == 10; });
  shipper_.reset();
  settle(11, 12);
  {
    auto site = sqlite::Database::open(
        folder_.file("site.db"), sqlite::Durability::Normal,
        {.application_id = 0x50476c65, .schema_version = 2, .schema = "", .what = "ledger"});
    ASSERT_TRUE(site) << site.error().message;
    ASSERT_TRUE(site->execute("UPDATE shipping SET shipped = 0"));
  }
  ship();
  run_until([&] { return shipper_->status().shipped == 12; });
  EXPECT_NE(sums().find(R"("requests":12,)"), std::string::npos) << sums();
}

// As after a restored backup: the site knows a tenant that control does not.
TEST_F(ShipperTest, WhatControlDoesNotBelieveIsPutAsideAndCanBeTakenInOnce) {
  settle(1, 100, "later");
  settle(101, 110);
  ship();
  run_until([&] { return shipper_->status().shipped == 110; });
  EXPECT_EQ(shipper_->status().waiting, 0U) << "what is aside holds nothing back";
  EXPECT_NE(sums().find(R"("tenant":"acme","requests":10,)"), std::string::npos) << sums();
  EXPECT_EQ(sums().find("later"), std::string::npos) << sums();
  EXPECT_NE(sums().find(R"("aside":100)"), std::string::npos) << sums();
  const std::string which = R"({"reason":"unknown_tenant","tenant":"later"})";
  auto early = call("POST", "usage-take-in", which, operator_key_);
  ASSERT_TRUE(early) << early.error().message;
  EXPECT_NE(early->find(R"("taken":0,"unknown_tenant":64)"), std::string::npos) << *early;
  know("later");
  std::size_t calls = 0;
  for (bool more = true; more && calls < 10; ++calls) {
    auto taken = call("POST", "usage-take-in", which, operator_key_);
    ASSERT_TRUE(taken) << taken.error().message;
    more = taken->find(R"("more":true)") != std::string::npos;
  }
  EXPECT_EQ(calls, 2U);
  EXPECT_NE(sums().find(R"("tenant":"later","requests":100,)"), std::string::npos) << sums();
  EXPECT_NE(sums().find(R"("aside":0)"), std::string::npos) << sums();
  std::size_t lines = 0;
  const auto audit = check_audit_file(folder_.file("audit.log"), [&](std::string_view line) {
    if (line.find(R"("action":"take in usage")") != std::string_view::npos) ++lines;
  });
  EXPECT_TRUE(audit);
  EXPECT_EQ(lines, 2U);
}

TEST_F(ShipperTest, ARogueSitesRecordsAreListedAndDropped) {
  const std::string long_ago =
      R"({"id":"0006123456789abc0000000000000007","tenant":"acme","model":"m",)"
      R"("ingress_site":"cell-a","operation":"chat","class":"standard","started_us":1000,)"
      R"("ended_us":2000,"completion_tokens":40,"outcome":"completed"})";
  auto told =
      call("POST", "usage", R"({"records":[)" + long_ago + R"(,{"nothing":1}]})", site_key_);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_EQ(*told, R"({"stored":0,"known":0,"aside":2,"refused":0})");
  EXPECT_EQ(call("GET", "usage-aside", "", site_key_).error().code, Code::PermissionDenied);
  auto listed = call("GET", "usage-aside?reason=time", "", operator_key_);
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_NE(listed->find(R"("number":1,"site":"cell-a","reason":"time")"), std::string::npos);
  EXPECT_NE(listed->find(long_ago), std::string::npos) << *listed;
  auto unread = call("POST", "usage-take-in", R"({"reason":"unreadable"})", operator_key_);
  ASSERT_TRUE(unread) << unread.error().message;
  EXPECT_NE(unread->find(R"("taken":0,"unknown_tenant":0,"unreadable":1)"), std::string::npos);
  auto dropped = call("POST", "usage-drop", R"({"numbers":[1,2]})", operator_key_);
  ASSERT_TRUE(dropped) << dropped.error().message;
  EXPECT_NE(dropped->find(R"("dropped":2)"), std::string::npos) << *dropped;
  EXPECT_EQ(*call("GET", "usage-aside", "", operator_key_),
            R"({"object":"list","data":[],"total":0})");
  EXPECT_NE(sums().find(R"("data":[],"aside":0)"), std::string::npos) << sums();
}

// So that nothing genuine is lost: the site keeps its records, and what can be billed is.
TEST_F(ShipperTest, ASiteWithTooMuchAsideIsSentBackAndOthersOfItsRecordsStillCount) {
  {
    auto store = UsageStore::open(folder_.file("grid.db"));
    ASSERT_TRUE(store) << store.error().message;
    std::vector<AsideRecord> full(kAsidePerSiteMax);
    for (std::size_t i = 0; i < full.size(); ++i) {
      full[i].site = SiteId{"cell-a"};
      full[i].text = "{\"n\":" + std::to_string(i) + "}";
    }
    ASSERT_EQ((*store)->put_aside(full).value(), 0U);
  }
  settle(1, 5, "later");
  settle(6, 10);
  ship();
  run_until([&] { return !shipper_->status().error.empty(); });
  EXPECT_NE(shipper_->status().error.find("put aside"), std::string::npos);
  EXPECT_EQ(shipper_->status().waiting, 10U);
  EXPECT_NE(sums().find(R"("requests":5,)"), std::string::npos) << sums();
  ASSERT_TRUE(call("POST", "usage-drop", R"({"numbers":[1,2,3,4,5]})", operator_key_));
  run_until([&] { return shipper_->status().waiting == 0; });
  EXPECT_NE(sums().find(R"("requests":5,)"), std::string::npos) << sums();
}

TEST_F(ShipperTest, RefusesWhoMayNot) {
  const std::string none = R"({"records":[]})";
  EXPECT_EQ(call("POST", "usage", none, operator_key_).error().code, Code::PermissionDenied);
  EXPECT_EQ(call("GET", "usage", "", site_key_).error().code, Code::PermissionDenied);
  EXPECT_TRUE(call("POST", "usage", none, site_key_));
  EXPECT_EQ(call("POST", "usage", "[]", site_key_).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace perigee::control
