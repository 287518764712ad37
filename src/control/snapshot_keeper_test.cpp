#include "control/snapshot_keeper.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "control/control_test_grid.h"
#include "control/snapshot_file.h"

namespace perigee::control {
namespace {

namespace fs = std::filesystem;

// A disk that takes nothing is a folder where the file should be: its draft is written, and can't
// be put in its place.
class SnapshotKeeperTest : public testing::Test {
 protected:
  void break_disk() { fs::create_directory(path_); }
  void mend_disk() { fs::remove(path_); }

  static SnapshotKeeper::Snapshot revision(std::uint64_t number) {
    auto snapshot = std::make_shared<DirectorySnapshot>();
    snapshot->revision = number;
    snapshot->epoch = "epoch/generation";
    snapshot->grid = "test";
    return snapshot;
  }
  // Of the file; 0: there is none that can be read.
  std::uint64_t stored() const {
    std::vector<std::string> skipped;
    const auto loaded = load_snapshot(path_, skipped);
    return loaded ? loaded->revision : 0;
  }
  template <class Condition>
  bool until(Condition condition) const {
    const Instant limit = clock_.now() + seconds{20};
    while (!condition()) {
      if (clock_.now() > limit) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // True when a draft was there, and is no more: a try to store it has failed, or will.
  bool a_try_failed() const {
    return until([this] { return fs::remove(draft_); });
  }

  SystemClock clock_;
  TestFolder folder_;
  const std::string path_ = folder_.file("snapshot");
  const std::string draft_ = path_ + ".new";
};

TEST_F(SnapshotKeeperTest, WritesTheNewest) {
  {
    SnapshotKeeper keeper{path_};
    for (std::uint64_t number = 1; number <= 1000; ++number) keeper.keep(revision(number));
    EXPECT_TRUE(until([this] { return stored() == 1000; })) << stored();
    keeper.keep(revision(1001));
  }
  EXPECT_EQ(stored(), 1001U);
}

TEST_F(SnapshotKeeperTest, TriesAgainWithoutAnotherSnapshotWhenTheDiskFailed) {
  break_disk();
  SnapshotKeeper keeper{path_, milliseconds{20}};
  keeper.keep(revision(7));
  ASSERT_TRUE(a_try_failed());
  mend_disk();
  EXPECT_TRUE(until([this] { return stored() == 7; }));
}

TEST_F(SnapshotKeeperTest, HowManyComeWhileTheWriterStandsTheNewestIsWritten) {
  break_disk();
  SnapshotKeeper keeper{path_, milliseconds{500}};
  keeper.keep(revision(1));
  ASSERT_TRUE(a_try_failed());
  for (std::uint64_t number = 2; number <= 1000; ++number) keeper.keep(revision(number));
  mend_disk();
  EXPECT_TRUE(until([this] { return stored() == 1000; })) << stored();
}

TEST_F(SnapshotKeeperTest, AtTheEndItTriesOnceMoreWithoutWaiting) {
  break_disk();
  {
    SnapshotKeeper keeper{path_, std::chrono::hours{1}};
    keeper.keep(revision(7));
    ASSERT_TRUE(a_try_failed());
  }
  EXPECT_TRUE(fs::is_directory(path_)) << "a disk that fails to the end keeps nobody";
  fs::remove(draft_);
  {
    SnapshotKeeper keeper{path_, std::chrono::hours{1}};
    keeper.keep(revision(8));
    ASSERT_TRUE(a_try_failed());
    mend_disk();
  }
  EXPECT_EQ(stored(), 8U);
}

TEST_F(SnapshotKeeperTest, SaysOfAFailureOnceThatTheDiskFails) {
  break_disk();
  log::flush();  // what other tests said
  testing::internal::CaptureStderr();
  {
    SnapshotKeeper keeper{path_, milliseconds{1}};
    keeper.keep(revision(7));
    fs::file_time_type before;
    for (int tries = 0; tries < 3; ++tries) {
      EXPECT_TRUE(until([&] {
        std::error_code missing;
        const auto written = fs::last_write_time(draft_, missing);
        return !missing && std::exchange(before, written) != written;
      }));
    }
  }
  log::flush();
  const std::string lines = testing::internal::GetCapturedStderr();
  const std::size_t first = lines.find("could not be stored");
  EXPECT_NE(first, std::string::npos) << lines;
  EXPECT_EQ(lines.find("could not be stored", first + 1), std::string::npos) << lines;
}

}  // namespace
}  // namespace perigee::control
