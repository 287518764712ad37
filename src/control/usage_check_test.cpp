#include "control/usage_check.h"

#include <gtest/gtest.h>

namespace perigee::control {
namespace {

constexpr std::int64_t kDay_us = 86'400'000'000;
const WallTime kNow{1'800'000'000'000'000};

UsageRecord good() {
  UsageRecord usage;
  usage.tenant = TenantId{"acme"};
  usage.ingress_site = SiteId{"cell-a"};
  usage.started = WallTime{kNow.micros - 2'000'000};
  usage.ended = WallTime{kNow.micros - 1'000'000};
  usage.prompt_tokens = 12;
  usage.cached_tokens = 12;
  usage.completion_tokens = 40;
  return usage;
}

std::optional<AsideReason> reason_of(const UsageRecord& record) {
  SharedMap<TenantId, TenantRecord> tenants;
  tenants.insert_or_assign(TenantId{"acme"}, {});
  const auto fault = usage_fault(record, SiteId{"cell-a"}, tenants, kNow);
  if (!fault) return std::nullopt;
  EXPECT_FALSE(fault->why.empty());
  return fault->reason;
}

TEST(UsageCheck, FindsNoFaultWithWhatIsPlausible) {
  EXPECT_EQ(reason_of(good()), std::nullopt);
  UsageRecord record = good();
  record.started.micros = kNow.micros - kUsageAgeMax_us;  // an island that was away for long
  EXPECT_EQ(reason_of(record), std::nullopt);
  record = good();
  record.ended.micros = kNow.micros + kUsageAheadMax_us;  // clocks differ
  EXPECT_EQ(reason_of(record), std::nullopt);
  record = good();
  record.prompt_tokens = record.completion_tokens = kUsageTokensMax;
  EXPECT_EQ(reason_of(record), std::nullopt);
}

TEST(UsageCheck, FindsFaultWithTimesThatCantBe) {
  UsageRecord record = good();
  record.started.micros = kNow.micros - kUsageAgeMax_us - 1;
  EXPECT_EQ(reason_of(record), AsideReason::Time);
  record = good();
  record.started.micros = record.ended.micros = kDay_us;  // a clock that began in 1970
  EXPECT_EQ(reason_of(record), AsideReason::Time);
  record = good();
  record.ended.micros = kNow.micros + kUsageAheadMax_us + 1;
  EXPECT_EQ(reason_of(record), AsideReason::Time);
  record.started.micros = record.ended.micros = INT64_MAX;
  EXPECT_EQ(reason_of(record), AsideReason::Time);
  record = good();
  record.ended.micros = record.started.micros - 1;
  EXPECT_EQ(reason_of(record), AsideReason::Time);
}

TEST(UsageCheck, FindsFaultWithCountsThatCantBe) {
  UsageRecord record = good();
  record.prompt_tokens = kUsageTokensMax + 1;
  EXPECT_EQ(reason_of(record), AsideReason::Counts);
  record = good();
  record.completion_tokens = 0x7fffffff;
  EXPECT_EQ(reason_of(record), AsideReason::Counts);
  record = good();
  record.cached_tokens = record.prompt_tokens + 1;
  EXPECT_EQ(reason_of(record), AsideReason::Counts);
}

TEST(UsageCheck, FindsFaultWithOtherSitesAndUnknownTenantsAndSaysTheTenantLast) {
  UsageRecord record = good();
  record.tenant = TenantId{"stranger"};
  EXPECT_EQ(reason_of(record), AsideReason::UnknownTenant);
  record.completion_tokens = 0x7fffffff;
  EXPECT_EQ(reason_of(record), AsideReason::Counts);
  record = good();
  record.ingress_site = SiteId{"cell-b"};
  EXPECT_EQ(reason_of(record), AsideReason::IngressSite);
}

}  // namespace
}  // namespace perigee::control
