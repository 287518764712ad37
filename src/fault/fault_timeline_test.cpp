#include "fault/fault_timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace perigee {
namespace {

const std::vector<std::string> kSites{"berlin", "paris", "rome"};

Result<std::vector<FaultRule>> read(std::string_view text) {
  PERIGEE_TRY(table, parse_toml(text, "faults.toml"));
  TomlTable root{table, "", "faults.toml", nullptr};
  return read_faults(root, kSites, 60);
}

TEST(FaultTimeline, ReadsEveryKind) {
  const auto rules = read(R"(
[[fault]]
kind = "kill"
at_s = 1
for_s = 2
site = "berlin"
[[fault]]
kind = "stop"
at_s = 2
site = "paris"
engine = 1
[[fault]]
kind = "slow"
at_s = 3
site = "paris"
factor = 5
[[fault]]
kind = "slow"
at_s = 4
between = ["berlin", "rome"]
added_ms = 40
[[fault]]
kind = "cut"
at_s = 5
between = ["berlin", "*"]
[[fault]]
kind = "cut_one_way"
at_s = 6
between = ["rome", "paris"]
[[fault]]
kind = "corrupt"
at_s = 7
between = ["rome", "paris"]
share = 0.5
[[fault]]
kind = "disk_full"
at_s = 8
site = "rome"
[[fault]]
kind = "clock_jump"
at_s = 9
site = "rome"
jump_s = -3600
[[fault]]
kind = "control_down"
at_s = 10
[[fault]]
kind = "mute"
at_s = 11
site = "rome"
)");
  ASSERT_TRUE(rules) << rules.error().message;
  const std::vector<Fault> line = fault_timeline(*rules, 1);
  std::vector<std::string> told;
  for (const Fault& fault : line) told.push_back(describe(fault));
  EXPECT_THAT(told, testing::ElementsAre(
                        "kill berlin", "stop engine 1 of paris", "slow paris", "slow berlin - rome",
                        "cut berlin - *", "cut_one_way rome > paris", "corrupt rome - paris",
                        "disk_full rome", "clock_jump rome", "control_down", "mute rome"));
  EXPECT_EQ(line[0].end_s, 3);
  EXPECT_EQ(line[1].end_s, Fault::kNeverMended);
  EXPECT_EQ(line[8].jump_s, -3600);
}

TEST(FaultTimeline, RepeatsAtSitesThatTheSeedDraws) {
  const auto rules = read(
      "[[fault]]\nkind = 'kill'\nat_s = 1\nfor_s = 0.5\nevery_s = 2\nuntil_s = 21\n"
      "sites = ['berlin', 'paris']\n");
  ASSERT_TRUE(rules) << rules.error().message;
  const std::vector<Fault> line = fault_timeline(*rules, 7);
  ASSERT_EQ(line.size(), 10U);
  EXPECT_EQ(line[9].at_s, 19);
  EXPECT_EQ(line[9].end_s, 19.5);
  std::string sites;
  std::string again;
  std::string other;
  for (const Fault& fault : line) sites += fault.site[0];
  for (const Fault& fault : fault_timeline(*rules, 7)) again += fault.site[0];
  for (const Fault& fault : fault_timeline(*rules, 8)) other += fault.site[0];
  EXPECT_EQ(sites, again);
  EXPECT_NE(sites, other);
  EXPECT_NE(sites.find('b'), std::string::npos);
  EXPECT_NE(sites.find('p'), std::string::npos);
}

TEST(FaultTimeline, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c : {
           Case{"kind = 'flood'\nat_s = 1", "fault.kind: expected one of kill, stop"},
           Case{"kind = 'kill'\nsite = 'rome'", "fault.at_s: expected"},
           Case{"kind = 'kill'\nat_s = 1", "fault.site: expected"},
           Case{"kind = 'kill'\nat_s = 1\nsite = 'oslo'", "no site is named 'oslo'"},
           Case{"kind = 'cut'\nat_s = 1\nsite = 'rome'", "fault.between: expected"},
           Case{"kind = 'cut'\nat_s = 1\nbetween = ['rome', 'rome']", "two different sites"},
           Case{"kind = 'mute'\nat_s = 1\nsite = 'rome'\nengine = 0", "of the whole site"},
           Case{"kind = 'kill'\nat_s = 1\nsite = 'rome'\nshare = 0.1", "fault.share: no such key"},
           Case{"kind = 'clock_jump'\nat_s = 1\nsite = 'rome'", "fault.jump_s: expected"},
           Case{"kind = 'control_down'\nat_s = 1\nsite = 'rome'", "has no place"},
       }) {
    const auto rules = read(std::string{"[[fault]]\n"} + c.text + "\n");
    ASSERT_FALSE(rules) << c.text;
    EXPECT_THAT(rules.error().message, testing::HasSubstr(c.error));
    EXPECT_THAT(rules.error().message, testing::HasSubstr("faults.toml:"));
  }
}

TEST(FaultTimeline, NamesTheKindThatAProgramCannotBringAbout) {
  const auto rules = read("[[fault]]\nkind = 'mute'\nat_s = 1\nsite = 'rome'\n");
  ASSERT_TRUE(rules);
  const std::vector<FaultKind> able{FaultKind::Kill};
  const auto checked = check_kinds(*rules, able, "perigee lab");
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().message, testing::HasSubstr("perigee lab can't bring about 'mute'"));
}

}  // namespace
}  // namespace perigee
