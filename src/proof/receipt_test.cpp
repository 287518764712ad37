#include "proof/receipt.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "proof/sha256_stream.h"
#include "proof/signed_head.h"
#include "proof/test_receipt.h"

namespace perigee::proof {
namespace {

TEST(Receipt, ReadsBackWhatItWrites) {
  const Receipt receipt = test_receipt(7);
  const auto read = parse_receipt(receipt_text(receipt));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(receipt_text(*read), receipt_text(receipt));
  Receipt bare = receipt;
  bare.trace.clear();
  bare.model_digest.reset();
  EXPECT_EQ(receipt_text(parse_receipt(receipt_text(bare)).value()), receipt_text(bare));
}

// The format is public: this text must be read for ever.
TEST(Receipt, IsWrittenAsDocumented) {
  EXPECT_EQ(receipt_text(test_receipt(7)),
            "perigee-receipt/1\n"
            "grid: acme\n"
            "site: metro-berlin\n"
            "log: 0123456789abcdef\n"
            "leaf: 7\n"
            "nonce: 9f860000000000000000000000000007\n"
            "request-id: req_7\n"
            "trace-id: 0af7651916cd43dd8448eb211c80319c\n"
            "tenant: shop\n"
            "jurisdiction: de\n"
            "model: perigee-demo\n"
            "model-sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
            "policy-revision: 17\n"
            "operation: chat\n"
            "outcome: completed\n"
            "began-us: 1790000000000000\n"
            "ended-us: 1790000000250000\n"
            "prompt-tokens: 12\n"
            "cached-tokens: 3\n"
            "completion-tokens: 40\n"
            "resumed-tokens: 0\n"
            "request-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
            "response-sha256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
}

TEST(Receipt, RefusesWhatItWouldWriteOtherwise) {
  const std::string good = receipt_text(test_receipt(7));
  const auto with = [&good](std::string_view from, std::string_view to) {
    std::string changed = good;
    const std::size_t at = changed.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return changed.replace(at, from.size(), to);
  };
  for (const std::string& bad :
       {std::string{}, good + "\n", good.substr(1), good.substr(0, good.size() - 1),
        with("leaf: 7", "leaf: 07"), with("leaf: 7", "leaf: -7"), with("leaf: 7", "leaf:7"),
        with("leaf: 7\n", ""), with("site: metro-berlin", "site: Metro"),
        with("tenant: shop", "tenant: "), with("outcome: completed", "outcome: done"),
        with("operation: chat", "operation: dance"), with("e3b0", "E3B0"),
        with("prompt-tokens: 12", "prompt-tokens: 4294967296"), with("receipt/1", "receipt/2"),
        with("grid: acme\nsite: metro-berlin", "site: metro-berlin\ngrid: acme")}) {
    EXPECT_EQ(parse_receipt(bad).error().code, Code::InvalidArgument) << bad;
  }
}

TEST(Receipt, IsNamedBySiteLeafAndMark) {
  const Receipt receipt = test_receipt(7);
  EXPECT_EQ(to_string(id_of(receipt)), "metro-berlin.7.9f860000");
  EXPECT_EQ(parse_receipt_id("metro-berlin.7.9f860000").value(), id_of(receipt));
  EXPECT_EQ(parse_receipt_id("a.b.12.00000001").value(), (ReceiptId{SiteId{"a.b"}, 12, 1}));
  for (const std::string_view bad :
       {"", ".", "..", "metro", "metro.7", "7.9f860000", ".7.9f860000", "metro.7.9F860000",
        "metro.07.9f860000", "metro.7.9f86", "metro.7.9f8600000", "metro.-7.9f860000",
        "metro.18446744073709551616.9f860000", "me/tro.7.9f860000", "metro.7.9f860000 "}) {
    EXPECT_FALSE(parse_receipt_id(bad)) << bad;
  }
}

TEST(Receipt, HashesAStreamAsTheWhole) {
  Random random{1};
  std::string bytes;
  Sha256Stream stream;
  for (int i = 0; i < 200; ++i) {
    const std::string piece(random.below(150), static_cast<char>(random.below(256)));
    stream.update(piece);
    bytes += piece;
  }
  EXPECT_EQ(stream.finish(), sha256(bytes));
  EXPECT_EQ(Sha256Stream{}.finish(), sha256({}));
}

TEST(SignedHead, ReadsBackWhatItSigned) {
  const pki::KeyPair key = pki::KeyPair::generate();
  const TreeHead tree{12345, sha256("root")};
  const std::string note =
      sign_head("acme/metro-berlin/0123456789abcdef", tree, WallTime{1790000000000000}, key);
  const auto head = parse_head(note);
  ASSERT_TRUE(head);
  EXPECT_EQ(head->origin, "acme/metro-berlin/0123456789abcdef");
  EXPECT_EQ(head->tree, tree);
  EXPECT_EQ(head->time.micros, 1790000000000000);
  EXPECT_TRUE(signed_by(*head, key.public_key()));
  EXPECT_FALSE(signed_by(*head, pki::KeyPair::generate().public_key()));
}

TEST(SignedHead, NoChangedByteIsSigned) {
  const pki::KeyPair key = pki::KeyPair::generate();
  const std::string note = sign_head("acme/berlin/0123456789abcdef", {3, sha256("root")},
                                     WallTime{1790000000000000}, key);
  for (std::size_t i = 0; i < note.size(); ++i) {
    for (const int bit : {0, 3, 6}) {
      std::string changed = note;
      changed[i] = static_cast<char>(changed[i] ^ 1 << bit);
      const auto head = parse_head(changed);
      ASSERT_FALSE(head && signed_by(*head, key.public_key())) << changed;
    }
  }
}

}  // namespace
}  // namespace perigee::proof
