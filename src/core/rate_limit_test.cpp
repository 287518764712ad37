#include <gtest/gtest.h>

#include <array>
#include <deque>

#include "base/random.h"
#include "core/rate_book.h"
#include "core/rate_share.h"

namespace perigee {
namespace {

constexpr Instant kStart{seconds{1000}};

TEST(RateShare, WhatIsSpentComesBackAWindowLaterAndNeverEarlier) {
  RateShare share;
  share.grant(10);
  share.spend(4, kStart + milliseconds{999});
  EXPECT_EQ(share.available(kStart + seconds{1}), 6);
  share.spend(6, kStart + seconds{30});
  EXPECT_EQ(share.available(kStart + seconds{30}), 0);
  EXPECT_EQ(share.available(kStart + milliseconds{60'998}), 0);
  EXPECT_EQ(share.available(kStart + seconds{61}), 4);
  EXPECT_EQ(share.available(kStart + seconds{90}), 4);
  EXPECT_EQ(share.available(kStart + seconds{91}), 10);
  EXPECT_EQ(share.available(kStart + seconds{100'000}), 10);
}

TEST(RateShare, SaysWhenEnoughCanHaveComeBack) {
  RateShare share;
  share.grant(5);
  share.spend(3, kStart);
  share.spend(2, kStart + seconds{10});
  EXPECT_EQ(share.until(1, kStart + seconds{20}), seconds{41});
  EXPECT_EQ(share.until(4, kStart + seconds{20}), seconds{51});
  EXPECT_EQ(share.until_whole(kStart + seconds{20}), seconds{51});
  EXPECT_FALSE(share.until(6, kStart + seconds{20})) << "this site never holds so many";
  EXPECT_EQ(share.until(3, kStart + seconds{61}), Duration{});
}

TEST(RateShare, GivesBackOnlyWhatWasNotSpent) {
  RateShare share;
  share.grant(10);
  share.spend(4, kStart);
  EXPECT_EQ(share.give_back(2, kStart), 4);
  EXPECT_EQ(share.held(), 6);
  EXPECT_EQ(share.give_back(0, kStart + seconds{61}), 6);
  EXPECT_EQ(share.give_back(0, kStart + seconds{61}), 0);
}

TEST(RateShare, WhatIsReservedCountsFromTheBeginningToAWindowAfterItsEnd) {
  RateShare share;
  share.grant(100);
  share.reserve(60);
  EXPECT_EQ(share.available(kStart), 40);
  share.settle(60, 25, kStart + seconds{100});
  EXPECT_EQ(share.available(kStart + seconds{100}), 75);
  EXPECT_EQ(share.available(kStart + seconds{161}), 100);
  share.reserve(10);
  share.settle(10, 130, kStart + seconds{200});  // more than was foreseen, and than there is
  EXPECT_EQ(share.available(kStart + seconds{200}), -30);
}

class RateBookTest : public testing::Test {
 protected:
  RateBook::Limit limit_{10, false};
  RateBook book_{{}, kStart};
  std::map<std::string, std::uint64_t> numbers_;

  static RateLimitId id() { return {"key_1", RateUnit::Requests}; }
  Result<std::vector<RateGrant>> report(const std::string& site, std::int64_t held,
                                        std::int64_t wanted, Instant now, std::uint64_t life = 1) {
    RateReport told{life, ++numbers_[site], {{id(), held, wanted}}};
    return book_.take(SiteId{site}, told, [this](const RateLimitId&) { return limit_; }, now);
  }
  std::int64_t granted(const std::string& site, std::int64_t held, std::int64_t wanted, Instant now,
                       std::uint64_t life = 1) {
    auto grants = report(site, held, wanted, now, life);
    EXPECT_TRUE(grants);
    return grants ? grants->front().granted : -1;
  }
};

TEST_F(RateBookTest, GrantsNoMoreThanTheLimitAndWhatIsGivenBackAtOnce) {
  EXPECT_EQ(granted("a", 0, 7, kStart), 7);
  EXPECT_EQ(granted("b", 0, 7, kStart), 3);
  EXPECT_EQ(granted("c", 0, 1, kStart), 0);
  EXPECT_EQ(granted("a", 2, 0, kStart + seconds{1}), 0);
  EXPECT_EQ(granted("c", 0, 9, kStart + seconds{1}), 5);
  EXPECT_EQ(book_.held(id()), 10);
}

TEST_F(RateBookTest, AGrantWhoseAnswerWasLostIsFreeAgainWithTheNextReport) {
  EXPECT_EQ(granted("a", 0, 10, kStart), 10);
  EXPECT_EQ(granted("a", 0, 4, kStart), 4);
  EXPECT_EQ(granted("b", 0, 9, kStart), 6);
}

TEST_F(RateBookTest, ALateReportIsRefusedSinceItWouldForgetAGrant) {
  EXPECT_EQ(granted("a", 0, 5, kStart), 5);
  numbers_["a"] = 0;  // the first again
  EXPECT_EQ(report("a", 0, 5, kStart).error().code, Code::FailedPrecondition);
  EXPECT_EQ(book_.held(id()), 5);
}

// Else what the new process was granted would be taken for spent, and given to others while it may
// spend it still.
TEST_F(RateBookTest, AReportOfTheProcessBeforeThisOneIsRefused) {
  EXPECT_EQ(granted("a", 0, 2, kStart), 2);
  EXPECT_EQ(granted("a", 0, 5, kStart + seconds{1}, 2), 5);
  EXPECT_EQ(report("a", 2, 0, kStart + seconds{1}, 1).error().code, Code::FailedPrecondition);
  const Instant later = kStart + seconds{1} + kRateWindow;
  EXPECT_EQ(granted("b", 0, 9, later), 5) << "the new process holds the others for its term";
}

TEST_F(RateBookTest, ASiteThatSaysItRestartsWithoutEndFillsNothing) {
  std::size_t refused = 0;
  for (std::uint64_t life = 1; life <= 40; ++life) {
    RateReport lie{life, 1, {}};
    for (std::size_t i = 0; i < 1000; ++i) {
      lie.claims.push_back({{std::to_string(life * 1000 + i), RateUnit::Requests}, 1, 0});
    }
    const auto taken = book_.take(
        SiteId{"liar"}, lie, [](const RateLimitId&) { return RateBook::Limit{}; }, kStart);
    if (taken) continue;
    ++refused;
    EXPECT_EQ(taken.error().code, Code::ResourceExhausted);
  }
  EXPECT_GT(refused, 0U);
  EXPECT_LE(book_.accounts(), RateBook::kCoolingMax + RateBook::kClaimsMax);
  EXPECT_EQ(granted("a", 0, 7, kStart), 7) << "others are served";
  const RateReport honest{99, 1, {}};
  EXPECT_TRUE(book_.take(
      SiteId{"liar"}, honest, [](const RateLimitId&) { return RateBook::Limit{}; },
      kStart + kRateWindow));
}

TEST_F(RateBookTest, WhatNobodyHoldsAnyMoreIsForgottenAtOnce) {
  const auto none = [](const RateLimitId&) { return RateBook::Limit{}; };
  for (std::uint64_t number = 1; number <= 20; ++number) {
    RateReport report{1, number, {}};
    for (std::size_t i = 0; i < 100; ++i) {
      report.claims.push_back({{std::to_string(number * 1000 + i), RateUnit::Tokens}, 1, 0});
    }
    ASSERT_TRUE(book_.take(SiteId{"a"}, report, none, kStart));
    EXPECT_EQ(book_.accounts(), 100U);
  }
}

TEST_F(RateBookTest, WhatARestartedSiteMayHaveSpentIsFreeAWindowLater) {
  EXPECT_EQ(granted("a", 0, 8, kStart), 8);
  EXPECT_EQ(granted("a", 0, 8, kStart + seconds{10}, 2), 2);
  EXPECT_EQ(granted("b", 0, 8, kStart + seconds{69}), 0);
  EXPECT_EQ(granted("b", 0, 8, kStart + seconds{70}), 8);
}

TEST_F(RateBookTest, ASilentSiteHoldsItsShareForItsTermAndAWindow) {
  EXPECT_EQ(granted("a", 0, 8, kStart), 8);
  const Instant end = kStart + kRateTerm + kRateWindow;
  EXPECT_EQ(granted("b", 0, 9, end - seconds{1}), 2);
  EXPECT_EQ(granted("b", 2, 9, end), 8);
}

TEST_F(RateBookTest, ABookThatWasOpenedAnewGrantsOldLimitsOnceAllHaveReported) {
  book_ = RateBook{{SiteId{"a"}, SiteId{"b"}}, kStart};
  EXPECT_EQ(granted("b", 0, 5, kStart), 0);
  EXPECT_EQ(granted("a", 6, 0, kStart), 0);
  EXPECT_EQ(granted("b", 0, 5, kStart), 4);
  book_ = RateBook{{SiteId{"a"}, SiteId{"b"}}, kStart};
  limit_.is_new = true;
  EXPECT_EQ(granted("b", 0, 5, kStart), 5) << "nobody can hold any of a new limit";
  limit_.is_new = false;
  book_ = RateBook{{SiteId{"a"}, SiteId{"b"}}, kStart};
  EXPECT_EQ(granted("b", 0, 5, kStart + kRateTerm + kRateWindow), 5) << "nor of an old one by now";
}

TEST_F(RateBookTest, ALoweredLimitGrantsNothingUntilEnoughCameBack) {
  EXPECT_EQ(granted("a", 0, 8, kStart), 8);
  limit_.units = 4;
  EXPECT_EQ(granted("b", 0, 3, kStart), 0);
  EXPECT_EQ(granted("a", 2, 0, kStart), 0);
  EXPECT_EQ(granted("b", 0, 3, kStart), 2);
}

// Any reports at all, of processes that end, of sites that fall silent, and of claims named twice.
TEST(RateBook, KeepsTheSumOfTheSharesOfEachLimit) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random{seed};
    RateBook book{{}, kStart};
    Instant now = kStart;
    std::array<RateReport, 5> reports{};
    const auto below = [&random](double most) {
      return static_cast<std::int64_t>(random.uniform() * most);
    };
    const auto limits = [](const RateLimitId&) { return RateBook::Limit{100, false}; };
    for (int step = 0; step < 2000; ++step) {
      now = now + milliseconds{below(random.uniform() < 0.01 ? 200'000 : 2'000)};
      const auto site = static_cast<std::size_t>(below(5));
      RateReport& report = reports.at(site);
      if (random.uniform() < 0.1) ++report.life;
      if (random.uniform() < 0.95) ++report.number;  // else it comes twice
      report.claims.clear();
      for (std::int64_t left = below(6); left > 0; --left) {
        const RateUnit unit = random.uniform() < 0.5 ? RateUnit::Requests : RateUnit::Tokens;
        report.claims.push_back({{"key_" + std::to_string(below(4)), unit}, below(40), below(40)});
      }
      (void)book.take(SiteId{"s" + std::to_string(site)}, report, limits, now);
      ASSERT_TRUE(book.adds_up()) << "seed " << seed << " step " << step;
    }
    EXPECT_GT(book.accounts(), 0U);
    now = now + kRateTerm + kRateWindow;
    ASSERT_TRUE(book.take(SiteId{"new"}, {1, 1, {}}, limits, now));
    EXPECT_EQ(book.accounts(), 0U) << "seed " << seed;
  }
}

// Sites with load, lost and delayed answers, restarts and cuts: in no minute is more spent than the
// limit, and while all goes well most of it.
TEST(RateLimit, IsNeverExceededInAnyMinuteWhateverHappens) {
  constexpr std::int64_t kLimit = 40;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random{seed};
    struct Site {
      RateShare share;
      std::uint64_t life = 1;
      std::uint64_t number = 0;
      Instant until;  // of its term
      std::int64_t wanted = 0;
    };
    std::array<Site, 4> sites;
    RateBook book{{}, kStart};
    std::deque<Instant> spent;
    const bool faults = seed % 2 == 0;
    std::int64_t most = 0;
    for (int step = 0; step < 4000; ++step) {
      const Instant now = kStart + step * milliseconds{100};
      for (std::size_t i = 0; i < sites.size(); ++i) {
        Site& site = sites.at(i);
        if (faults && random.uniform() < 0.0005) {  // a new process
          const std::uint64_t life = site.life + 1;
          site = Site{};
          site.life = life;
        }
        if (now >= site.until) site.share.give_back(0, now);
        if (random.uniform() < 0.4) {
          if (site.share.available(now) > 0) {
            site.share.spend(1, now);
            spent.push_back(now);
          } else {
            ++site.wanted;
          }
        }
        if (random.uniform() >= 0.3) continue;
        const bool cut = faults && step / 300 % 4 == static_cast<int>(i);  // for half a minute
        site.share.give_back(site.share.spent_lately(now), now);
        const RateLimitId id{"k", RateUnit::Requests};
        const RateReport report{site.life, ++site.number, {{id, site.share.held(), site.wanted}}};
        site.wanted = 0;
        if (cut) continue;
        auto grants = book.take(
            SiteId{"s" + std::to_string(i)}, report,
            [](const RateLimitId&) { return RateBook::Limit{kLimit, false}; }, now);
        ASSERT_TRUE(grants);
        if (faults && random.uniform() < 0.1) continue;  // the answer is lost
        site.share.grant(grants->front().granted);
        site.until = now + kRateTerm;
      }
      while (!spent.empty() && spent.front() <= now - kRateWindow) spent.pop_front();
      const auto within = static_cast<std::int64_t>(spent.size());
      ASSERT_LE(within, kLimit) << "seed " << seed << " step " << step;
      most = std::max(most, within);
    }
    EXPECT_GE(most, kLimit * 9 / 10) << "seed " << seed << ": it must not be far fewer either";
  }
}

}  // namespace
}  // namespace perigee
