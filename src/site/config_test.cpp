#include "site/config.h"

#include <gtest/gtest.h>

namespace perigee {
namespace {

std::string no_environment(const std::string& /*name*/) { return ""; }

constexpr std::string_view kGood = R"([site]
name = "metro-berlin"
listen = "127.0.0.1:8101"
state_dir = "state"

[control]
url = "http://127.0.0.1:7000"
key_file = "/etc/perigee/site.key"

[peers]
exchange_interval_ms = 500
[peers.addresses]
core-paris = "127.0.0.1:9001"

[[engine]]
name = "vllm"
url = "http://127.0.0.1:8000/v1"
model = "org/model-7b"
)";

Result<SiteConfig> parse(std::string_view text) {
  return parse_site_config(text, "/etc/perigee/site.toml", no_environment);
}

// The good file with the first `from` replaced by `to`.
std::string with(std::string_view from, std::string_view to) {
  std::string text{kGood};
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(SiteConfig, ReadsAWholeFile) {
  auto config = parse(kGood);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->name, SiteId{"metro-berlin"});
  EXPECT_EQ(config->listen.port, 8101);
  EXPECT_EQ(config->state_dir, "/etc/perigee/state");
  EXPECT_EQ(config->exchange_interval, milliseconds{500});
  EXPECT_EQ(config->peer_addresses.at(SiteId{"core-paris"}).port, 9001);
  ASSERT_EQ(config->engines.size(), 1U);
  EXPECT_EQ(config->engines[0].url.base_path, "/v1");
}

TEST(SiteConfig, FindsTheKeyOfModelsBesideTheFile) {
  std::string text{kGood};
  text.insert(text.find("state_dir"), "model_public_key = \"models.pem\"\n");
  auto config = parse(text);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->model_public_key, "/etc/perigee/models.pem");
  EXPECT_EQ(parse(kGood)->model_public_key, "");
}

TEST(SiteConfig, ReadsWhatItsEnginesKeepOnAGpu) {
  const std::string listen = "listen = \"127.0.0.1:8101\"\n";
  EXPECT_EQ(parse(kGood)->gpu_layers, 0);
  EXPECT_EQ(parse(with(listen, listen + "gpu_layers = -1\n"))->gpu_layers, -1);
  EXPECT_FALSE(parse(with(listen, listen + "gpu_layers = -2\n")));
}

TEST(SiteConfig, SaysThatAFolderIsNoFile) {
  const auto config = load_site_config(testing::TempDir(), no_environment);
  ASSERT_FALSE(config);
  EXPECT_NE(config.error().message.find("is a folder"), std::string::npos);
}

TEST(SiteConfig, ReadsHowAnEngineGoesOnByText) {
  EXPECT_EQ(parse(kGood)->engines[0].resume_by_text, api::TextResume::Off);
  for (const auto& [name, how] :
       {std::pair{"off", api::TextResume::Off}, std::pair{"prefill", api::TextResume::Prefill},
        std::pair{"final_message", api::TextResume::FinalMessage}}) {
    const auto config =
        parse(std::string{kGood} + "resume_by_text = \"" + std::string{name} + "\"\n");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->engines[0].resume_by_text, how);
  }
}

struct Bad {
  std::string text;
  std::string message;
};

TEST(SiteConfig, SaysFileLineKeyAndWhatWasExpected) {
  const std::vector<Bad> table{
      {with("name = \"metro-berlin\"", "name = \"Metro Berlin\""),
       "site.toml:2: site.name: expected"},
      {with("name = \"metro-berlin\"", "name = 7"), "site.toml:2: site.name: expected a string"},
      {with("listen = \"127.0.0.1:8101\"", "listen = \"8101\""), "site.toml:3: site.listen"},
      {with("listen = \"127.0.0.1:8101\"", "listen = \"0.0.0.0:8101\""),
       "[tls] names no certificate"},
      {with("127.0.0.1:7000", "10.0.0.1:7000"), "site.toml:7: control.url"},
      {with("exchange_interval_ms = 500", "exchange_interval_ms = 5"), "from 200 to 60000"},
      {with("exchange_interval_ms = 500", "exchange_intervall_ms = 500"), "no such key"},
      {with("[[engine]]\nname = \"vllm\"", "[[engine]]\nname = \"\""), "engine.name"},
      {std::string{kGood} + "resume_by_text = \"yes\"\n",
       "site.toml:19: engine.resume_by_text: expected off, final_message or prefill"},
      {with("[control]", "[controls]"), "control"},
      {with("[site]", "[site"), "site.toml:1"},
      {with("core-paris = \"127.0.0.1:9001\"", "core-paris = 9001"), "peers.addresses.core-paris"},
  };
  for (const Bad& bad : table) {
    auto config = parse(bad.text);
    ASSERT_FALSE(config) << bad.text;
    EXPECT_NE(config.error().message.find(bad.message), std::string::npos)
        << config.error().message << "\nshould contain " << bad.message;
  }
}

