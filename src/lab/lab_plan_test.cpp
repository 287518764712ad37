#include "lab/lab_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "lab/lab_requests.h"

namespace perigee::lab {
namespace {

TEST(LabPlan, ReadsGridWorkloadFaultsAndChecks) {
  const auto plan = parse_lab(R"(
title = "A try"
[grid]
sites = 4
seed = 9
[workload]
requests = 20
at_once = 5
ingress = ["cell-strasbourg"]
kinds = { guided = 1, stop = 3 }
classes = { realtime = 1 }
[checks]
gap_ms_p99_max = 800
routing_ms_max = 2000
[[fault]]
kind = "kill"
at_s = 1
for_s = 2
every_s = 1
sites = ["metro-paris", "metro-berlin"]
)",
                              "labs/try.toml");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->name, "try");
  EXPECT_EQ(plan->sites, 4U);
  EXPECT_EQ(plan->workload.at_once, 5U);
  EXPECT_EQ(plan->faults.size(), 1U);
  EXPECT_EQ(plan->checks.gap_ms_p99_max, 800);
  EXPECT_EQ(plan->checks.routing_ms_max, 2000);
  for (const LabRequest& request : make_requests(*plan, "m")) {
    EXPECT_TRUE(request.kind == RequestKind::Guided || request.kind == RequestKind::Stop);
    EXPECT_EQ(request.service_class, ServiceClass::Realtime);
  }
}

TEST(LabPlan, SaysWhatIsWrongAndWhere) {
  struct Case {
    const char* text;
    const char* error;
  };
  for (const Case& c : {
           Case{"", "workload: expected a [workload] section"},
           Case{"[workload]\nrequest = 3", "x.toml:2: workload.request: no such key"},
           Case{"[workload]\nat_once = 0", "x.toml:2: workload.at_once: expected"},
           Case{"[workload]\ningress = ['oslo']", "no site is named 'oslo'"},
           Case{"[workload]\nkinds = { greedy = 0 }", "workload.kinds: expected a weight above 0"},
           Case{"[workload]\n[[fault]]\nkind = 'mute'\nat_s = 1\nsite = 'metro-paris'",
                "perigee lab can't bring about 'mute'"},
       }) {
    const auto plan = parse_lab(c.text, "x.toml");
    ASSERT_FALSE(plan) << c.text;
    EXPECT_THAT(plan.error().message, testing::HasSubstr(c.error));
  }
}

TEST(LabPlan, ReadsAllLabsThatShip) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{PERIGEE_LABS}) {
    const auto plan = load_lab(entry.path().string());
    EXPECT_TRUE(plan) << plan.error().message;
    if (plan) EXPECT_FALSE(plan->title.empty()) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 9U);
}

TEST(LabRequests, AreTheSameForTheSameSeed) {
  LabPlan plan;
  plan.workload.kinds.fill(1);
  plan.workload.classes[2] = 1;
  const auto once = make_requests(plan, "m");
  const auto again = make_requests(plan, "m");
  plan.seed = 2;
  const auto other = make_requests(plan, "m");
  std::size_t same = 0;
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].body, again[i].body);
    if (once[i].body == other[i].body) ++same;
  }
  EXPECT_LT(same, once.size() / 2);
}

}  // namespace
}  // namespace perigee::lab
