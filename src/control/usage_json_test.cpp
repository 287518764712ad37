#include "control/usage_json.h"

#include <gtest/gtest.h>

#include "directory/json_text.h"

namespace perigee::control {
namespace {

UsageRecord record() {
  UsageRecord usage;
  usage.id = RecordId{0x0006123456789abc, 7};
  usage.tenant = TenantId{"acme"};
  usage.key_id = "key_1";
  usage.model = ModelId{"org/Model-7B:q8"};
  usage.ingress_site = SiteId{"cell-a"};
  usage.serving_site = SiteId{"metro-a"};
  usage.operation = Operation::Embedding;
  usage.service_class = ServiceClass::Realtime;
  usage.started = WallTime{1'000};
  usage.ended = WallTime{2'000};
  usage.prompt_tokens = 12;
  usage.cached_tokens = 3;
  usage.completion_tokens = 40;
  usage.outcome = Outcome::Failed;
  return usage;
}

// What the site cell-a delivered, with no fault found but in records of the tenant "stranger".
Result<UsageDelivery> delivered(std::string_view text) {
  return parse_usage_batch(text, SiteId{"cell-a"}, WallTime{77},
                           [](const UsageRecord& read) -> std::optional<UsageFault> {
                             if (read.tenant != TenantId{"stranger"}) return std::nullopt;
                             return UsageFault{AsideReason::UnknownTenant,
                                               "the directory has no such tenant"};
                           });
}

TEST(UsageJson, RoundTrips) {
  const std::vector<UsageRecord> sent{record()};
  const auto delivery = delivered(usage_batch_json(sent));
  ASSERT_TRUE(delivery) << delivery.error().message;
  EXPECT_TRUE(delivery->aside.empty());
  ASSERT_EQ(delivery->records.size(), 1U);
  const UsageRecord& got = delivery->records[0];
  EXPECT_EQ(got.id, record().id);
  EXPECT_EQ(got.model, record().model);
  EXPECT_EQ(got.operation, record().operation);
  EXPECT_EQ(got.service_class, record().service_class);
  EXPECT_EQ(got.outcome, record().outcome);
  EXPECT_EQ(got.started, record().started);
  EXPECT_EQ(got.cached_tokens, 3U);
}

// As the first release that shipped usage wrote it: later ones must go on to read it.
constexpr std::string_view kFirst =
    R"({"records":[{"id":"0006123456789abc0000000000000007","tenant":"acme","key":"key_1",)"
    R"("model":"m","ingress_site":"cell-a","serving_site":"metro-a","operation":"chat",)"
    R"("class":"standard","started_us":1000,"ended_us":2000,"prompt_tokens":12,)"
    R"("cached_tokens":3,"completion_tokens":40,"outcome":"completed"}]})";

TEST(UsageJson, ReadsWhatTheFirstVersionWrote) {
  const auto delivery = delivered(kFirst);
  ASSERT_TRUE(delivery);
  ASSERT_EQ(delivery->records.size(), 1U);
  EXPECT_EQ(delivery->records[0].completion_tokens, 40U);
}

TEST(UsageJson, IgnoresFieldsOfANewerSiteAndDefaultsWhatIsMissing) {
  const auto delivery =
      delivered(R"({"sent":1,"records":[{"id":"0006123456789abc0000000000000007","tenant":"acme",)"
                R"("model":"m","ingress_site":"cell-a","operation":"chat","class":"standard",)"
                R"("started_us":1,"ended_us":2,"outcome":"completed","price":{"micros":4}}]})");
  ASSERT_TRUE(delivery);
  ASSERT_EQ(delivery->records.size(), 1U) << delivery->aside.at(0).why;
  EXPECT_EQ(delivery->records[0].prompt_tokens, 0U);
}

std::string with(std::string_view from, std::string_view to) {
  std::string text{kFirst};
  return text.replace(text.find(from), from.size(), to);
}

TEST(UsageJson, PutsARecordThatCantBeReadAsideAloneAsItCameAndSaysWhy) {
  for (const auto& [from, to, why] : std::vector<std::array<std::string_view, 3>>{
           {"cell-a", "Cell b", "ingress_site"},
           {"0006", "000g", "id"},
           {"acme", "A cme", "tenant"},
           {"chat", "dance", "operation"},
           {"\"prompt_tokens\":12", "\"prompt_tokens\":-1", "prompt_tokens"},
           {"\"completion_tokens\":40", "\"completion_tokens\":2147483648", "completion_tokens"},
           {"completed", "lost", "outcome"}}) {
    const std::string text = with(from, to);
    const auto delivery = delivered(text);
    ASSERT_TRUE(delivery);
    EXPECT_TRUE(delivery->records.empty()) << from;
    ASSERT_EQ(delivery->aside.size(), 1U);
    const AsideRecord& aside = delivery->aside[0];
    EXPECT_EQ(aside.reason, AsideReason::Unreadable);
    EXPECT_NE(aside.why.find(why), std::string::npos) << aside.why;
    EXPECT_EQ(aside.site, SiteId{"cell-a"});
    EXPECT_EQ(aside.tenant, from == "acme" ? "" : "acme");
    EXPECT_EQ(aside.received.micros, 77);
    EXPECT_NE(text.find(aside.text), std::string::npos) << aside.text;
    EXPECT_FALSE(parse_usage_record(aside.text));
  }
  for (const std::string_view none : {"", "[]", "{}", R"({"records":1})"}) {
    EXPECT_FALSE(delivered(none)) << none;
  }
}

TEST(UsageJson, PutsARecordWithAFaultAsideAndCanReadItLater) {
  const auto delivery = delivered(with("acme", "stranger"));
  ASSERT_TRUE(delivery);
  EXPECT_TRUE(delivery->records.empty());
  ASSERT_EQ(delivery->aside.size(), 1U);
  EXPECT_EQ(delivery->aside[0].reason, AsideReason::UnknownTenant);
  EXPECT_EQ(delivery->aside[0].tenant, "stranger");
  const auto later = parse_usage_record(delivery->aside[0].text);
  ASSERT_TRUE(later) << later.error().message;
  EXPECT_EQ(later->tenant, TenantId{"stranger"});
  EXPECT_EQ(later->completion_tokens, 40U);
}

TEST(UsageJson, KeepsNoRecordThatIsTooLong) {
  const std::string filler = "\"class\":\"" + std::string(kAsideBytesMax, 'x');
  const auto delivery = delivered(with("\"class\":\"standard", filler));
  ASSERT_TRUE(delivery);
  EXPECT_TRUE(delivery->records.empty());
  EXPECT_TRUE(delivery->aside.empty());
  EXPECT_EQ(delivery->too_long, 1U);
}

TEST(UsageJson, ReadsWhatIsAskedOfWhatIsAside) {
  const auto query = parse_aside_query("site=cell-a&tenant=acme&reason=time&after=17");
  ASSERT_TRUE(query) << query.error().message;
  EXPECT_EQ(query->site, SiteId{"cell-a"});
  EXPECT_EQ(query->tenant, "acme");
  EXPECT_EQ(query->reason, AsideReason::Time);
  EXPECT_EQ(query->after, 17);
  for (const std::string_view wrong :
       {"site=A b", "reason=mood", "after=-1", "after=x", "by=day"}) {
    EXPECT_EQ(parse_aside_query(wrong).error().code, Code::InvalidArgument) << wrong;
  }
  const auto order = parse_aside_order(R"({"numbers":[3,4],"after":2})");
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_EQ(order->numbers, (std::vector<std::int64_t>{3, 4}));
  EXPECT_TRUE(parse_aside_order(R"({"reason":"counts"})"));
  for (const std::string_view wrong :
       {R"({})", R"({"after":1})", R"({"numbers":[]})", R"({"numbers":[0]})", R"({"numbers":7})",
        R"({"reason":"mood"})", R"({"all":true})", R"([])"}) {
    EXPECT_EQ(parse_aside_order(wrong).error().code, Code::InvalidArgument) << wrong;
  }
}

TEST(UsageJson, ReadsAQueryAndNamesWhatIsWrong) {
  const auto query = parse_usage_query("by=tenant,day&from_us=5&until_us=9&tenant=acme");
  ASSERT_TRUE(query);
  EXPECT_EQ(query->by, (std::vector<UsageKey>{UsageKey::Tenant, UsageKey::Day}));
  EXPECT_EQ(query->from.micros, 5);
  EXPECT_EQ(query->until.micros, 9);
  EXPECT_EQ(query->tenant, TenantId{"acme"});
  for (const auto& [text, param] :
       std::vector<std::pair<std::string_view, std::string>>{{"by=weather", "by"},
                                                             {"by=day,day", "by"},
                                                             {"from_us=x", "from_us"},
                                                             {"until_us=-1", "until_us"},
                                                             {"tenant=A%20", "tenant"},
                                                             {"group=day", "group"}}) {
    const auto wrong = parse_usage_query(text);
    ASSERT_FALSE(wrong) << text;
    EXPECT_EQ(wrong.error().param, param);
  }
}

}  // namespace
}  // namespace perigee::control
