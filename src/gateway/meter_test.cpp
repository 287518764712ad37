#include "gateway/meter.h"

#include <gtest/gtest.h>

#include <vector>

namespace perigee {
namespace {

constexpr std::int64_t kHour_us = 3'600'000'000;

// Both clocks by hand, each for itself.
class TwoClocks final : public Clock {
 public:
  Instant now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_.micros += by / microseconds{1};
  }
  void set_calendar(std::int64_t by_us) { wall_.micros += by_us; }

 private:
  Instant now_{};
  WallTime wall_{100 * kHour_us};
};

class Notes final : public Ledger {
 public:
  Result<> reserve(const UsageRecord&) override { return {}; }
  void note(const UsageRecord& so_far) override { noted.push_back(so_far); }
  void settle(std::unique_ptr<UsageRecord> record) noexcept override {
    settled = std::move(record);
  }
  std::vector<UsageRecord> noted;
  std::unique_ptr<UsageRecord> settled;
};

class MeterTest : public testing::Test {
 protected:
  Meter open() {
    auto record = std::make_unique<UsageRecord>();
    record->started = clock_.wall();
    return Meter::open(ledger_, clock_, std::move(record)).value();
  }
  // A token every 100 ms.
  void stream(Meter& meter, Duration time) {
    for (Duration passed{}; passed < time; passed += milliseconds{100}) {
      clock_.advance(milliseconds{100});
      meter.deliver(1);
    }
  }
  TwoClocks clock_;
  Notes ledger_;
};

TEST_F(MeterTest, NotesALongStreamEveryInterval) {
  Meter meter = open();
  stream(meter, 3 * kNoteInterval);
  ASSERT_EQ(ledger_.noted.size(), 3U);
  EXPECT_EQ(ledger_.noted[0].completion_tokens, 20U);
  EXPECT_EQ(ledger_.noted[2].completion_tokens, 60U);
  EXPECT_EQ(ledger_.noted[2].ended, clock_.wall());
}

TEST_F(MeterTest, GoesOnNotingWhenTheCalendarClockIsSet) {
  for (const std::int64_t by_us : {-kHour_us, kHour_us}) {
    ledger_.noted.clear();
    {
      Meter meter = open();
      stream(meter, kNoteInterval);
      clock_.set_calendar(by_us);
      stream(meter, 2 * kNoteInterval);
      ASSERT_EQ(ledger_.noted.size(), 3U) << by_us;
      EXPECT_EQ(ledger_.noted[2].completion_tokens, 60U);
      EXPECT_EQ(ledger_.noted[2].ended, clock_.wall());
    }
    EXPECT_EQ(ledger_.settled->completion_tokens, 60U);
  }
}

}  // namespace
}  // namespace perigee
