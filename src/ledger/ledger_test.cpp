#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "ledger/memory/memory_ledger.h"
#include "ledger/sqlite/sqlite_ledger.h"
#include "sqlite/database.h"

namespace perigee {
namespace {

UsageRecord record(std::uint64_t number) {
  UsageRecord usage;
  usage.id = RecordId{1'000, number};
  usage.tenant = TenantId{"acme"};
  usage.key_id = "k1";
  usage.model = ModelId{"perigee-demo"};
  usage.ingress_site = SiteId{"cell-a"};
  usage.serving_site = SiteId{"metro-a"};
  usage.operation = Operation::Chat;
  usage.service_class = ServiceClass::Interactive;
  usage.started = WallTime{1'000};
  usage.ended = WallTime{2'000};
  usage.prompt_tokens = 12;
  usage.completion_tokens = 40;
  usage.outcome = Outcome::Completed;
  return usage;
}

TEST(MemoryLedger, KeepsRecordsAndItsBound) {
  MemoryLedger ledger{2};
  ASSERT_TRUE(ledger.reserve());
  ASSERT_TRUE(ledger.reserve());
  const auto refused = ledger.reserve();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::ResourceExhausted);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  ledger.settle(record(1));
  EXPECT_EQ(ledger.records().size(), 1U);
  EXPECT_EQ(ledger.reserved(), 1U);
}

class SqliteLedgerTest : public testing::Test {
 protected:
  SqliteLedgerTest()
      : folder_(testing::TempDir() + "perigee-ledger-" + std::to_string(::getpid()) + "-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~SqliteLedgerTest() override { std::filesystem::remove_all(folder_); }
  std::string path() const { return folder_ + "/ledger.db"; }
  std::unique_ptr<SqliteLedger> open(SqliteLedgerOptions options = {}) {
    auto ledger = SqliteLedger::open(path(), options);
    EXPECT_TRUE(ledger) << ledger.error().message;
    return std::move(*ledger);
  }
  sqlite::Database database() {
    auto opened = sqlite::Database::open(
        path(), sqlite::Durability::Normal,
        {.application_id = 0x50476c65, .schema_version = 1, .schema = "", .what = "ledger"});
    EXPECT_TRUE(opened) << opened.error().message;
    return std::move(*opened);
  }
  std::int64_t number(std::string_view sql) {
    sqlite::Database stored = database();
    auto statement = stored.prepare(sql);
    EXPECT_TRUE(statement && statement->step().value());
    return statement->column_int64(0);
  }
  std::string folder_;
};

TEST_F(SqliteLedgerTest, StoresEveryRecordByTheTimeItIsDestroyed) {
  {
    auto ledger = open();
    for (int i = 0; i < 10'000; ++i) {
      ASSERT_TRUE(ledger->reserve());
      ledger->settle(record(static_cast<std::uint64_t>(i)));
    }
  }
  EXPECT_EQ(number("SELECT count(*) FROM usage"), 10'000);
  EXPECT_EQ(number("SELECT sum(completion_tokens) FROM usage WHERE outcome = 'completed' AND "
                   "tenant = 'acme' AND serving_site = 'metro-a' AND started_us = 1000"),
            400'000);
}

TEST_F(SqliteLedgerTest, StoresRecordsAlikeOneByOneAndManyAtOnce) {
  const auto different = [](int i) {
    UsageRecord usage = record(static_cast<std::uint64_t>(i));
    usage.tenant = TenantId{"t" + std::to_string(i)};
    usage.operation = i % 2 == 0 ? Operation::Embedding : Operation::Completion;
    usage.service_class = i % 3 == 0 ? ServiceClass::Batch : ServiceClass::Realtime;
    usage.prompt_tokens = static_cast<std::uint32_t>(i);
    usage.ended = WallTime{5'000 + i};
    return usage;
  };
  int stored = 0;
  for (const int together : {1, 15, 16, 17, 100}) {  // a ledger's last batch holds all of them
    auto ledger = open();
    for (int i = 0; i < together; ++i) {
      ASSERT_TRUE(ledger->reserve());
      ledger->settle(different(stored++));
    }
  }
  EXPECT_EQ(number("SELECT count(*) FROM usage"), stored);
  EXPECT_EQ(number("SELECT count(*) FROM usage WHERE id = printf('%016x%016x', 1000, "
                   "prompt_tokens) AND tenant = 't' || "
                   "prompt_tokens AND ended_us = 5000 + prompt_tokens AND operation = "
                   "iif(prompt_tokens % 2 = 0, 'embedding', 'completion') AND service_class = "
                   "iif(prompt_tokens % 3 = 0, 'batch', 'realtime') AND outcome = 'completed'"),
            stored);
}

TEST_F(SqliteLedgerTest, StoresADuplicateOnce) {
  for (int round = 0; round < 2; ++round) {
    auto ledger = open();
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(ledger->reserve());
      ledger->settle(record(7));
    }
  }
  EXPECT_EQ(number("SELECT count(*) FROM usage"), 1);
}

TEST_F(SqliteLedgerTest, RefusesWhenItsPlacesAreTaken) {
  SqliteLedgerOptions options;
  options.places = 4;
  auto ledger = open(options);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(ledger->reserve());
  EXPECT_EQ(ledger->reserve().error().code, Code::ResourceExhausted);
  for (std::uint64_t i = 0; i < 4; ++i) ledger->settle(record(i));
  while (!ledger->reserve())
    std::this_thread::yield();  // a place returns once its record is stored
  ledger->settle(record(4));
}

TEST_F(SqliteLedgerTest, WaitsForALockedFileAndLosesNothing) {
  SqliteLedgerOptions options;
  options.retry_time = milliseconds{10};
  auto ledger = open(options);
  {
    sqlite::Database other = database();
    auto held = sqlite::Transaction::begin(other);
    ASSERT_TRUE(held);
    ASSERT_TRUE(ledger->reserve());
    ledger->settle(record(1));
  }
  ledger.reset();
  EXPECT_EQ(number("SELECT count(*) FROM usage"), 1);
}

TEST_F(SqliteLedgerTest, SaysThatItsFileIsOfAnotherProgram) {
  {
    auto other = sqlite::Database::open(
        path(), sqlite::Durability::Full,
        {.application_id = 5, .schema_version = 1, .schema = "CREATE TABLE t (x)", .what = "t"});
    ASSERT_TRUE(other);
  }
  auto refused = SqliteLedger::open(path());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
}

}  // namespace
}  // namespace perigee
