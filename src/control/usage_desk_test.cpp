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
};

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
