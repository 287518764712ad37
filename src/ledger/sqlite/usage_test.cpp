#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/usage_outbox.h"
#include "ledger/sqlite/usage_store.h"

namespace perigee {
namespace {

constexpr std::int64_t kDay_us = 86'400'000'000;

UsageRecord record(std::uint64_t number, const std::string& tenant = "acme") {
  UsageRecord usage;
  usage.started = WallTime{kDay_us + static_cast<std::int64_t>(number)};
  usage.ended = WallTime{usage.started.micros + 500};
  usage.id = RecordId{static_cast<std::uint64_t>(usage.started.micros), number};
  usage.tenant = TenantId{tenant};
  usage.key_id = "key_1";
  usage.model = ModelId{"perigee-demo"};
  usage.ingress_site = SiteId{"cell-a"};
  usage.serving_site = SiteId{"metro-a"};
  usage.operation = Operation::Completion;
  usage.service_class = ServiceClass::Batch;
  usage.prompt_tokens = 12;
  usage.cached_tokens = 4;
  usage.completion_tokens = 40;
  usage.outcome = Outcome::Completed;
  return usage;
}

class UsageFiles : public testing::Test {
 protected:
  UsageFiles()
      : folder_(testing::TempDir() + "perigee-usage-" + std::to_string(::getpid()) + "-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~UsageFiles() override { std::filesystem::remove_all(folder_); }
  // Settles records with these numbers, in this order.
  void settle(std::initializer_list<std::uint64_t> numbers) {
    auto ledger = SqliteLedger::open(folder_ + "/site.db");
    ASSERT_TRUE(ledger) << ledger.error().message;
    for (const std::uint64_t number : numbers) {
      ASSERT_TRUE((*ledger)->reserve(record(number)));
      (*ledger)->settle(std::make_unique<UsageRecord>(record(number)));
    }
  }
  std::unique_ptr<UsageOutbox> outbox() {
    auto opened = UsageOutbox::open(folder_ + "/site.db");
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::unique_ptr<UsageStore> store() {
    auto opened = UsageStore::open(folder_ + "/grid.db");
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::string folder_;
};

TEST_F(UsageFiles, ShipsInTheOrderOfSettlementAndResumesWhereItWas) {
  settle({7, 3, 9});
  {
    auto first = outbox();
    EXPECT_EQ(first->waiting().value(), 3U);
    const auto batch = first->next(2);
    ASSERT_TRUE(batch);
    ASSERT_EQ(batch->records.size(), 2U);
    EXPECT_EQ(batch->records[0].id.chance, 7U);
    EXPECT_EQ(batch->records[1].id.chance, 3U);
    EXPECT_EQ(first->next(2)->records.size(), 2U) << "not acknowledged: given again";
    ASSERT_TRUE(first->shipped(batch->last));
  }
  settle({1});  // began before all of those, ended after
  auto next = outbox();
  const auto batch = next->next(10);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->records.size(), 2U);
  EXPECT_EQ(batch->records[0].id.chance, 9U);
  EXPECT_EQ(batch->records[1].id.chance, 1U);
  ASSERT_TRUE(next->shipped(batch->last));
  EXPECT_TRUE(next->next(10)->records.empty());
  EXPECT_EQ(next->waiting().value(), 0U);
}

TEST_F(UsageFiles, ReadBackWhatWasSettled) {
  settle({5});
  const auto batch = outbox()->next(1);
  ASSERT_EQ(batch->records.size(), 1U);
  const UsageRecord& read = batch->records[0];
  const UsageRecord written = record(5);
  EXPECT_EQ(read.id, written.id);
  EXPECT_EQ(read.operation, written.operation);
  EXPECT_EQ(read.service_class, written.service_class);
  EXPECT_EQ(read.outcome, written.outcome);
  EXPECT_EQ(read.started, written.started);
  EXPECT_EQ(read.ended, written.ended);
  EXPECT_EQ(read.cached_tokens, 4U);
}

TEST_F(UsageFiles, CountARecordOnceHoweverOftenItComes) {
  const std::vector<UsageRecord> once{record(1), record(2)};
  const std::vector<UsageRecord> again{record(2), record(3)};
  EXPECT_EQ(store()->add(once).value(), 2U);
  EXPECT_EQ(store()->add(again).value(), 1U);
  const auto sums = store()->sum({});
  ASSERT_TRUE(sums) << sums.error().message;
  ASSERT_EQ(sums->size(), 1U);
  EXPECT_EQ((*sums)[0].requests, 3);
  EXPECT_EQ((*sums)[0].completion_tokens, 120);
}

TEST_F(UsageFiles, KeepTheSameOneOfTwoRecordsWithOneIdInEitherOrder) {
  UsageRecord cut_off = record(1);
  cut_off.outcome = Outcome::Abandoned;
  cut_off.completion_tokens = 90;
  const UsageRecord whole = record(1);
  EXPECT_TRUE(replaces(whole, cut_off));
  EXPECT_FALSE(replaces(cut_off, whole));
  EXPECT_FALSE(replaces(whole, whole));
  UsageRecord cut_off_later = record(2);
  cut_off_later.outcome = Outcome::Abandoned;
  const std::vector<UsageRecord> first{whole, cut_off_later};
  const std::vector<UsageRecord> second{cut_off, record(2)};
  ASSERT_TRUE(store()->add(first));
  EXPECT_EQ(store()->add(second).value(), 1U);
  const auto sums = store()->sum({});
  EXPECT_EQ(sums->at(0).completed, 2);
  EXPECT_EQ(sums->at(0).completion_tokens, 80);
}

TEST_F(UsageFiles, LetNoRecordOfAnotherTenantTakeTheirPlace) {
  UsageRecord other = record(1, "other");
  other.completion_tokens = 90;
  const std::vector<UsageRecord> first{record(1)};
  const std::vector<UsageRecord> second{other};
  ASSERT_TRUE(store()->add(first));
  EXPECT_EQ(store()->add(second).value(), 0U);
  UsageQuery query;
  query.by = {UsageKey::Tenant};
  const auto sums = store()->sum(query);
  ASSERT_EQ(sums->size(), 1U);
  EXPECT_EQ(sums->at(0).keys.at(0), "acme");
  EXPECT_EQ(sums->at(0).completion_tokens, 40);
}

TEST_F(UsageFiles, SumByWhatIsAsked) {
  std::vector<UsageRecord> records{record(1), record(2), record(3, "other")};
  records[1].outcome = Outcome::Abandoned;
  records[1].serving_site = SiteId{"core-a"};
  ASSERT_TRUE(store()->add(records));
  UsageQuery query;
  query.by = {UsageKey::Tenant, UsageKey::Day};
  auto sums = store()->sum(query);
  ASSERT_EQ(sums->size(), 2U);
  EXPECT_EQ((*sums)[0].keys, (std::vector<std::string>{"acme", "1970-01-02"}));
  EXPECT_EQ((*sums)[0].requests, 2);
  EXPECT_EQ((*sums)[0].abandoned, 1);
  query.tenant = TenantId{"other"};
  EXPECT_EQ(store()->sum(query)->size(), 1U);
  query.tenant = {};
  query.from = WallTime{kDay_us + 3};
  EXPECT_EQ(store()->sum(query)->at(0).keys.at(0), "other");
  query.until = WallTime{kDay_us + 3};
  EXPECT_TRUE(store()->sum(query)->empty());
}

}  // namespace
}  // namespace perigee
