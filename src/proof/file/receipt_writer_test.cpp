#include "proof/file/receipt_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>

#include "proof/file/test_folder.h"
#include "proof/test_receipt.h"

namespace perigee::proof {
namespace {

// Once held it waits until it is let go, so that receipts gather behind it.
class HeldSigner final : public HeadSigner {
 public:
  explicit HeldSigner(HeadSigner& signer) : signer_(signer) {}
  PublishedHead sign(std::string_view origin, const TreeHead& tree, WallTime time) override {
    if (held_) free_.wait();
    return signer_.sign(origin, tree, time);
  }
  void hold() { held_ = true; }
  void let_go() { free_.count_down(); }

 private:
  HeadSigner& signer_;
  std::atomic<bool> held_ = false;
  std::latch free_{1};
};

class ReceiptWriterTest : public ::testing::Test {
 protected:
  std::unique_ptr<ReceiptWriter> open(ReceiptWriterOptions options = {}) {
    return open(options, signer);
  }
  std::unique_ptr<ReceiptWriter> open(ReceiptWriterOptions options, HeadSigner& by) {
    options.batch_time = milliseconds{1};
    return ReceiptWriter::open(folder.path(), "acme", SiteId{"metro-berlin"}, by, clock, options)
        .value();
  }
  std::unique_ptr<ReceiptDraft> draft(std::string body = R"({"model":"m"})") const {
    auto draft = std::make_unique<ReceiptDraft>();
    draft->facts = facts;
    draft->body = std::make_shared<const std::string>(std::move(body));
    draft->request_id = "req_1";
    draft->tenant = TenantId{"shop"};
    draft->outcome = Outcome::Completed;
    draft->response.update("answer");
    return draft;
  }
  static std::string give(ReceiptWriter& writer, std::unique_ptr<ReceiptDraft> draft) {
    EXPECT_TRUE(writer.reserve());
    return writer.give(std::move(draft));
  }
  static Result<ReceiptEvidence> find(ReceiptWriter& writer, const std::string& id) {
    std::promise<Result<ReceiptEvidence>> found;
    const bool asked = writer.ask_receipt(
        parse_receipt_id(id).value(),
        [&found](Result<ReceiptEvidence> evidence) { found.set_value(std::move(evidence)); });
    EXPECT_TRUE(asked);
    return found.get_future().get();
  }

