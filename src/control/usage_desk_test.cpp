// The desk without HTTP: who settles what was put aside, when several do at once.
#include "control/usage_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <optional>

#include "control/control_test_grid.h"
#include "directory/records_json.h"

namespace perigee::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class UsageDeskTest : public testing::Test {
 protected:
  using Outcome = std::optional<Result<ApiAnswer>>;

  UsageDeskTest()
      : table_(
            make_table(std::make_unique<MemoryDirectory>(), clock_, folder_.file("operator.key"))),
        audit_(AuditLog::open(folder_.file("audit.log")).value()) {
    desk_ = std::make_unique<UsageDesk>(
        io_.get_executor(), UsageStore::open(folder_.file("grid.db")).value(), *table_, clock_);
    desk_->keep_audit(*audit_);
  }
  void begin(Task<Result<ApiAnswer>> task, Outcome& outcome) {
    asio::co_spawn(io_, std::move(task),
                   [&outcome](const std::exception_ptr&, Result<ApiAnswer> answer) {
                     outcome = std::move(answer);
                   });
  }
  void run() {
    io_.restart();
    io_.run();
  }
  std::string settled(Task<Result<ApiAnswer>> task) {
    Outcome outcome;
    begin(std::move(task), outcome);
    run();
    EXPECT_TRUE(outcome && *outcome);
    return outcome && *outcome ? (*outcome)->body : "";
  }
  // One record of a tenant that is not there yet.
  void put_aside() {
    const std::string now = std::to_string(clock_.wall().micros);
    std::string body =
        R"({"records":[{"id":"0006123456789abc0000000000000007","tenant":"later","model":"m",)"
        R"("ingress_site":"cell-a","operation":"chat","class":"standard","started_us":)" +
        now + R"(,"ended_us":)" + now + R"(,"completion_tokens":40,"outcome":"completed"}]})";
    EXPECT_THAT(settled(desk_->take(std::move(body), SiteId{"cell-a"})), HasSubstr(R"("aside":1)"));
    TenantRecord later;
    later.id = TenantId{"later"};
    ASSERT_TRUE(table_->apply({{std::string{row_kind::kTenant}, "later", to_row(later), 0}}));
  }
  void add_key(const std::string& id) {
    KeyRecord key;
    key.id = id;
    key.role = Role::Tenant;
    key.tenant = TenantId{"acme"};
    ASSERT_TRUE(table_->apply({{std::string{row_kind::kKey}, id, to_row(key), kAnyRevision}}));
  }
  // A delivery of a record per key.
  void deliver(const std::vector<std::string>& keys) {
    const std::string now = std::to_string(clock_.wall().micros);
    std::string body = R"({"records":[)";
    for (const std::string& key : keys) {
      std::string number = std::to_string(++delivered_);
      number.insert(0, 16 - number.size(), '0');
      if (body.back() != '[') body += ',';
      body += R"({"id":"0006123456789abc)" + number + R"(","tenant":"acme","model":"m","key":")" +
              key +
              R"(","ingress_site":"cell-a","operation":"chat","class":"standard",)"
              R"("started_us":)" +
              now + R"(,"ended_us":)" + now + R"(,"outcome":"completed"})";
    }
    body += "]}";
    EXPECT_THAT(settled(desk_->take(std::move(body), SiteId{"cell-a"})),
                HasSubstr("\"stored\":" + std::to_string(keys.size())));
  }
  bool used(const std::string& key) const { return desk_->last_use(key).micros > 0; }
  void reopen() {
    desk_.reset();
    desk_ = std::make_unique<UsageDesk>(
        io_.get_executor(), UsageStore::open(folder_.file("grid.db")).value(), *table_, clock_);
  }
  std::string billed() { return settled(desk_->report("by=tenant")); }
  std::vector<std::string> audited() {
    std::vector<std::string> actions;
    EXPECT_TRUE(check_audit_file(folder_.file("audit.log"), [&](std::string_view line) {
      auto action = json_text(std::string{line}, "action");
      const std::string failed = json_text(std::string{line}, "failed");
      actions.push_back(failed.empty() ? action : action + " failed");
    }));
    return actions;
  }

  TestFolder folder_;
  asio::io_context io_{1};
  SystemClock clock_;
  std::unique_ptr<DirectoryTable> table_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<UsageDesk> desk_;
  std::size_t delivered_ = 0;
};

