// UsageStore: the usage records of the whole grid, at control, in one SQLite file. Sites deliver
// each record at least once; a record's id makes it count once, and of two with one id the same one
// stands in whatever order they come (replaces() in ledger/ledger.h).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "ledger/ledger.h"
#include "ledger/sqlite/usage_aside.h"

namespace perigee {

// What sums may be told apart by.
enum class UsageKey : std::uint8_t { Tenant, Model, ServingSite, IngressSite, ServiceClass, Day };
std::string_view to_string(UsageKey key);  // "tenant", "model", "site", "ingress", "class", "day"
std::optional<UsageKey> parse_usage_key(std::string_view name);

struct UsageQuery {
  std::vector<UsageKey> by;
  WallTime from;                // began at or after
  WallTime until{INT64_MAX};    // began before
  TenantId tenant;              // empty: all
  std::size_t rows_max = 1000;  // the heaviest first
};

struct UsageSum {
  std::vector<std::string> keys;  // as in UsageQuery::by; a day as "2026-08-01", UTC
  std::int64_t requests = 0;
  std::int64_t completed = 0;
  std::int64_t failed = 0;
  std::int64_t abandoned = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;
  std::int64_t completion_tokens = 0;
};

// On one thread, which may wait for the disk.
class UsageStore {
 public:
  // Opens or creates the file (0600). Errors as sqlite::Database::open.
  static Result<std::unique_ptr<UsageStore>> open(const std::string& path);
  ~UsageStore();
  UsageStore(const UsageStore&) = delete;
  UsageStore& operator=(const UsageStore&) = delete;
  // All or none, on the disk when it returns. How many were new, or took the place of another.
  Result<std::size_t> add(std::span<const UsageRecord> records);
  Result<std::vector<UsageSum>> sum(const UsageQuery& query);
  // What is not billed (ledger/sqlite/usage_aside.h).
  Result<std::size_t> put_aside(std::span<const AsideRecord> records);
  Result<std::vector<AsideRecord>> list_aside(const AsideQuery& query);
  Result<std::size_t> count_aside(const AsideQuery& query);
  Result<std::map<AsideReason, std::size_t>> count_aside_by_reason();
  // What was aside under `numbers` is there no more, and `records` are added: all of it or nothing.
  // FailedPrecondition: one of the numbers is not aside any more.
  Result<> settle_aside(std::span<const std::int64_t> numbers,
                        std::span<const UsageRecord> records);
  // When each key's last request ended, of keys that were used since this file knows of it.
  Result<std::vector<std::pair<std::string, WallTime>>> last_uses();

 private:
  struct Store;
  explicit UsageStore(std::unique_ptr<Store> store);
  Result<std::size_t> insert(std::span<const UsageRecord> records);  // within a transaction
  std::unique_ptr<Store> store_;
};

}  // namespace perigee
