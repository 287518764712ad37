#include "proof/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "pki/authority.h"
#include "proof/test_receipt.h"

namespace perigee::proof {
namespace {

using ::testing::StartsWith;

class EvidenceTest : public ::testing::Test {
 protected:
  pki::KeyPair key = pki::KeyPair::generate();
  KeyTrust trust{key.public_key()};
  TestLog log{100};
  ReceiptEvidence evidence = log.evidence(42, 77, key);
};

std::string failure(const auto& result) { return result ? "" : result.error().message; }

TEST_F(EvidenceTest, ShowsThatAReceiptIsInTheLog) {
  const auto verified = verify(parse_receipt_evidence(to_json(evidence)).value(), trust);
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(receipt_text(verified->receipt), receipt_text(test_receipt(42)));
  EXPECT_EQ(verified->head.tree.leaves, 77U);
}

TEST_F(EvidenceTest, TellsATamperedReceipt) {
  for (const auto& [from, to] : {std::pair{"jurisdiction: de", "jurisdiction: fr"},
                                 std::pair{"completion-tokens: 40", "completion-tokens: 400"},
                                 std::pair{"tenant: shop", "tenant: mine"}}) {
    ReceiptEvidence changed = evidence;
    changed.receipt.replace(changed.receipt.find(from), std::string_view{from}.size(), to);
    EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered receipt"));
    changed.leaf = leaf_hash(changed.receipt);  // who forges it forges that too
    EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered proof"));
  }
}

TEST_F(EvidenceTest, TellsATamperedProof) {
  ReceiptEvidence changed = evidence;
  changed.inclusion[2][5] ^= 1;
  EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered proof"));
  changed = evidence;
  changed.inclusion.pop_back();
  EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered proof"));
  changed = evidence;
  changed.head = log.head(78, key);  // of another tree than the proof
  EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered proof"));
}

TEST_F(EvidenceTest, TellsAHeadOfAnotherLog) {
  ReceiptEvidence changed = evidence;
  const auto head = parse_head(evidence.head.note);
  changed.head.note = sign_head("acme/metro-paris/0123456789abcdef", head->tree, head->time, key);
  EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered proof: the receipt is of log"));
}

TEST_F(EvidenceTest, TellsAnotherKeyFromATamperedHead) {
  const pki::KeyPair other = pki::KeyPair::generate();
  EXPECT_THAT(failure(verify(log.evidence(42, 77, other), trust)), StartsWith("wrong key"));
  ReceiptEvidence changed = evidence;
  changed.head.note.replace(changed.head.note.find("\n77\n"), 4, "\n78\n");
  EXPECT_THAT(failure(verify(changed, trust)), StartsWith("tampered head"));
}

TEST_F(EvidenceTest, ShowsThatALogGoesOn) {
  for (const std::uint64_t older : {1UL, 50UL, 64UL, 99UL, 100UL}) {
    const auto newer = parse_log_evidence(to_json(log.since(older, 100, key))).value();
    const auto head = verify(log.head(older, key), newer, trust);
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->tree.leaves, 100U);
  }
}

TEST_F(EvidenceTest, TellsAForkedLog) {
  TestLog fork{50};
  for (std::uint64_t i = 50; i < 100; ++i) {
    Receipt other = test_receipt(i);
    other.jurisdiction = JurisdictionId{"fr"};
    fork.add(receipt_text(other));
  }
  EXPECT_THAT(failure(verify(log.head(60, key), fork.since(60, 100, key), trust)),
              StartsWith("forked log"));
  EXPECT_THAT(failure(verify(log.head(100, key), fork.since(100, 100, key), trust)),
              StartsWith("forked log"));
  EXPECT_TRUE(verify(log.head(50, key), fork.since(50, 100, key), trust));
}

TEST_F(EvidenceTest, TellsProofsThatDoNotFitTheHeads) {
  EXPECT_THAT(failure(verify(log.head(60, key), log.since(61, 100, key), trust)),
              StartsWith("the proof begins at leaf 61"));
  EXPECT_THAT(failure(verify(log.head(90, key), log.since(60, 80, key), trust)),
              StartsWith("the first head is the newer one"));
}

class CertifiedTest : public EvidenceTest {
 protected:
  static WallTime at(int hours) { return {1790000000000000 + hours * 3'600'000'000LL}; }
  pki::Certificate certify(const std::string& site, WallTime when) const {
    const pki::CertificateOrder order{{"acme", pki::MemberRole::Site, site}, when};
    return authority.sign(pki::make_certificate_request(key, site), order).value();
  }
  std::string checked(const pki::Certificate& certificate, const pki::Authority& trusted) const {
    ReceiptEvidence certified = evidence;
    certified.head.certificates = {certificate.to_pem()};
    return failure(verify(certified, CertificateTrust{{trusted.certificate()}}));
  }
  pki::Authority authority = pki::Authority::make("acme", at(-1));
};

TEST_F(CertifiedTest, BelievesAKeyThatTheAuthorityCertifiedForTheSite) {
  EXPECT_EQ(checked(certify("metro-berlin", at(-1)), authority), "");
}

// Certificates live a day, receipts for years: what counts is when the head was signed.
TEST_F(CertifiedTest, BelievesACertificateForItsTimeOnly) {
  EXPECT_THAT(checked(certify("metro-berlin", at(2)), authority), StartsWith("wrong certificate"));
  const auto old = pki::Authority::make("acme", at(-100));
  const pki::CertificateOrder order{{"acme", pki::MemberRole::Site, "metro-berlin"}, at(-50)};
  const auto expired = old.sign(pki::make_certificate_request(key, "metro-berlin"), order).value();
  EXPECT_THAT(checked(expired, old), StartsWith("wrong certificate"));
}

TEST_F(CertifiedTest, TellsAnotherAuthorityAnotherSiteAndAnotherKey) {
  const auto other = pki::Authority::make("acme", at(-1));
  const auto good = certify("metro-berlin", at(-1));
  EXPECT_THAT(checked(good, other), StartsWith("wrong certificate"));
  EXPECT_THAT(checked(certify("metro-paris", at(-1)), authority), StartsWith("wrong certificate"));
  ReceiptEvidence uncertified = evidence;
  EXPECT_THAT(failure(verify(uncertified, CertificateTrust{{authority.certificate()}})),
              StartsWith("wrong certificate: the site told none"));
  uncertified.head = log.head(77, pki::KeyPair::generate());
  uncertified.head.certificates = {good.to_pem()};
  EXPECT_THAT(failure(verify(uncertified, CertificateTrust{{authority.certificate()}})),
              StartsWith("wrong key"));
}

TEST_F(CertifiedTest, ALogGoesOnUnderANewKey) {
  const auto certified = [&](PublishedHead head) {
    const pki::CertificateOrder order{{"acme", pki::MemberRole::Site, "metro-berlin"}, at(-1)};
    const std::string request = pki::make_certificate_request(key, "metro-berlin");
    head.certificates = {authority.sign(request, order)->to_pem()};
    return head;
  };
  const CertificateTrust trusted{{authority.certificate()}};
  const PublishedHead older = certified(log.head(60, key));
  key = pki::KeyPair::generate();
  LogEvidence newer = log.since(60, 100, key);
  newer.head = certified(newer.head);
  ASSERT_NE(older.key, newer.head.key);
  const auto head = verify(older, newer, trusted);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->tree.leaves, 100U);
  newer.head.certificates = older.certificates;  // the former one says nothing of the new key
  EXPECT_THAT(failure(verify(older, newer, trusted)), StartsWith("wrong key"));
}

// Whatever arrives: an answer, never a crash, never a wrong yes.
TEST_F(EvidenceTest, BelievesNoChangedFile) {
  const std::string good = to_json(evidence);
  Random random{4};
  for (int round = 0; round < 3000; ++round) {
    std::string changed = good;
    changed[random.below(changed.size())] = static_cast<char>(random.below(256));
    if (changed == good) continue;
    const auto read = parse_receipt_evidence(changed);
    if (!read) continue;
    const auto verified = verify(*read, trust);
    if (verified) EXPECT_EQ(receipt_text(verified->receipt), evidence.receipt) << changed;
  }
}

TEST_F(EvidenceTest, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(parse_receipt_evidence(R"({"object":"log","version":1})").error().param, "object");
  EXPECT_EQ(parse_receipt_evidence(R"({"object":"receipt","version":2})").error().param, "version");
  EXPECT_EQ(parse_receipt_evidence(R"({"object":"receipt","version":1})").error().param, "receipt");
  EXPECT_FALSE(parse_receipt_evidence("[]"));
  EXPECT_FALSE(parse_receipt_evidence(std::string(kEvidenceBytesMax + 1, ' ')));
}

}  // namespace
}  // namespace perigee::proof
