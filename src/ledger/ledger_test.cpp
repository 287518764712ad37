#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "ledger/memory/memory_ledger.h"
#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/usage_outbox.h"
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

std::unique_ptr<UsageRecord> settled(UsageRecord record) {
  return std::make_unique<UsageRecord>(std::move(record));
}

TEST(MemoryLedger, KeepsRecordsAndItsBound) {
  MemoryLedger ledger{2};
  ASSERT_TRUE(ledger.reserve(record(1)));
  ASSERT_TRUE(ledger.reserve(record(2)));
  const auto refused = ledger.reserve(record(3));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::ResourceExhausted);
  EXPECT_GT(refused.error().retry_after_ms, 0);
  ledger.settle(settled(record(1)));
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
        {.application_id = 0x50476c65, .schema_version = 2, .schema = "", .what = "ledger"});
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
      ASSERT_TRUE(ledger->reserve(record(static_cast<std::uint64_t>(i))));
      ledger->settle(settled(record(static_cast<std::uint64_t>(i))));
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
      ASSERT_TRUE(ledger->reserve(different(stored)));
      ledger->settle(settled(different(stored++)));
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

// A process that dies leaves the file as its last batch did: opening it again stands for that.
TEST_F(SqliteLedgerTest, SettlesWhatACrashLeftOpenAsAbandoned) {
  SqliteLedgerOptions options;
  options.batch_time = milliseconds{1};
  auto dead = open(options);
  UsageRecord waiting = record(1);
  waiting.serving_site = SiteId{};
  waiting.completion_tokens = 0;
  ASSERT_TRUE(dead->reserve(waiting));
  UsageRecord streaming = record(2);
  streaming.outcome = Outcome::Abandoned;
  streaming.completion_tokens = 0;
  ASSERT_TRUE(dead->reserve(streaming));
  streaming.completion_tokens = 17;
  streaming.ended = WallTime{9'000};
  dead->note(streaming);
  ASSERT_TRUE(dead->reserve(record(3)));
  dead->settle(settled(record(3)));
  while (number("SELECT count(*) + (SELECT count(*) FROM usage) FROM open_request WHERE "
                "ended_us = 9000 OR id LIKE '%1'") < 3) {
    std::this_thread::yield();
  }
  std::filesystem::copy_file(path(), folder_ + "/copy.db");
  std::filesystem::copy_file(path() + "-wal", folder_ + "/copy.db-wal");

  auto next = SqliteLedger::open(folder_ + "/copy.db");
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_EQ((*next)->recovered(), 2U);
  next->reset();
  std::filesystem::rename(folder_ + "/copy.db", folder_ + "/other.db");
  const auto of = [&](std::string_view sql) {
    auto opened = sqlite::Database::open(
        folder_ + "/other.db", sqlite::Durability::Normal,
        {.application_id = 0x50476c65, .schema_version = 2, .schema = "", .what = "ledger"});
    auto statement = opened->prepare(sql);
    EXPECT_TRUE(statement && statement->step().value());
    return statement->column_int64(0);
  };
  EXPECT_EQ(of("SELECT count(*) FROM open_request"), 0);
  EXPECT_EQ(of("SELECT count(*) FROM usage WHERE outcome = 'abandoned'"), 2);
  EXPECT_EQ(of("SELECT sum(prompt_tokens + completion_tokens) FROM usage WHERE serving_site = ''"),
            0);
  EXPECT_EQ(of("SELECT completion_tokens FROM usage WHERE ended_us = 9000"), 17);
  EXPECT_EQ(of("SELECT count(*) FROM usage WHERE outcome = 'completed'"), 1);
}

TEST_F(SqliteLedgerTest, TakesOverTheLayoutBeforeThisOne) {
  {
    auto old = sqlite::Database::open(path(), sqlite::Durability::Full,
                                      {.application_id = 0x50476c65,
                                       .schema_version = 1,
                                       .schema = R"(
           CREATE TABLE usage (
             id TEXT PRIMARY KEY, tenant TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL,
             ingress_site TEXT NOT NULL, serving_site TEXT NOT NULL, operation TEXT NOT NULL,
             service_class TEXT NOT NULL, started_us INTEGER NOT NULL, ended_us INTEGER NOT NULL,
             prompt_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
             completion_tokens INTEGER NOT NULL, outcome TEXT NOT NULL) WITHOUT ROWID;
           INSERT INTO usage VALUES ('00000000000003e80000000000000001', 'acme', 'k', 'm', 'a', 'b',
             'chat', 'standard', 1000, 2000, 1, 2, 3, 'completed');)",
                                       .what = "ledger"});
    ASSERT_TRUE(old) << old.error().message;
  }
  auto outbox = UsageOutbox::open(path());
  ASSERT_TRUE(outbox) << outbox.error().message;
  const auto batch = (*outbox)->next(10);
  ASSERT_TRUE(batch);
  ASSERT_EQ(batch->records.size(), 1U);
  EXPECT_EQ(batch->records[0].tenant, TenantId{"acme"});
  EXPECT_EQ(batch->records[0].completion_tokens, 3U);
}

TEST_F(SqliteLedgerTest, RefusesWhenItsPlacesAreTaken) {
  SqliteLedgerOptions options;
  options.places = 4;
  auto ledger = open(options);
  for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(ledger->reserve(record(i)));
  EXPECT_EQ(ledger->reserve(record(9)).error().code, Code::ResourceExhausted);
  for (std::uint64_t i = 0; i < 4; ++i) ledger->settle(settled(record(i)));
  while (!ledger->reserve(record(4)))
    std::this_thread::yield();  // a place returns once its record is stored
  ledger->settle(settled(record(4)));
}

TEST_F(SqliteLedgerTest, WaitsForALockedFileAndLosesNothing) {
  SqliteLedgerOptions options;
  options.retry_time = milliseconds{10};
  auto ledger = open(options);
  {
    sqlite::Database other = database();
    auto held = sqlite::Transaction::begin(other);
    ASSERT_TRUE(held);
    ASSERT_TRUE(ledger->reserve(record(1)));
    ledger->settle(settled(record(1)));
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