TEST_F(UsageDeskTest, KeysThatASiteMadeUpTakeNoRoomOfThoseThatExist) {
  TenantRecord acme;
  acme.id = TenantId{"acme"};
  ASSERT_TRUE(table_->apply({{std::string{row_kind::kTenant}, "acme", to_row(acme), 0}}));
  add_key("key_a");
  std::vector<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.push_back("key_made_up_" + std::to_string(i));
  keys.emplace_back("key_a");
  deliver(keys);
  EXPECT_TRUE(used("key_a"));
  EXPECT_FALSE(used("key_made_up_7"));
  reopen();
  EXPECT_TRUE(used("key_a"));
  EXPECT_FALSE(used("key_made_up_7")) << "nor what the file has of them";
}

TEST_F(UsageDeskTest, ForgetsTheUseOfKeysThatWereRemoved) {
  TenantRecord acme;
  acme.id = TenantId{"acme"};
  ASSERT_TRUE(table_->apply({{std::string{row_kind::kTenant}, "acme", to_row(acme), 0}}));
  const std::size_t others = table_->snapshot().keys.size();
  for (std::size_t i = 0; i < 10 + others; ++i) {
    const std::string id = "key_" + std::to_string(i);
    add_key(id);
    deliver({id});
    ASSERT_TRUE(used(id));
    if (i >= others) {
      ASSERT_TRUE(table_->apply({{std::string{row_kind::kKey}, id, "", kAnyRevision}}));
    }
  }
  EXPECT_FALSE(used("key_" + std::to_string(others)));
}

// Both see it aside before either settles it.
TEST_F(UsageDeskTest, WhatOneTakesInAnotherDoesNotDropAtTheSameTime) {
  put_aside();
  Outcome taken;
  Outcome dropped;
  const std::string which = R"({"tenant":"later"})";
  begin(desk_->settle_aside(which, AsideEnd::TakeIn, {"key_a", "loopback"}), taken);
  begin(desk_->settle_aside(which, AsideEnd::Drop, {"key_b", "loopback"}), dropped);
  run();
  ASSERT_TRUE(taken && dropped);
  ASSERT_TRUE(*taken) << taken->error().message;
  EXPECT_THAT((*taken)->body, HasSubstr(R"("taken":1)"));
  ASSERT_FALSE(*dropped);
  EXPECT_THAT(dropped->error().message, HasSubstr("another call settled it"));
  EXPECT_THAT(billed(), HasSubstr(R"("tenant":"later","requests":1)"));
  EXPECT_THAT(audited(), ElementsAre("take in usage", "drop usage", "drop usage failed"));
}

TEST_F(UsageDeskTest, WhatOneDropsAnotherDoesNotBillAtTheSameTime) {
  put_aside();
  Outcome taken;
  Outcome dropped;
  const std::string which = R"({"tenant":"later"})";
  begin(desk_->settle_aside(which, AsideEnd::Drop, {"key_b", "loopback"}), dropped);
  begin(desk_->settle_aside(which, AsideEnd::TakeIn, {"key_a", "loopback"}), taken);
  run();
  ASSERT_TRUE(taken && dropped);
  EXPECT_TRUE(*dropped);
  EXPECT_FALSE(*taken);
  EXPECT_THAT(billed(), HasSubstr(R"("data":[],"aside":0)"));
  EXPECT_THAT(audited(), ElementsAre("drop usage", "take in usage", "take in usage failed"));
}

}  // namespace
}  // namespace perigee::control
