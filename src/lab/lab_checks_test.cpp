#include "lab/lab_checks.h"

#include <gtest/gtest.h>

namespace perigee::lab {
namespace {

Instant at(double ms) { return Instant{} + from_ms(ms); }

LabAnswer stream(const std::string& site, std::vector<double> texts) {
  LabAnswer answer;
  answer.complete = true;
  answer.site = site;
  answer.sent = at(0);
  for (const double ms : texts) answer.texts.push_back(at(ms));
  answer.ended = at(texts.back() + 1);
  return answer;
}

FaultEvent kill(const std::string& site, double ms) {
  FaultEvent event;
  event.fault.site = site;
  event.began = at(ms);
  return event;
}

TEST(SwitchGaps, AreThoseOverTheFaultOfTheSiteThatSpoke) {
  const std::vector<LabAnswer> answers = {stream("a", {10, 20, 170, 180}),
                                          stream("b", {10, 20, 90})};
  const std::vector<FaultEvent> faults = {kill("a", 30), kill("a", 60)};
  const std::vector<double> gaps = switch_gaps_ms(answers, faults);
  ASSERT_EQ(gaps.size(), 1U);
  EXPECT_DOUBLE_EQ(gaps[0], 150);
}

TEST(SwitchGaps, CountCutLinksOnTheWayOfTheAnswer) {
  std::vector<LabAnswer> answers = {stream("a", {10, 20, 170, 180})};
  answers[0].ingress = "i";
  const auto gaps_of = [&](FaultKind kind, const std::string& site, const std::string& other) {
    FaultEvent event = kill(site, 30);
    event.fault.kind = kind;
    event.fault.link = true;
    event.fault.other = other;
    return switch_gaps_ms(answers, std::vector<FaultEvent>{event}).size();
  };
  EXPECT_EQ(gaps_of(FaultKind::Cut, "i", "a"), 1U);
  EXPECT_EQ(gaps_of(FaultKind::Cut, "a", ""), 1U);
  EXPECT_EQ(gaps_of(FaultKind::Cut, "a", "b"), 0U);
  EXPECT_EQ(gaps_of(FaultKind::CutOneWay, "a", "i"), 1U);
  EXPECT_EQ(gaps_of(FaultKind::CutOneWay, "i", "a"), 0U) << "answers still arrive";
}

TEST(SwitchGaps, LeaveOutWhatHadNotBegunToSpeakOrHadAllSpoken) {
  const std::vector<LabAnswer> answers = {stream("a", {40, 50}), stream("a", {10, 20})};
  FaultEvent passed_over = kill("a", 45);
  passed_over.passed_over = "too few others serve";
  const std::vector<FaultEvent> faults = {kill("a", 30), passed_over};
  EXPECT_TRUE(switch_gaps_ms(answers, faults).empty());
}

}  // namespace
}  // namespace perigee::lab
