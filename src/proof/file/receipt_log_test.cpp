#include "proof/file/receipt_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "base/random.h"
#include "proof/file/test_folder.h"
#include "proof/test_receipt.h"

namespace perigee::proof {
namespace {

using ::testing::HasSubstr;

const SiteId kSite{"metro-berlin"};

class ReceiptLogTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<ReceiptLog>> open() const {
    return ReceiptLog::open(folder.path(), "acme", kSite);
  }
  static Receipt receipt(const ReceiptLog& log, std::uint64_t leaf) {
    Receipt receipt = test_receipt(leaf);
    receipt.log = log.log_id();
    return receipt;
  }
  static ReceiptTexts next_texts(const ReceiptLog& log, std::size_t count) {
    ReceiptTexts texts;
    for (std::size_t i = 0; i < count; ++i) texts.add(receipt(log, log.leaves() + i));
    return texts;
  }
  static void add(ReceiptLog& log, std::size_t count) {
    ASSERT_TRUE(log.append(next_texts(log, count)));
  }
  void cut(std::string_view name, std::uintmax_t bytes) const {
    const std::string path = folder.file(name);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) - bytes);
  }

  TestFolder folder;
  TestSigner signer;
  WallTime now{1790000002000000};
};

TEST_F(ReceiptLogTest, ForgetsOldTextsInWholeFilesAndProvesWhatIsKeptAsBefore) {
  constexpr std::uint64_t kFile = ReceiptLog::kLeavesPerFile;
  const WallTime ended = test_receipt(0).ended;
  auto log = open().value();
  add(*log, 100);
  ASSERT_TRUE(log->sign(signer, now));
  const PublishedHead kept = log->head();
  add(*log, 2 * kFile - 100);
  ASSERT_TRUE(log->sign(signer, now));
  EXPECT_EQ(log->forget_before(ended).value(), 0U) << "none ended before that";
  EXPECT_EQ(log->forget_before(WallTime{ended.micros + 1}).value(), kFile)
      << "the file that is written stays, full or not";
  add(*log, 10);
  EXPECT_EQ(log->forget_before(WallTime{ended.micros + 1}).value(), kFile)
      << "all of it is signed, although the newest are not";
  ASSERT_TRUE(log->sign(signer, now));
  EXPECT_EQ(log->first_kept(), 2 * kFile);
  const std::uint64_t bytes = log->bytes();
  log.reset();
  log = open().value();
  EXPECT_EQ(log->first_kept(), 2 * kFile);
  EXPECT_EQ(log->bytes(), bytes);
  EXPECT_EQ(log->evidence(0).error().code, Code::NotFound);
  EXPECT_EQ(log->evidence(2 * kFile - 1).error().code, Code::NotFound);
  const auto verified = verify(log->evidence(2 * kFile + 5).value(), signer.trust);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->receipt.leaf, 2 * kFile + 5);
  const auto consistent = verify(kept, log->since(100).value(), signer.trust);
  ASSERT_TRUE(consistent) << consistent.error().message;
  add(*log, 5);
  ASSERT_TRUE(log->sign(signer, now));
  EXPECT_TRUE(verify(log->evidence(2 * kFile + 12).value(), signer.trust));
}

TEST_F(ReceiptLogTest, ShowsEveryReceiptThatItHolds) {
  auto log = open().value();
  for (const std::size_t count : {1UL, 7UL, 100UL, 1UL}) {
    add(*log, count);
    ASSERT_TRUE(log->sign(signer, now));
    for (std::uint64_t leaf = 0; leaf < log->leaves(); ++leaf) {
      const auto verified = verify(log->evidence(leaf).value(), signer.trust);
      ASSERT_TRUE(verified) << verified.error().message;
      EXPECT_EQ(verified->receipt.leaf, leaf);
    }
  }
  EXPECT_EQ(log->evidence(log->leaves()).error().code, Code::NotFound);
}

TEST_F(ReceiptLogTest, TellsNothingThatIsNotSigned) {
  auto log = open().value();
  add(*log, 3);
  EXPECT_EQ(log->evidence(0).error().code, Code::NotFound);
  ASSERT_TRUE(log->sign(signer, now));
  add(*log, 3);
  EXPECT_TRUE(log->evidence(2));
  EXPECT_EQ(log->evidence(3).error().code, Code::NotFound);
}

