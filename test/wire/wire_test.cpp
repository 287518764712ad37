#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "api/load.h"
#include "api/stream_field.h"
#include "control/snapshot_file.h"
#include "gateway/client_hints.h"
#include "peer/digest.h"

namespace perigee {
namespace {

namespace json = boost::json;

std::string path_of(const std::string& name) { return std::string{PERIGEE_RECORDED} + "/" + name; }

std::string recorded(const std::string& name) {
  std::ifstream file{path_of(name), std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  std::string bytes = text.str();
  EXPECT_FALSE(bytes.empty()) << name;
  if (bytes.ends_with('\n')) bytes.pop_back();  // the file's, not the wire's
  return bytes;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Every name of `before` stands in `now` too, with a value of the same kind.
void expect_still_there(const json::value& before, const json::value& now) {
  if (before.is_object()) {
    ASSERT_TRUE(now.is_object());
    for (const auto& [name, value] : before.get_object()) {
      const json::value* found = now.get_object().if_contains(name);
      ASSERT_NE(found, nullptr) << "the version before reads " << name;
      expect_still_there(value, *found);
    }
  } else if (before.is_array()) {
    ASSERT_TRUE(now.is_array());
    ASSERT_EQ(before.get_array().size(), now.get_array().size());
    for (std::size_t i = 0; i < before.get_array().size(); ++i) {
      expect_still_there(before.get_array()[i], now.get_array()[i]);
    }
  } else {
    EXPECT_EQ(before.is_number(), now.is_number());
    EXPECT_EQ(before.is_string(), now.is_string());
    EXPECT_EQ(before.is_bool(), now.is_bool());
  }
}

// "slots=8,busy=3" -> names.
std::vector<std::string> names_of(const std::string& items) {
  std::vector<std::string> names;
  std::istringstream in{items};
  for (std::string item; std::getline(in, item, ',');) {
    names.push_back(item.substr(0, item.find('=')));
  }
  return names;
}

TEST(Wire, ReadsTheDigestOfTheVersionBeforeAndStillSaysAllOfIt) {
  const std::string text = recorded("digest.json");
  const auto digest = parse_digest(text);
  ASSERT_TRUE(digest) << digest.error().message;
  EXPECT_EQ(digest->site, SiteId{"metro-berlin"});
  EXPECT_EQ(digest->revision, 7U);
  ASSERT_EQ(digest->models.size(), 1U);
  EXPECT_EQ(digest->models[0].model, ModelId{"perigee-demo"});
  expect_still_there(json::parse(text), json::parse(digest_json(*digest)));
}

TEST(Wire, LeavesOutWhatANewerDigestAdds) {
  json::value newer = json::parse(recorded("digest.json"));
  newer.as_object()["power"] = json::object{{"share", 0.5}};
  newer.at("models").as_array()[0].as_object()["price"] = 7;
  newer.at("models").as_array()[0].as_object()["load"] = "slots=4,gpus=2,busy=1";
  const auto digest = parse_digest(json::serialize(newer));
  ASSERT_TRUE(digest) << digest.error().message;
  EXPECT_EQ(digest->models[0].load.slots, 4U);
  EXPECT_EQ(digest->models[0].load.slots_busy, 1U);
}

TEST(Wire, ReadsALoadAndStillSaysAllOfIt) {
  const std::string text = recorded("load.txt");
  const auto load = api::parse_load(text);
  ASSERT_TRUE(load);
  EXPECT_EQ(load->slots, 8U);
  EXPECT_EQ(load->queued_tokens, 120U);
  EXPECT_DOUBLE_EQ(load->prefill_tokens_per_s, 4500.5);
  const std::vector<std::string> now = names_of(api::format_load(*load));
  for (const std::string& name : names_of(text)) {
    EXPECT_NE(std::ranges::find(now, name), now.end()) << name;
  }
  const auto partial = api::parse_load("slots=8,since=4");
  ASSERT_TRUE(partial) << "what is missing is zero, what is unknown is left out";
  EXPECT_EQ(partial->slots_busy, 0U);
}

TEST(Wire, ReadsStreamFieldsOfTheVersionBeforeAndOfANewerOne) {
  const std::vector<std::string> lines = lines_of(recorded("stream_fields.txt"));
  ASSERT_EQ(lines.size(), 2U);
  const auto ids = api::parse_stream_field(lines[0]);
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->token_ids, "12,345");
  EXPECT_EQ(ids->tokens, 2U);
  const auto end = api::parse_stream_field(lines[1]);
  ASSERT_TRUE(end && end->usage && end->load);
  EXPECT_EQ(end->usage->completion_tokens, 40U);
  EXPECT_EQ(end->load->slots_busy, 3U);
  const auto newer = api::parse_stream_field(lines[0] + " logits=9,9 energy=4");
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->tokens, 2U);
}

Result<ClientHints> hints_of(const std::vector<std::string>& lines) {
  std::vector<net::Header> headers;
  for (const std::string& line : lines) {
    const std::size_t colon = line.find(": ");
    headers.push_back(
        {std::string_view{line}.substr(0, colon), std::string_view{line}.substr(colon + 2)});
  }
  net::Request request;
  request.headers = headers;
  return read_client_hints(request, true);
}

TEST(Wire, TakesARequestThatTheVersionBeforeOrANewerOneForwards) {
  std::vector<std::string> lines = lines_of(recorded("hop_headers.txt"));
  auto hints = hints_of(lines);
  ASSERT_TRUE(hints) << hints.error().message;
  EXPECT_EQ(hints->hop, 1U);
  EXPECT_EQ(hints->tenant, TenantId{"acme"});
  EXPECT_EQ(hints->cache_salt, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(hints->service_class, ServiceClass::Interactive);
  EXPECT_EQ(hints->session, "conversation-7");
  EXPECT_EQ(hints->time_left, milliseconds{25'000});
  EXPECT_EQ(hints->jurisdictions.size(), 2U);
  lines.emplace_back("perigee-weather: fine");
  EXPECT_TRUE(hints_of(lines));
}

TEST(Wire, StartsFromTheSnapshotThatTheVersionBeforeLeftOnTheDisk) {
  std::vector<std::string> skipped;
  const auto snapshot = control::load_snapshot(path_of("directory.snapshot"), skipped);
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_TRUE(skipped.empty());
  EXPECT_EQ(snapshot->grid, "acme");
  EXPECT_EQ(snapshot->revision, 7U);
  ASSERT_TRUE(snapshot->sites.contains(SiteId{"metro-berlin"}));
  EXPECT_EQ(snapshot->sites.at(SiteId{"metro-berlin"}).jurisdiction, JurisdictionId{"de"});
  EXPECT_TRUE(snapshot->tenants.contains(TenantId{"acme"}));
  EXPECT_EQ(snapshot->keys.size(), 2U);
  const std::string now = testing::TempDir() + "perigee-wire.snapshot";
  ASSERT_TRUE(control::save_snapshot(now, *snapshot));
  std::ifstream file{now};
  std::string mark;
  std::string body;
  std::getline(file, mark);
  std::getline(file, body);
  EXPECT_TRUE(mark.starts_with("perigee-snapshot 1 ")) << "the version before takes no other";
  expect_still_there(json::parse(lines_of(recorded("directory.snapshot")).at(1)),
                     json::parse(body));
}

}  // namespace
}  // namespace perigee