TEST(SiteConfig, LetsTheEnvironmentOverride) {
  auto config = parse_site_config(kGood, "site.toml", [](const std::string& name) -> std::string {
    if (name == "PERIGEE_SITE_LISTEN") return "127.0.0.1:9999";
    if (name == "PERIGEE_PEERS_NEIGHBOURS_MAX") return "3";
    return "";
  });
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->listen.port, 9999);
  EXPECT_EQ(config->neighbours_max, 3U);
}

TEST(SiteConfig, LetsTheEnvironmentSpeakOfSectionsThatTheFileLacks) {
  auto config = parse_site_config(kGood, "site.toml", [](const std::string& name) -> std::string {
    if (name == "PERIGEE_LIMITS_ANSWER_TIMEOUT_MS") return "900000";
    if (name == "PERIGEE_LIMITS_SPARE_DISK_BYTES") return "0";
    if (name == "PERIGEE_LOG_LEVEL") return "debug";
    return "";
  });
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->answer_timeout, seconds{900});
  EXPECT_EQ(config->spare_disk_bytes, 0U);
  EXPECT_EQ(config->log_level, log::Level::Debug);
}

TEST(SiteConfig, NamesTheVariableThatSetABadValue) {
  auto config = parse_site_config(kGood, "site.toml", [](const std::string& name) -> std::string {
    return name == "PERIGEE_SITE_LISTEN" ? "nowhere" : "";
  });
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message,
            "environment variable PERIGEE_SITE_LISTEN: 'nowhere' is no address: expected "
            "HOST:PORT, [IPV6]:PORT or unix:/PATH");
}

TEST(SiteConfig, ReadsWhatClientsAndTheirKeysMayTake) {
  const auto config = parse(std::string{kGood} + R"(
[limits]
head_timeout_ms = 1000
body_timeout_ms = 2000
write_timeout_ms = 3000
idle_timeout_ms = 4000
head_bytes_max = 2048
headers_max = 20
bodies_bytes_max = 1048576
[receipts]
keep_days = 30
[idempotency]
keys_max = 5
bytes_max = 6
answer_bytes_max = 7
age_max_ms = 8000
reader_patience_ms = 0
)");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->http.head_timeout, seconds{1});
  EXPECT_EQ(config->http.body_timeout, seconds{2});
  EXPECT_EQ(config->http.write_timeout, seconds{3});
  EXPECT_EQ(config->http.idle_timeout, seconds{4});
  EXPECT_EQ(config->http.head_bytes_max, 2048U);
  EXPECT_EQ(config->http.headers_max, 20U);
  EXPECT_EQ(config->http.bodies_bytes_max, 1048576U);
  EXPECT_EQ(config->receipts_keep, seconds{30 * 86'400});
  EXPECT_EQ(config->idempotency.entries_max, 5U);
  EXPECT_EQ(config->idempotency.bytes_max, 6U);
  EXPECT_EQ(config->idempotency.answer_bytes_max, 7U);
  EXPECT_EQ(config->idempotency.age_max, seconds{8});
  EXPECT_EQ(config->idempotency.reader_patience, Duration{});
  EXPECT_EQ(parse(kGood)->http.write_timeout, seconds{30});
  EXPECT_EQ(parse(kGood)->idempotency.reader_patience, seconds{10});
  EXPECT_EQ(parse(kGood)->receipts_keep, seconds{400 * 86'400});
}

}  // namespace
}  // namespace perigee