  TestFolder folder;
  TestSigner signer;
  SystemClock clock;
  std::shared_ptr<const ReceiptFacts> facts = std::make_shared<ReceiptFacts>(
      ReceiptFacts{JurisdictionId{"de"}, ModelId{"m"}, sha256("weights"), 3});
};

TEST_F(ReceiptWriterTest, RemovesOldReceiptsAndTellsHowTheLogStands) {
  constexpr std::uint64_t kFile = ReceiptLog::kLeavesPerFile;
  {
    auto log = ReceiptLog::open(folder.path(), "acme", SiteId{"metro-berlin"}).value();
    ReceiptTexts texts;
    for (std::uint64_t leaf = 0; leaf < kFile + 3; ++leaf) {
      Receipt receipt = test_receipt(leaf);
      receipt.log = log->log_id();
      texts.add(receipt);
    }
    ASSERT_TRUE(log->append(texts));
    ASSERT_TRUE(log->sign(signer, clock.wall()));
  }
  const auto id_of_leaf = [](std::uint64_t leaf) { return to_string(id_of(test_receipt(leaf))); };
  {
    const auto writer = open();
    EXPECT_TRUE(find(*writer, id_of_leaf(7))) << "unless it is told to, it removes nothing";
    EXPECT_EQ(writer->figures().first_kept, 0U);
  }
  ReceiptWriterOptions options;
  options.keep = seconds{1};
  const auto writer = open(options);
  const std::string fresh = give(*writer, draft());
  EXPECT_TRUE(find(*writer, fresh));
  EXPECT_EQ(find(*writer, id_of_leaf(7)).error().code, Code::NotFound);
  EXPECT_TRUE(find(*writer, id_of_leaf(kFile + 1)));
  const ReceiptFigures figures = writer->figures();
  EXPECT_EQ(figures.leaves, kFile + 4);
  EXPECT_EQ(figures.first_kept, kFile);
  EXPECT_GE(figures.heads, 1U);
  EXPECT_GT(figures.bytes, kFile * 72);
  EXPECT_LT(figures.bytes, kFile * 72 + 100'000);
  EXPECT_GT(figures.head_time.micros, test_receipt(0).ended.micros);
}

TEST_F(ReceiptWriterTest, GivesAReceiptThatCanBeShownAtOnce) {
  const auto writer = open();
  for (int i = 0; i < 50; ++i) {
    const std::string id = give(*writer, draft());
    const auto verified = verify(find(*writer, id).value(), signer.trust);
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_EQ(to_string(id_of(verified->receipt)), id);
    EXPECT_EQ(verified->receipt.request, sha256(R"({"model":"m"})"));
    EXPECT_EQ(verified->receipt.response, sha256("answer"));
    EXPECT_EQ(verified->receipt.model_digest, sha256("weights"));
    EXPECT_EQ(verified->receipt.policy_revision, 3U);
  }
}

TEST_F(ReceiptWriterTest, LeavesOutOfTheRequestWhatAnIngressAdded) {
  const auto writer = open();
  auto resumed = draft(R"({"perigee_resume":[{}],"model":"m"})");
  resumed->not_the_clients = {1, 22};
  const std::string id = give(*writer, std::move(resumed));
  const auto evidence = find(*writer, id).value();
  EXPECT_EQ(parse_receipt(evidence.receipt)->request, sha256(R"({"model":"m"})"));
}

TEST_F(ReceiptWriterTest, HashesAShortAnswerThatWasKept) {
  const auto writer = open();
  auto kept = draft();
  kept->response = Sha256Stream{};
  kept->whole = "a whole answer";
  const std::string id = give(*writer, std::move(kept));
  EXPECT_EQ(parse_receipt(find(*writer, id)->receipt)->response, sha256("a whole answer"));
}

// Receipts are written one after the other through the same memory: tenants must not meet there.
TEST_F(ReceiptWriterTest, TellsNothingOfOneReceiptInTheNext) {
  const auto writer = open();
  auto full = draft();
  full->trace = "0af7651916cd43dd8448eb211c80319c";
  full->tenant = TenantId{"a-tenant-whose-name-is-too-long-to-stand-in-a-string-itself"};
  full->operation = Operation::Embedding;
  full->usage = {.prompt_tokens = 12, .completion_tokens = 40, .cached_tokens = 3};
  full->resumed_tokens = 7;
  full->began = full->ended = WallTime{1790000000000000};
  give(*writer, std::move(full));
  auto bare = std::make_unique<ReceiptDraft>();
  bare->facts = std::make_shared<ReceiptFacts>(
      ReceiptFacts{JurisdictionId{"fr"}, ModelId{"n"}, std::nullopt, 0});
  bare->body = std::make_shared<const std::string>();
  bare->request_id = "req_2";
  bare->tenant = TenantId{"t"};
  const std::string text = find(*writer, give(*writer, std::move(bare)))->receipt;
  const Receipt told = parse_receipt(text).value();
  Receipt expected;
  expected.grid = "acme";
  expected.site = SiteId{"metro-berlin"};
  expected.log = told.log;
  expected.leaf = 1;
  expected.nonce = told.nonce;
  expected.request_id = "req_2";
  expected.tenant = TenantId{"t"};
  expected.jurisdiction = JurisdictionId{"fr"};
  expected.model = ModelId{"n"};
  expected.request = expected.response = sha256({});
  EXPECT_EQ(text, receipt_text(expected));
}

TEST_F(ReceiptWriterTest, SignsManyReceiptsAtOnce) {
  ReceiptWriterOptions options;
  options.batch = 100;
  HeldSigner held{signer};
  const auto writer = open(options, held);
  held.hold();
  std::string last;
  for (int i = 0; i < 10'000; ++i) last = give(*writer, draft());
  held.let_go();
  EXPECT_TRUE(verify(find(*writer, last).value(), signer.trust));
  EXPECT_LE(writer->signatures(), 101U);
  EXPECT_GE(writer->signatures(), 100U);
}

TEST_F(ReceiptWriterTest, KeepsWhatItWasGivenWhenItStops) {
  std::vector<std::string> ids;
  {
    const auto writer = open();
    for (int i = 0; i < 1000; ++i) ids.push_back(give(*writer, draft()));
  }
  const auto writer = open();
  EXPECT_EQ(writer->given(), 1000U);
  EXPECT_EQ(writer->recovered(), 0U);
  for (const std::string& id : {ids.front(), ids[500], ids.back()}) {
    EXPECT_TRUE(verify(find(*writer, id).value(), signer.trust));
  }
}

TEST_F(ReceiptWriterTest, FindsNoReceiptUnderAnIdThatItDidNotGive) {
  const auto writer = open();
  give(*writer, draft());
  EXPECT_EQ(find(*writer, "metro-berlin.0.00000000").error().code, Code::NotFound);
  EXPECT_EQ(find(*writer, "metro-berlin.1.00000000").error().code, Code::NotFound);
  EXPECT_EQ(find(*writer, "metro-berlin.18446744073709551615.00000000").error().code,
            Code::NotFound);
}

TEST_F(ReceiptWriterTest, RefusesWorkWhenItsPlacesAreTaken) {
  ReceiptWriterOptions options;
  options.places = 2;
  const auto writer = open(options);
  EXPECT_TRUE(writer->reserve());
  EXPECT_TRUE(writer->reserve());
  EXPECT_EQ(writer->reserve().error().code, Code::ResourceExhausted);
  writer->give_back();
  EXPECT_TRUE(writer->reserve());
  const std::string id = writer->give(draft());
  EXPECT_TRUE(find(*writer, id));
  EXPECT_TRUE(writer->reserve());  // its place is free again once it is stored
}

// Certificates are renewed: what was told before is still good, and old receipts are shown under
// the new key without waiting for a new one.
TEST_F(ReceiptWriterTest, SignsWithAnotherKeyFromOneHeadToTheNext) {
  const auto writer = open();
  const std::string id = give(*writer, draft());
  const ReceiptEvidence before = find(*writer, id).value();
  const KeyTrust former = signer.trust;
  TestSigner next;
  signer.key = next.key;  // the writer waits meanwhile: it was asked nothing
  for (int i = 0; i < 10; ++i) writer->sign_again();
  const ReceiptEvidence after = find(*writer, id).value();
  EXPECT_TRUE(verify(before, former));
  const auto verified = verify(after, next.trust);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(after.head.key, next.key.public_key());
  EXPECT_EQ(verified->head.tree, parse_head(before.head.note)->tree);
}

TEST_F(ReceiptWriterTest, ShowsThatItsLogGoesOn) {
  const auto writer = open();
  give(*writer, draft());
  const auto since = [&writer](std::uint64_t leaves) {
    std::promise<Result<LogEvidence>> found;
    EXPECT_TRUE(writer->ask_since(
        leaves, [&found](Result<LogEvidence> log) { found.set_value(std::move(log)); }));
    return found.get_future().get();
  };
  const auto before = since(0).value();
  for (int i = 0; i < 20; ++i) give(*writer, draft());
  EXPECT_TRUE(verify(before.head, since(1).value(), signer.trust));
  EXPECT_EQ(since(22).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace perigee::proof
