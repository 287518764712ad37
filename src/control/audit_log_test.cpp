#include "control/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace {
bool sync_fails = false;
bool truncate_fails = false;

int disk_error() {
  errno = EIO;
  return -1;
}
}  // namespace

// The program's own, before the C library's: a disk that fails when the test says so.
extern "C" int fdatasync(int fd) {
  return sync_fails ? disk_error() : static_cast<int>(::syscall(SYS_fdatasync, fd));
}
extern "C" int ftruncate(int fd, off_t size) noexcept {
  return truncate_fails ? disk_error() : static_cast<int>(::syscall(SYS_ftruncate, fd, size));
}

namespace perigee::control {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AuditLogTest : public ::testing::Test {
 protected:
  AuditLogTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "audit-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    path = folder + "/audit.log";
  }
  ~AuditLogTest() override { std::filesystem::remove_all(folder); }

  static AuditEntry entry(std::uint64_t revision) {
    AuditEntry entry;
    entry.time = WallTime{1790000000000000};
    entry.actor = "key_operator";
    entry.from = "loopback";
    entry.action = "put key";
    entry.name = "key_" + std::to_string(revision);
    entry.revision = revision;
    entry.writes = {{"key", entry.name, R"({"id":"key_1","hash":"c0ffee","tenant":"acme"})", 0}};
    return entry;
  }
  void write(std::uint64_t count) const {
    const auto log = AuditLog::open(path).value();
    for (std::uint64_t i = 0; i < count; ++i) {
      ASSERT_TRUE(log->record(entry(log->end().lines + 1)));
    }
  }
  std::vector<std::string> lines() const {
    std::ifstream file{path};
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  void put(const std::vector<std::string>& all) const {
    std::ofstream file{path};
    for (const std::string& line : all) file << line << "\n";
  }
  std::string failure() const {
    const auto end = check_audit_file(path);
    return end ? "" : end.error().message;
  }

  std::string folder;
  std::string path;
};

TEST_F(AuditLogTest, KeepsWhoDidWhatWhenAndFromWhere) {
  write(3);
  write(2);  // goes on after a restart
  const auto end = check_audit_file(path);
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_EQ(end->lines, 5U);
  EXPECT_THAT(lines()[4], HasSubstr(R"("seq":5,"time_us":1790000000000000,"actor":"key_operator",)"
                                    R"("from":"loopback","action":"put key","name":"key_5")"));
}

TEST_F(AuditLogTest, HoldsNoHashOfAKey) {
  write(1);
  EXPECT_THAT(lines()[0], HasSubstr(R"("tenant":"acme")"));
  EXPECT_THAT(lines()[0], Not(HasSubstr("c0ffee")));
}

TEST_F(AuditLogTest, TellsTheLineThatWasChanged) {
  write(5);
  auto all = lines();
  all[2].replace(all[2].find("key_operator"), 12, "key_nobody__");
  put(all);
  EXPECT_THAT(failure(), HasSubstr("line 3 was changed"));
  EXPECT_THAT(AuditLog::open(path).error().message, HasSubstr("line 3 was changed"));
}

TEST_F(AuditLogTest, TellsWhereALineWasRemovedPutInOrMoved) {
  write(5);
  const auto all = lines();
  auto changed = all;
  changed.erase(changed.begin() + 1);
  put(changed);
  EXPECT_THAT(failure(), HasSubstr("line 2 does not follow"));
  changed = all;
  changed.insert(changed.begin() + 3, all[0]);
  put(changed);
  EXPECT_THAT(failure(), HasSubstr("line 4 does not follow"));
  changed = all;
  std::swap(changed[1], changed[2]);
  put(changed);
  EXPECT_THAT(failure(), HasSubstr("line 2 does not follow"));
}

// Whoever changes a line and mends its hash breaks the next one.
TEST_F(AuditLogTest, TellsALineThatWasMadeAnew) {
  write(4);
  auto all = lines();
  AuditEnd before;
  ASSERT_TRUE(check_audit_line(all[0], before));
  std::string forged = audit_line(entry(99), before);
  forged.pop_back();
  all[1] = forged;
  put(all);
  EXPECT_THAT(failure(), HasSubstr("line 3 does not follow"));
}

TEST_F(AuditLogTest, EveryChangedByteShows) {
  write(2);
  const auto all = lines();
  for (std::size_t i = 0; i < all[0].size(); ++i) {
    auto changed = all;
    changed[0][i] = static_cast<char>(changed[0][i] ^ 1);
    put(changed);
    EXPECT_THAT(failure(), HasSubstr("tampered audit log: line")) << i;
  }
}

TEST_F(AuditLogTest, MendsALineThatACrashTore) {
  write(3);
  std::ofstream{path, std::ios::app} << R"({"seq":4,"time_us":17)";
  EXPECT_THAT(failure(), HasSubstr("line 4 is torn"));
  write(1);
  EXPECT_EQ(check_audit_file(path)->lines, 4U);
}

// Written whole, but not known to be on the disk: not recorded.
TEST_F(AuditLogTest, LeavesNothingOfALongLineWhoseSyncFailedBehindAShorterOne) {
  write(1);
  const auto log = AuditLog::open(path).value();
  AuditEntry longer = entry(2);
  longer.name = std::string(300, 'n');
  sync_fails = true;
  EXPECT_EQ(log->record(longer).error().code, Code::Unavailable);
  EXPECT_EQ(lines().size(), 1U);
  sync_fails = false;
  ASSERT_TRUE(log->record(entry(2)));
  EXPECT_EQ(failure(), "");
  EXPECT_EQ(lines().size(), 2U);
}

TEST_F(AuditLogTest, RecordsNothingUntilAFailedLineIsCutOff) {
  const auto log = AuditLog::open(path).value();
  AuditEntry longer = entry(1);
  longer.name = std::string(300, 'n');
  sync_fails = truncate_fails = true;
  EXPECT_FALSE(log->record(longer));
  sync_fails = false;
  EXPECT_EQ(log->record(entry(1)).error().code, Code::Unavailable);
  truncate_fails = false;
  ASSERT_TRUE(log->record(entry(1)));
  EXPECT_EQ(failure(), "");
  EXPECT_EQ(lines().size(), 1U);
}

TEST_F(AuditLogTest, SaysThatAChangeWasNotMadeBeforeAnythingElse) {
  const auto log = AuditLog::open(path).value();
  ASSERT_TRUE(log->record(entry(1)));
  sync_fails = true;
  log->record_failure(entry(1), "the disk is full");
  EXPECT_FALSE(log->record(entry(1)));
  sync_fails = false;
  ASSERT_TRUE(log->record(entry(1)));
  ASSERT_EQ(failure(), "");
  ASSERT_EQ(lines().size(), 3U);
  EXPECT_THAT(lines()[1], HasSubstr(R"("revision":1,"failed":"the disk is full")"));
  EXPECT_THAT(lines()[2], Not(HasSubstr("failed")));
}

TEST_F(AuditLogTest, SaysHowManyWritesThereWereWhenItDoesNotShowThemAll) {
  const auto log = AuditLog::open(path).value();
  AuditEntry many = entry(1);
  many.writes.resize(70, many.writes[0]);
  ASSERT_TRUE(log->record(many));
  EXPECT_THAT(lines()[0], HasSubstr(R"("write_count":70)"));
}

TEST_F(AuditLogTest, IsWrittenByOneProcess) {
  const auto log = AuditLog::open(path).value();
  EXPECT_THAT(AuditLog::open(path).error().message, HasSubstr("another process"));
}

}  // namespace
}  // namespace perigee::control
