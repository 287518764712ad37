#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <stdexcept>

#include "base/log.h"
#include "ledger/sqlite/spare_space.h"
#include "ledger/sqlite/sqlite_ledger.h"
#include "ledger/sqlite/usage_outbox.h"

namespace perigee {
namespace {

constexpr std::size_t kPlaces = 32'768;
constexpr std::uint64_t kDiskBytes = 128U << 20;

// Names as long as they may be.
UsageRecord record(std::uint64_t number) {
  UsageRecord usage;
  usage.id = RecordId{1'700'000'000'000'000 + number, number * 0x9e3779b97f4a7c15U};
  usage.tenant = TenantId{std::string(kNameBytesMax, 't')};
  usage.key_id = std::string(kNameBytesMax, 'k');
  usage.model = ModelId{std::string(2 * kNameBytesMax, 'm')};
  usage.ingress_site = SiteId{std::string(kNameBytesMax, 'i')};
  usage.serving_site = SiteId{std::string(kNameBytesMax, 's')};
  usage.started = WallTime{1'700'000'000'000'000};
  usage.ended = WallTime{1'700'000'002'000'000};
  usage.prompt_tokens = 12'000;
  usage.completion_tokens = 4'000;
  usage.outcome = Outcome::Completed;
  return usage;
}

bool put(const char* path, const std::string& text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  return done;
}

// Whoever is not root may in a namespace of users too. It is told who he is: a user whom it does
// not know can create no file.
bool own_namespaces() {
  if (::unshare(CLONE_NEWNS) == 0) return true;
  const std::string user = std::to_string(::getuid());
  const std::string group = std::to_string(::getgid());
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put("/proc/self/setgroups", "deny") &&
         put("/proc/self/uid_map", user + " " + user + " 1") &&
         put("/proc/self/gid_map", group + " " + group + " 1");
}

// File systems that only this program sees; once, as what is entered can't be left.
bool own_file_systems() {
  static const bool own =
      own_namespaces() && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return own;
}

// A ledger on a small disk of its own.
class FullDiskTest : public testing::Test {
 protected:
  FullDiskTest()
      : folder_(testing::TempDir() + "perigee-full-disk-" + std::to_string(::getpid()) + "-" +
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::create_directories(folder_);
  }
  ~FullDiskTest() override {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    std::filesystem::remove_all(folder_);
  }
  void SetUp() override {
    const std::string size = "size=" + std::to_string(kDiskBytes);
    mounted_ =
        own_file_systems() && ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, size.c_str()) == 0;
    if (!mounted_) GTEST_SKIP() << "this system lets nobody mount a file system of his own";
  }
  std::string path() const { return folder_ + "/usage.db"; }
  std::string spare() const { return path() + ".spare"; }
  std::unique_ptr<SqliteLedger> open(
      std::uint64_t spare_bytes = SqliteLedgerOptions{}.spare_bytes) {
    SqliteLedgerOptions options;
    options.retry_time = milliseconds{10};
    options.spare_bytes = spare_bytes;
    auto ledger = SqliteLedger::open(path(), options);
    if (!ledger) throw std::runtime_error{ledger.error().message};
    return std::move(*ledger);
  }
  void fill() {
    const int file = ::open((folder_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_GE(file, 0);
    static const std::array<char, 4096> kBytes{};
    while (::write(file, kBytes.data(), kBytes.size()) > 0) {
    }
    ::close(file);
  }
  static void reserve(SqliteLedger& ledger) {
    for (std::uint64_t i = 0; i < kPlaces; ++i) ASSERT_TRUE(ledger.reserve(record(i)));
  }
  static void settle(SqliteLedger& ledger) {
    for (std::uint64_t i = 0; i < kPlaces; ++i) {  // each touches another page than the last
      ledger.settle(std::make_unique<UsageRecord>(record(i * 7919 % kPlaces)));
    }
  }
  std::size_t stored() {
    auto outbox = UsageOutbox::open(path());
    if (!outbox) throw std::runtime_error{outbox.error().message};
    auto batch = (*outbox)->next(kPlaces + 1);
    if (!batch) throw std::runtime_error{batch.error().message};
    return batch->records.size();
  }
  std::string folder_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, WhatWaitsInAllPlacesIsStoredInTheSpareSpaceAtTheEnd) {
  auto ledger = open();
  EXPECT_EQ(std::filesystem::file_size(spare()), SqliteLedgerOptions{}.spare_bytes);
  fill();
  reserve(*ledger);
  for (std::uint64_t i = 0; i < kPlaces; ++i) ledger->note(record(i));
  settle(*ledger);
  testing::internal::CaptureStderr();
  EXPECT_EQ(ledger->close(), 0U);
  ledger.reset();
  log::flush();
  const std::string lines = testing::internal::GetCapturedStderr();
  EXPECT_NE(lines.find("usage records stored after all"), std::string::npos) << lines;
  EXPECT_FALSE(std::filesystem::exists(spare()));
  EXPECT_EQ(stored(), kPlaces);
  std::filesystem::remove(folder_ + "/filler");
  open();  // holds it again
  EXPECT_EQ(std::filesystem::file_size(spare()), SqliteLedgerOptions{}.spare_bytes);
}

TEST_F(FullDiskTest, AsMuchIsStoredAsThereIsRoomForAndTheRestCounted) {
  auto ledger = open(8U << 20);
  fill();
  reserve(*ledger);
  settle(*ledger);
  const std::uint64_t lost = ledger->close();
  EXPECT_GT(lost, 0U);
  EXPECT_LT(lost, kPlaces);
  ledger.reset();
  EXPECT_EQ(stored() + lost, kPlaces);
}

TEST_F(FullDiskTest, OpensWithoutRoomForTheSpareSpaceAndAsMuchAgain) {
  auto ledger = open(kDiskBytes / 3 * 2);
  EXPECT_FALSE(std::filesystem::exists(spare()));
  ASSERT_TRUE(ledger->reserve(record(1)));
  ledger->settle(std::make_unique<UsageRecord>(record(1)));
  EXPECT_EQ(ledger->close(), 0U);
  ledger.reset();
  EXPECT_EQ(stored(), 1U);
}

TEST_F(FullDiskTest, WhatIsHeldStaysHeldThoughTheDiskIsFull) {
  ASSERT_TRUE(SpareSpace{spare()}.hold(32U << 20));
  fill();
  EXPECT_TRUE(SpareSpace{spare()}.hold(32U << 20));
  EXPECT_EQ(std::filesystem::file_size(spare()), 32U << 20);
}

TEST_F(FullDiskTest, GivesNothingUpWhileTheDiskTakesAll) {
  auto ledger = open();
  ASSERT_TRUE(ledger->reserve(record(1)));
  ledger->settle(std::make_unique<UsageRecord>(record(1)));
  ledger.reset();
  EXPECT_TRUE(std::filesystem::exists(spare()));
}

}  // namespace
}  // namespace perigee
