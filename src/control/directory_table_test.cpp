#include "control/directory_table.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "control/control_test_grid.h"
#include "directory/memory/memory_directory.h"
#include "directory/records_json.h"

namespace perigee::control {
namespace {

constexpr std::size_t kPage = 4096;

// Counts what is read of the history.
class CountingDirectory final : public Directory {
 public:
  explicit CountingDirectory(std::size_t& rows_read) : rows_read_(rows_read) {}
  std::uint64_t revision() const override { return rows_.revision(); }
  Result<std::vector<DirectoryChange>> list() const override { return rows_.list(); }
  Result<std::vector<DirectoryChange>> since(std::uint64_t revision,
                                             std::size_t bytes_max) const override {
    auto changes = rows_.since(revision, bytes_max);
    if (changes) rows_read_ += changes->size();
    return changes;
  }
  std::uint64_t compacted() const override { return rows_.compacted(); }
  Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes) override {
    return rows_.apply(writes);
  }

 private:
  std::size_t& rows_read_;
  MemoryDirectory rows_;
};

class DirectoryTableTest : public testing::Test {
 protected:
  static DirectoryWrite tenant(std::size_t number) {
    TenantRecord record;
    record.id = TenantId{"t" + std::to_string(number)};
    return {std::string{row_kind::kTenant}, record.id.str(), to_row(record), kAnyRevision};
  }
  std::unique_ptr<DirectoryTable> load(std::unique_ptr<Directory> directory) {
    auto table = DirectoryTable::load(std::move(directory), clock_, "test");
    EXPECT_TRUE(table) << table.error().message;
    return std::move(*table);
  }
  // Reads all that came after `from`, page by page; gives the revisions.
  static std::vector<std::uint64_t> follow(const DirectoryTable& table, std::uint64_t from) {
    std::vector<std::uint64_t> revisions;
    while (from != table.snapshot().revision) {
      const auto page = table.events_since(from, kPage);
      if (!page || page->empty()) {
        ADD_FAILURE() << "the events end at revision " << from;
        break;
      }
      std::size_t bytes = 0;
      for (const auto& event : *page) {
        EXPECT_LT(bytes, 4 * kPage) << "of a page that goes on";
        bytes += event.text->size();
        revisions.push_back(event.revision);
      }
      from = revisions.back();
    }
    return revisions;
  }

  ManualClock clock_;
  std::size_t rows_read_ = 0;
};

TEST_F(DirectoryTableTest, WhoCatchesUpFromFarBehindCostsEachRowOnce) {
  constexpr std::size_t kRevisions = 3000;
  auto directory = std::make_unique<CountingDirectory>(rows_read_);
  for (std::size_t i = 0; i < kRevisions; ++i) ASSERT_TRUE(directory->apply({tenant(i)}));
  const auto table = load(std::move(directory));
  EXPECT_TRUE(table->check_since(0));
  EXPECT_EQ(rows_read_, 0U) << "whether it may is known without reading";
  const auto revisions = follow(*table, 0);
  EXPECT_EQ(revisions.size(), table->snapshot().revision) << "none is missing";
  EXPECT_TRUE(std::ranges::is_sorted(revisions));
  const std::size_t of_the_start = 4;  // the grid's name, its epoch twice, a generation
  EXPECT_LE(rows_read_, kRevisions + of_the_start);
}

TEST_F(DirectoryTableTest, RecentEventsComeInPagesAndWithoutReading) {
  const auto table = load(std::make_unique<CountingDirectory>(rows_read_));
  const std::uint64_t start = table->snapshot().revision;
  for (std::size_t i = 0; i < 300; ++i) ASSERT_TRUE(table->apply({tenant(i)}));
  EXPECT_EQ(table->events_since(start, 0)->size(), 1U) << "one at least";
  EXPECT_LT(table->events_since(start, kPage)->size(), 100U);
  EXPECT_EQ(follow(*table, start).size(), 300U);
  EXPECT_EQ(rows_read_, 0U);
}

TEST_F(DirectoryTableTest, MayFollowIsWhatFollowingSays) {
  constexpr std::size_t kRevisions = 5000;
  auto directory = std::make_unique<MemoryDirectory>(DirectoryLimits{.history_max = 2000});
  for (std::size_t i = 0; i < kRevisions; ++i) ASSERT_TRUE(directory->apply({tenant(i)}));
  const auto table = load(std::move(directory));
  const std::uint64_t newest = table->snapshot().revision;
  for (std::uint64_t from = 0; from < newest + 3; ++from) {
    const auto events = table->events_since(from, 0);
    const auto may = table->check_since(from);
    ASSERT_EQ(may.has_value(), events.has_value()) << from;
    if (!may) EXPECT_EQ(may.error().code, Code::FailedPrecondition) << from;
  }
  EXPECT_FALSE(table->check_since(0));
  EXPECT_TRUE(table->check_since(newest));
  EXPECT_FALSE(table->check_since(~std::uint64_t{0}));
}

TEST_F(DirectoryTableTest, AllWhoAskForTheSnapshotShareItsText) {
  const auto table = load(std::make_unique<MemoryDirectory>());
  const auto first = table->snapshot_json();
  EXPECT_EQ(first, table->snapshot_json()) << "the same text, not an equal one";
  ASSERT_TRUE(table->apply({tenant(1)}));
  EXPECT_EQ(first->find(R"("t1")"), std::string::npos) << "whoever still sends it has it whole";
  EXPECT_NE(table->snapshot_json()->find(R"("t1")"), std::string::npos);
}

class RestoredDirectoryTest : public testing::Test {
 protected:
  // One start of control.
  Result<std::unique_ptr<DirectoryTable>> start(bool restored) {
    auto audit = AuditLog::open(folder_.file("audit.log"));
    EXPECT_TRUE(audit) << audit.error().message;
    return DirectoryTable::load(std::make_unique<FailingDirectory>(rows_, fails_), clock_, "test",
                                restored, audit->get());
  }
  std::vector<std::string> audited() {
    std::vector<std::string> lines;
    const auto checked = check_audit_file(folder_.file("audit.log"),
                                          [&](std::string_view line) { lines.emplace_back(line); });
    EXPECT_TRUE(checked) << checked.error().message;
    return lines;
  }

  TestFolder folder_;
  ManualClock clock_;
  MemoryDirectory rows_;
  bool fails_ = false;
};

TEST_F(RestoredDirectoryTest, AStartAfterARestoreIsALineOfTheAuditLogAndAnotherIsNone) {
  ASSERT_TRUE(start(false));
  ASSERT_TRUE(start(false));
  EXPECT_TRUE(audited().empty());
  const auto table = start(true);
  ASSERT_TRUE(table);
  ASSERT_TRUE(start(false));
  const auto lines = audited();
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(json_text(lines[0], "actor"), "control");
  EXPECT_EQ(json_text(lines[0], "from"), "--restored");
  EXPECT_EQ(json_text(lines[0], "action"), "restore directory");
  EXPECT_EQ(json_text(lines[0], "name"), "test");
  const std::string revision = std::to_string((*table)->snapshot().revision);
  EXPECT_NE(lines[0].find("\"revision\":" + revision + ","), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find((*table)->snapshot().epoch), std::string::npos) << lines[0];
}

TEST_F(RestoredDirectoryTest, ARestoreThatCouldNotBeStoredIsSaidToHaveFailed) {
  ASSERT_TRUE(start(false));
  fails_ = true;
  EXPECT_EQ(start(true).error().code, Code::Unavailable);
  const auto lines = audited();
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(json_text(lines[1], "failed"), "the disk is full");
}

}  // namespace
}  // namespace perigee::control
