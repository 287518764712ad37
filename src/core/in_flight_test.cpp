#include "core/in_flight.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace perigee {
namespace {

constexpr Instant kStart{seconds{100}};

AttemptRecord of_tokens(std::uint32_t tokens) {
  AttemptRecord record;
  record.tokens = tokens;
  return record;
}

TEST(InFlightTable, CountsUntilTheFirstTokenAndTheEnd) {
  InFlightTable table{10};
  InFlightCounters own;
  const AttemptTicket ticket = table.start(of_tokens(100), own, {}, kStart);
  EXPECT_EQ(own.unseen_tokens, 100U);
  table.prefilled(ticket, &own, kStart);
  table.prefilled(ticket, &own, kStart);
  EXPECT_EQ(own.unseen_tokens, 0U);
  EXPECT_EQ(own.unseen_requests, 1U);
  table.end(ticket, &own, kStart);
  table.end(ticket, &own, kStart);
  EXPECT_EQ(own.requests, 0U);
  EXPECT_EQ(own.unseen_requests, 0U);
  EXPECT_EQ(table.find(ticket), nullptr);
}

TEST(InFlightTable, GivesNoTicketTwice) {
  InFlightTable table{1};
  InFlightCounters own;
  const AttemptTicket first = table.start(of_tokens(1), own, {}, kStart);
  EXPECT_EQ(table.start(of_tokens(1), own, {}, kStart), 0U);  // full
  table.end(first, &own, kStart);
  const AttemptTicket second = table.start(of_tokens(1), own, {}, kStart);
  EXPECT_NE(second, first);
  table.end(first, &own, kStart);
  EXPECT_EQ(table.size(), 1U);
  for (const AttemptTicket nonsense : {AttemptTicket{0}, AttemptTicket{99}, ~AttemptTicket{0}}) {
    EXPECT_EQ(table.find(nonsense), nullptr);
    table.end(nonsense, &own, kStart);
  }
  EXPECT_EQ(own.requests, 1U);
}

TEST(InFlightTable, ReportCoversWhatHadArrived) {
  InFlightTable table{10};
  InFlightCounters own;
  const AttemptTicket near = table.start(of_tokens(10), own, milliseconds{5}, kStart);
  const AttemptTicket far = table.start(of_tokens(200), own, milliseconds{50}, kStart);
  table.report(own, kStart + milliseconds{5});
  EXPECT_EQ(own.unseen_tokens, 210U);
  table.report(own, kStart + milliseconds{6});
  EXPECT_EQ(own.unseen_tokens, 200U);
  EXPECT_EQ(own.unseen_requests, 1U);
  table.end(near, &own, kStart + milliseconds{40});
  EXPECT_EQ(own.prefilled_tokens, 10U);
  EXPECT_EQ(own.ended_requests, 1U);
  table.end(far, &own, kStart + milliseconds{200});
  EXPECT_EQ(own.unseen_tokens, 0U);
  EXPECT_EQ(own.prefilled_tokens, 10U);
  table.report(own, kStart + milliseconds{300});
  EXPECT_EQ(own.prefilled_tokens, 0U);
  EXPECT_EQ(own.ended_requests, 0U);
}

TEST(InFlightTable, FirstTokenThatLeftBeforeTheReportTakesNothingFromIt) {
  InFlightTable table{10};
  InFlightCounters own;
  const AttemptTicket ticket = table.start(of_tokens(10), own, milliseconds{20}, kStart);
  table.report(own, kStart + milliseconds{60});  // its prefill ended at 50: not in this queue
  table.prefilled(ticket, &own, kStart + milliseconds{70});
  EXPECT_EQ(own.prefilled_tokens, 0U);
}

TEST(InFlightTable, ForgetsWorkOfACandidateThatIsGone) {
  InFlightTable table{10};
  AttemptTicket a = 0;
  AttemptTicket b = 0;
  {
    InFlightCounters gone;
    a = table.start(of_tokens(10), gone, {}, kStart);
    b = table.start(of_tokens(10), gone, {}, kStart);
  }
  table.end(a, nullptr, kStart);
  InFlightCounters next;
  const AttemptTicket c = table.start(of_tokens(5), next, {}, kStart);
  table.end(b, nullptr, kStart);
  table.report(next, kStart + seconds{1});
  table.end(c, &next, kStart + seconds{2});
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(next.requests, 0U);
}

// Against plain book-keeping: a list of attempts with their facts.
TEST(InFlightTable, AgreesWithPlainBookKeepingOnRandomHistories) {
  struct Fact {
    AttemptTicket ticket;
    Instant arrives;
    std::uint32_t tokens;
    bool seen = false;
    bool prefilled = false;
  };
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random{seed};
    InFlightTable table{64};
    InFlightCounters own;
    std::vector<Fact> facts;
    Instant now = kStart;
    Instant reported = kStart;
    for (int step = 0; step < 500; ++step) {
      now += milliseconds{random.below(20)};
      const std::uint64_t what = random.below(4);
      if (what == 0) {
        const auto tokens = static_cast<std::uint32_t>(1 + random.below(1000));
        const Duration one_way = milliseconds{random.below(30)};
        const AttemptTicket ticket = table.start(of_tokens(tokens), own, one_way, now);
        ASSERT_EQ(ticket == 0, facts.size() >= 64);
        if (ticket != 0) facts.push_back({ticket, now + one_way, tokens});
      } else if (what == 1) {
        reported = std::max(reported, now - milliseconds{random.below(100)});
        table.report(own, reported);
        for (Fact& fact : facts) fact.seen = fact.seen || fact.arrives < reported;
      } else if (!facts.empty()) {
        const std::size_t i = random.below(facts.size());
        if (what == 2) {
          table.prefilled(facts[i].ticket, &own, now);
          facts[i].prefilled = true;
        } else {
          table.end(facts[i].ticket, &own, now);
          facts.erase(facts.begin() + static_cast<std::ptrdiff_t>(i));
        }
      }
      std::uint64_t tokens = 0;
      std::uint32_t unseen = 0;
      for (const Fact& fact : facts) {
        unseen += fact.seen ? 0 : 1;
        tokens += fact.seen || fact.prefilled ? 0 : fact.tokens;
      }
      ASSERT_EQ(own.requests, facts.size()) << "seed " << seed << " step " << step;
      ASSERT_EQ(own.unseen_requests, unseen) << "seed " << seed << " step " << step;
      ASSERT_EQ(own.unseen_tokens, tokens) << "seed " << seed << " step " << step;
    }
    for (const Fact& fact : facts) table.end(fact.ticket, &own, now);
    EXPECT_EQ(own.requests, 0U);
    EXPECT_EQ(own.unseen_tokens, 0U);
    EXPECT_EQ(own.unseen_first, 0U);
    EXPECT_EQ(table.size(), 0U);
  }
}

}  // namespace
}  // namespace perigee