TEST_F(ReceiptLogTest, GoesOnWhereItStopped) {
  PublishedHead before;
  for (int run = 0; run < 5; ++run) {
    auto log = open().value();
    EXPECT_EQ(log->leaves(), 10U * static_cast<unsigned>(run));
    EXPECT_EQ(log->recovered(), 0U);
    if (run > 0) EXPECT_EQ(log->head().note, before.note);
    add(*log, 10);
    ASSERT_TRUE(log->sign(signer, now));
    if (run > 0) {
      const auto head =
          verify(before, log->since(10U * static_cast<unsigned>(run)).value(), signer.trust);
      EXPECT_TRUE(head) << head.error().message;
    }
    before = log->head();
  }
}

TEST_F(ReceiptLogTest, TakesOverWhatWasWrittenAndNotSigned) {
  {
    auto log = open().value();
    add(*log, 10);
    ASSERT_TRUE(log->sign(signer, now));
    add(*log, 5);
  }
  const auto log = open().value();
  EXPECT_EQ(log->leaves(), 15U);
  EXPECT_EQ(log->recovered(), 5U);
  ASSERT_TRUE(log->sign(signer, now));
  EXPECT_TRUE(verify(log->evidence(14).value(), signer.trust));
}

TEST_F(ReceiptLogTest, CutsOffWhatIsTorn) {
  for (const char* const torn : {"ends", "hashes", "leaves-0"}) {
    std::filesystem::remove_all(folder.path());
    {
      auto log = open().value();
      add(*log, 10);
      ASSERT_TRUE(log->sign(signer, now));
      add(*log, 5);
    }
    cut(torn, 5);
    auto log = open().value();
    // Hashes are made anew from the texts.
    EXPECT_EQ(log->leaves(), torn == std::string_view{"hashes"} ? 15U : 14U) << torn;
    add(*log, 3);
    ASSERT_TRUE(log->sign(signer, now));
    for (std::uint64_t leaf = 0; leaf < log->leaves(); ++leaf) {
      EXPECT_TRUE(verify(log->evidence(leaf).value(), signer.trust)) << torn << leaf;
    }
  }
}

TEST_F(ReceiptLogTest, CutsNothingOffBecauseTheDiskIsFull) {
  {
    auto log = open().value();
    add(*log, 10);
    ASSERT_TRUE(log->sign(signer, now));
    add(*log, 5);
  }
  struct rlimit usual{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &usual), 0);
  struct rlimit full = usual;
  full.rlim_cur = hash_count(10) * sizeof(Sha256) + 1;  // hashes are made anew from the texts
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const auto refused = open();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &usual), 0);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Unavailable);
  auto log = open().value();
  EXPECT_EQ(log->leaves(), 15U);
  ASSERT_TRUE(log->sign(signer, now));
  log.reset();
  log = open().value();
  EXPECT_TRUE(verify(log->evidence(14).value(), signer.trust));
}

TEST_F(ReceiptLogTest, DoesNotGoOnWhenLessIsThereThanWasSigned) {
  for (const char* const damaged : {"ends", "hashes", "leaves-0", "name"}) {
    std::filesystem::remove_all(folder.path());
    {
      auto log = open().value();
      add(*log, 10);
      ASSERT_TRUE(log->sign(signer, now));
    }
    if (damaged == std::string_view{"name"})
      std::filesystem::remove(folder.file("name"));
    else
      cut(damaged, 1);
    const auto log = open();
    ASSERT_FALSE(log) << damaged;
    EXPECT_EQ(log.error().code, Code::DataLoss);
    EXPECT_THAT(log.error().message, HasSubstr("would fork the log"));
  }
}

