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

TEST(UsageJson, RoundTrips) {
  const std::vector<UsageRecord> sent{record()};
  const auto delivery = parse_usage_batch(usage_batch_json(sent), SiteId{"cell-a"});
  ASSERT_TRUE(delivery) << delivery.error().message;
  EXPECT_TRUE(delivery->refused.empty());
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
  const auto delivery = parse_usage_batch(kFirst, SiteId{"cell-a"});
  ASSERT_TRUE(delivery);
  ASSERT_EQ(delivery->records.size(), 1U);
  EXPECT_EQ(delivery->records[0].completion_tokens, 40U);
}

TEST(UsageJson, IgnoresFieldsOfANewerSiteAndDefaultsWhatIsMissing) {
  const auto delivery = parse_usage_batch(
      R"({"sent":1,"records":[{"id":"0006123456789abc0000000000000007","tenant":"acme",)"
      R"("model":"m","ingress_site":"cell-a","operation":"chat","class":"standard",)"
      R"("started_us":1,"ended_us":2,"outcome":"completed","price":{"micros":4}}]})",
      SiteId{"cell-a"});
  ASSERT_TRUE(delivery);
  ASSERT_EQ(delivery->records.size(), 1U) << delivery->refused.at(0);
  EXPECT_EQ(delivery->records[0].prompt_tokens, 0U);
}

std::string with(std::string_view from, std::string_view to) {
  std::string text{kFirst};
  return text.replace(text.find(from), from.size(), to);
}

TEST(UsageJson, RefusesARecordAloneAndSaysWhy) {
  for (const auto& [from, to, why] : std::vector<std::array<std::string_view, 3>>{
           {"cell-a", "cell-b", "ingress_site"},
           {"0006", "000g", "id"},
           {"acme", "A cme", "tenant"},
           {"chat", "dance", "operation"},
           {"\"prompt_tokens\":12", "\"prompt_tokens\":-1", "prompt_tokens"},
           {"\"completion_tokens\":40", "\"completion_tokens\":2147483648", "completion_tokens"},
           {"completed", "lost", "outcome"}}) {
    const auto delivery = parse_usage_batch(with(from, to), SiteId{"cell-a"});
    ASSERT_TRUE(delivery);
    EXPECT_TRUE(delivery->records.empty()) << from;
    ASSERT_EQ(delivery->refused.size(), 1U);
    EXPECT_NE(delivery->refused[0].find(why), std::string::npos) << delivery->refused[0];
  }
  for (const std::string_view none : {"", "[]", "{}", R"({"records":1})"}) {
    EXPECT_FALSE(parse_usage_batch(none, SiteId{"cell-a"})) << none;
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
