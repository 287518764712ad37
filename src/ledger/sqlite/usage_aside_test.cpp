#include "ledger/sqlite/usage_aside.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ledger/sqlite/usage_store.h"

namespace perigee {
namespace {

AsideRecord aside(std::uint64_t number, const std::string& site = "cell-a",
                  AsideReason reason = AsideReason::UnknownTenant) {
  AsideRecord record;
  record.site = SiteId{site};
  record.reason = reason;
  record.why = "the directory has no such tenant";
  record.tenant = number % 2 == 0 ? "even" : "odd";
  record.received = WallTime{static_cast<std::int64_t>(number)};
  record.text = R"({"id":)" + std::to_string(number) + "}";
  return record;
}

std::vector<AsideRecord> many(std::uint64_t first, std::uint64_t last,
                              const std::string& site = "cell-a") {
  std::vector<AsideRecord> records;
  for (std::uint64_t number = first; number <= last; ++number) {
    records.push_back(aside(number, site));
  }
  return records;
}

class UsageAside : public testing::Test {
 protected:
  UsageAside()
      : folder_(testing::TempDir() + "perigee-aside-" + std::to_string(::getpid()) + "-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
    open();
  }
  ~UsageAside() override { std::filesystem::remove_all(folder_); }
  void open() {
    store_.reset();
    auto opened = UsageStore::open(folder_ + "/grid.db");
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  std::vector<std::int64_t> numbers(const AsideQuery& query) {
    std::vector<std::int64_t> numbers;
    for (const AsideRecord& record : store_->list_aside(query).value()) {
      numbers.push_back(record.number);
    }
    return numbers;
  }
  std::string folder_;
  std::unique_ptr<UsageStore> store_;
};

TEST_F(UsageAside, KeepsARecordAsItCameOverARestart) {
  EXPECT_EQ(store_->put_aside(many(1, 2)).value(), 0U);
  open();
  const auto kept = store_->list_aside({});
  ASSERT_TRUE(kept);
  ASSERT_EQ(kept->size(), 2U);
  const AsideRecord& second = (*kept)[1];
  EXPECT_EQ(second.number, 2);
  EXPECT_EQ(second.site, SiteId{"cell-a"});
  EXPECT_EQ(second.reason, AsideReason::UnknownTenant);
  EXPECT_EQ(second.why, aside(2).why);
  EXPECT_EQ(second.tenant, "even");
  EXPECT_EQ(second.received.micros, 2);
  EXPECT_EQ(second.text, aside(2).text);
}

TEST_F(UsageAside, KeepsARecordOnceHoweverOftenItIsDelivered) {
  EXPECT_EQ(store_->put_aside(many(1, 3)).value(), 0U);
  EXPECT_EQ(store_->put_aside(many(2, 4)).value(), 0U);
  EXPECT_EQ(store_->count_aside({}).value(), 4U);
  EXPECT_EQ(store_->put_aside(many(1, 1, "cell-b")).value(), 0U) << "of another site: another one";
  EXPECT_EQ(store_->count_aside({}).value(), 5U);
}

TEST_F(UsageAside, IsAskedBySiteTenantReasonAndNumber) {
  ASSERT_TRUE(store_->put_aside(many(1, 4)));
  ASSERT_TRUE(store_->put_aside(std::vector{aside(5, "cell-b", AsideReason::Time)}));
  AsideQuery query;
  query.site = SiteId{"cell-b"};
  EXPECT_EQ(numbers(query), std::vector<std::int64_t>{5});
  query = {};
  query.tenant = "even";
  EXPECT_EQ(numbers(query), (std::vector<std::int64_t>{2, 4}));
  query.after = 2;
  EXPECT_EQ(numbers(query), std::vector<std::int64_t>{4});
  query = {};
  query.reason = AsideReason::Time;
  EXPECT_EQ(numbers(query), std::vector<std::int64_t>{5});
  query = {};
  query.numbers = {1, 3, 99};
  EXPECT_EQ(numbers(query), (std::vector<std::int64_t>{1, 3}));
  query = {};
  query.rows_max = 2;
  EXPECT_EQ(numbers(query), (std::vector<std::int64_t>{1, 2}));
  const auto counts = store_->count_aside_by_reason().value();
  EXPECT_EQ(counts.at(AsideReason::UnknownTenant), 4U);
  EXPECT_EQ(counts.at(AsideReason::Time), 1U);
}

TEST_F(UsageAside, TakesNoMoreOfASiteThanItMayHoldAndForgetsNothingForIt) {
  ASSERT_EQ(store_->put_aside(many(1, kAsidePerSiteMax - 1)).value(), 0U);
  EXPECT_EQ(store_->put_aside(many(kAsidePerSiteMax - 1, kAsidePerSiteMax + 2)).value(), 2U);
  EXPECT_EQ(store_->count_aside({}).value(), kAsidePerSiteMax);
  EXPECT_EQ(store_->put_aside(many(1, 5)).value(), 0U) << "those are there";
  EXPECT_EQ(store_->put_aside(many(1, 5, "cell-b")).value(), 0U) << "others are not touched";
  ASSERT_TRUE(store_->settle_aside(std::vector<std::int64_t>{1, 2}, {}));
  EXPECT_EQ(store_->put_aside(many(kAsidePerSiteMax + 1, kAsidePerSiteMax + 2)).value(), 0U);
}

// Two who settle the same at once: what one has dropped the other must not bill, nor say it did.
TEST_F(UsageAside, IsSettledWholeAndOnce) {
  ASSERT_TRUE(store_->put_aside(many(1, 3)));
  std::vector<UsageRecord> records(1);
  records.front().tenant = TenantId{"acme"};
  records.front().key_id = "key_1";
  const auto billed = [this] { return store_->sum({}).value().size(); };
  ASSERT_TRUE(store_->settle_aside(std::vector<std::int64_t>{2}, {}));
  const auto late = store_->settle_aside(std::vector<std::int64_t>{1, 2}, records);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::FailedPrecondition);
  EXPECT_NE(late.error().message.find("record 2 is not aside any more"), std::string::npos);
  EXPECT_EQ(billed(), 0U);
  EXPECT_TRUE(store_->last_uses().value().empty());
  EXPECT_EQ(numbers({}), (std::vector<std::int64_t>{1, 3}));
  ASSERT_TRUE(store_->settle_aside(std::vector<std::int64_t>{1, 3}, records));
  EXPECT_EQ(billed(), 1U);
  EXPECT_TRUE(numbers({}).empty());
}

TEST_F(UsageAside, NeverGivesANumberTwice) {
  ASSERT_TRUE(store_->put_aside(many(1, 3)));
  ASSERT_TRUE(store_->settle_aside(std::vector<std::int64_t>{3}, {}));
  ASSERT_TRUE(store_->put_aside(many(4, 4)));
  EXPECT_EQ(numbers({}), (std::vector<std::int64_t>{1, 2, 4}));
}

}  // namespace
}  // namespace perigee