TEST_F(ReceiptLogTest, DoesNotGoOnFromChangedHashes) {
  {
    auto log = open().value();
    add(*log, 16);
    ASSERT_TRUE(log->sign(signer, now));
  }
  std::fstream file{folder.file("hashes"), std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(static_cast<std::streamoff>(hash_position(4, 0) * 32));
  file << 'x';
  file.close();
  EXPECT_EQ(open().error().code, Code::DataLoss);
}

TEST_F(ReceiptLogTest, IsOneSitesAndOneProcesss) {
  auto log = open().value();
  EXPECT_THAT(open().error().message, HasSubstr("another process"));
  log.reset();
  const auto other = ReceiptLog::open(folder.path(), "acme", SiteId{"metro-paris"});
  EXPECT_EQ(other.error().code, Code::FailedPrecondition);
}

TEST_F(ReceiptLogTest, FillsMoreThanOneFile) {
  constexpr std::size_t kMore = 3;
  auto log = open().value();
  add(*log, ReceiptLog::kLeavesPerFile - 2);
  add(*log, 2 + kMore);
  ASSERT_TRUE(log->sign(signer, now));
  log = nullptr;
  log = open().value();
  EXPECT_EQ(log->leaves(), ReceiptLog::kLeavesPerFile + kMore);
  for (std::uint64_t i = ReceiptLog::kLeavesPerFile - 3; i < log->leaves(); ++i) {
    EXPECT_TRUE(verify(log->evidence(i).value(), signer.trust)) << i;
  }
}

// A disk that is full just where one file ends and the next begins: what is tried again must not be
// there twice, else every later receipt stands in another place than it says.
TEST_F(ReceiptLogTest, AppendsNothingWhereTheNextFileCanNotBeMade) {
  constexpr std::uint64_t kFirst = ReceiptLog::kLeavesPerFile;
  const std::string next = folder.file("leaves-" + std::to_string(kFirst));
  auto log = open().value();
  add(*log, kFirst - 3);
  ASSERT_TRUE(log->sign(signer, now));
  const std::uint64_t bytes = log->bytes();
  std::filesystem::create_directory(next);  // in the way of the file
  const ReceiptTexts texts = next_texts(*log, 10);
  for (int round = 0; round < 2; ++round) {
    EXPECT_FALSE(log->append(texts));
    EXPECT_EQ(log->leaves(), kFirst - 3);
    EXPECT_EQ(log->bytes(), bytes);
  }
  std::filesystem::remove(next);
  ASSERT_TRUE(log->append(texts));
  ASSERT_TRUE(log->sign(signer, now));
  EXPECT_EQ(log->leaves(), kFirst + 7);
  add(*log, 2);
  ASSERT_TRUE(log->sign(signer, now));
  log.reset();
  log = open().value();
  for (std::uint64_t leaf = kFirst - 4; leaf < kFirst + 9; ++leaf) {
    const auto verified = verify(log->evidence(leaf).value(), signer.trust);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(verified->receipt.leaf, leaf);
  }
}

// A process writes and tells every head that it has signed; SIGKILL at any moment. What it told
// last must be the beginning of the log that is found.
TEST_F(ReceiptLogTest, NeverContradictsAHeadWhereverItIsKilled) {
  Random random{7};
  PublishedHead told;
  std::uint64_t leaves = 0;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto log = open().value();
      for (;;) {
        const ReceiptTexts texts = next_texts(*log, 1 + log->leaves() % 13);
        if (!log->append(texts) || !log->sign(signer, now)) ::_exit(1);
        const std::string line = to_json(LogEvidence{log->leaves(), {}, log->head()}) + "\n";
        if (::write(ends[1], line.data(), line.size()) < 0) ::_exit(1);
      }
    }
    ::close(ends[1]);
    // Kills after so many bytes of what it tells: at no chosen step of its work.
    std::string heard;
    std::array<char, 512> piece{};
    const std::size_t enough = 400 + random.below(6'000);
    while (heard.size() < enough) {
      const ssize_t got = ::read(ends[0], piece.data(), piece.size());
      ASSERT_GT(got, 0);
      heard.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    for (ssize_t got = 1; got > 0;) {
      got = ::read(ends[0], piece.data(), piece.size());
      if (got > 0) heard.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    heard.resize(heard.rfind('\n'));
    const auto last = parse_log_evidence(heard.substr(heard.rfind('\n') + 1));
    ASSERT_TRUE(last);
    auto log = open();
    ASSERT_TRUE(log) << log.error().message;
    ASSERT_TRUE((*log)->sign(signer, now));
    const auto now_signed = (*log)->since(last->since);
    ASSERT_TRUE(now_signed);
    const auto head = verify(last->head, *now_signed, signer.trust);
    ASSERT_TRUE(head) << head.error().message;
    if (round > 0) ASSERT_TRUE(verify(told, (*log)->since(leaves).value(), signer.trust));
    ASSERT_TRUE(verify((*log)->evidence((*log)->leaves() - 1).value(), signer.trust));
    told = (*log)->head();
    leaves = (*log)->leaves();
  }
}

}  // namespace
}  // namespace perigee::proof
