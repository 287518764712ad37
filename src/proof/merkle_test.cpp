#include "proof/merkle.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <tuple>

#include "base/random.h"

namespace perigee::proof {
namespace {

class Hashes final : public HashReader {
 public:
  Result<Sha256> read(std::uint64_t position) const override {
    if (position >= stored.size()) return Error{Code::DataLoss, "no such hash"};
    ++reads;
    return stored[position];
  }
  std::vector<Sha256> stored;
  mutable std::size_t reads = 0;
};

// The RFC's recursive definitions, letter by letter.
Sha256 naive_root(std::span<const Sha256> leaves) {
  if (leaves.empty()) return sha256({});
  if (leaves.size() == 1) return leaves.front();
  const std::size_t left = std::bit_floor(leaves.size() - 1);
  return node_hash(naive_root(leaves.first(left)), naive_root(leaves.subspan(left)));
}

std::vector<Sha256> naive_path(std::size_t index, std::span<const Sha256> leaves) {
  if (leaves.size() == 1) return {};
  const std::size_t left = std::bit_floor(leaves.size() - 1);
  const bool in_left = index < left;
  std::vector<Sha256> path = in_left ? naive_path(index, leaves.first(left))
                                     : naive_path(index - left, leaves.subspan(left));
  path.push_back(naive_root(in_left ? leaves.subspan(left) : leaves.first(left)));
  return path;
}

std::vector<Sha256> naive_subproof(std::size_t older, std::span<const Sha256> leaves, bool whole) {
  if (older == leaves.size()) {
    if (whole) return {};
    return {naive_root(leaves)};
  }
  const std::size_t left = std::bit_floor(leaves.size() - 1);
  std::vector<Sha256> proof;
  if (older <= left) {
    proof = naive_subproof(older, leaves.first(left), whole);
    proof.push_back(naive_root(leaves.subspan(left)));
  } else {
    proof = naive_subproof(older - left, leaves.subspan(left), false);
    proof.push_back(naive_root(leaves.first(left)));
  }
  return proof;
}

struct Log {
  explicit Log(std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      leaves.push_back(leaf_hash("leaf " + std::to_string(i)));
      frontier.append(leaves.back(), hashes.stored);
    }
  }
  TreeHead head(std::size_t size) const {
    return {size, naive_root(std::span{leaves}.first(size))};
  }

  std::vector<Sha256> leaves;
  Hashes hashes;
  MerkleFrontier frontier;
};

void flip_a_bit(Sha256& hash, Random& random) {
  hash.at(random.below(hash.size())) ^= static_cast<std::uint8_t>(1U << random.below(8));
}

// The vectors that Certificate Transparency implementations share.
TEST(Merkle, GivesTheRootsOfTheKnownVectors) {
  using std::string_view_literals::operator""sv;
  const std::vector<std::pair<std::string_view, std::string_view>> known = {
      {""sv, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
      {"\x00"sv, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
      {"\x10"sv, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
      {"\x20\x21"sv, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
      {"\x30\x31"sv, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
      {"\x40\x41\x42\x43"sv, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
      {"\x50\x51\x52\x53\x54\x55\x56\x57"sv,
       "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
      {"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"sv,
       "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"}};
  MerkleFrontier frontier;
  EXPECT_EQ(to_hex(frontier.root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  std::vector<Sha256> stored;
  for (const auto& [leaf, root] : known) {
    frontier.append(leaf_hash(leaf), stored);
    EXPECT_EQ(to_hex(frontier.root()), root) << frontier.leaves();
  }
}

TEST(Merkle, StoresEveryHashWhereItSaysAndOnlyOnce) {
  for (std::size_t size = 0; size <= 130; ++size) {
    const Log log{size};
    ASSERT_EQ(log.hashes.stored.size(), hash_count(size));
    for (unsigned level = 0; (std::size_t{1} << level) <= size; ++level) {
      for (std::uint64_t i = 0; (i + 1) << level <= size; ++i) {
        const auto leaves = std::span{log.leaves}.subspan(i << level, std::size_t{1} << level);
        ASSERT_EQ(log.hashes.stored.at(hash_position(level, i)), naive_root(leaves));
      }
    }
  }
}

TEST(Merkle, AgreesWithTheDefinitionForEverySizeAndItsPast) {
  constexpr std::size_t kSize = 70;
  const Log log{kSize};
  for (std::size_t size = 0; size <= kSize; ++size) {
    const TreeHead head = log.head(size);
    ASSERT_EQ(*root_at(size, log.hashes), head.root);
    const auto frontier = MerkleFrontier::load(size, log.hashes);
    ASSERT_TRUE(frontier);
    ASSERT_EQ(frontier->root(), head.root);
    const auto leaves = std::span{log.leaves}.first(size);
    for (std::size_t i = 0; i < size; ++i) {
      const auto proof = inclusion_proof(i, size, log.hashes);
      ASSERT_TRUE(proof);
      ASSERT_EQ(*proof, naive_path(i, leaves));
      ASSERT_TRUE(verify_inclusion(log.leaves[i], i, head, *proof));
    }
    for (std::size_t older = 0; older <= size; ++older) {
      const auto proof = consistency_proof(older, size, log.hashes);
      ASSERT_TRUE(proof);
      if (older > 0) ASSERT_EQ(*proof, naive_subproof(older, leaves, true));
      ASSERT_TRUE(verify_consistency(log.head(older), head, *proof));
    }
  }
}

TEST(Merkle, AppendsToWhatWasLoadedAsIfItHadNeverStopped) {
  const Log whole{1000};
  Random random{1};
  for (int round = 0; round < 50; ++round) {
    const std::size_t stopped = random.below(1000);
    Hashes hashes;
    hashes.stored.assign(
        whole.hashes.stored.begin(),
        whole.hashes.stored.begin() + static_cast<std::ptrdiff_t>(hash_count(stopped)));
    auto frontier = MerkleFrontier::load(stopped, hashes);
    ASSERT_TRUE(frontier);
    for (std::size_t i = stopped; i < 1000; ++i) frontier->append(whole.leaves[i], hashes.stored);
    EXPECT_EQ(hashes.stored, whole.hashes.stored);
    EXPECT_EQ(frontier->root(), whole.frontier.root());
  }
}

TEST(Merkle, ReadsFewHashesForAnOldProofOfALongLog) {
  const Log log{100'000};
  log.hashes.reads = 0;
  const auto proof = inclusion_proof(4'711, 77'777, log.hashes);
  ASSERT_TRUE(proof);
  EXPECT_LE(log.hashes.reads, 34U);
  EXPECT_TRUE(
      verify_inclusion(log.leaves[4'711], 4'711, {77'777, *root_at(77'777, log.hashes)}, *proof));
}

TEST(Merkle, RefusesEveryChangedInclusionProof) {
  Random random{2};
  const Log log{300};
  for (int round = 0; round < 3000; ++round) {
    const std::size_t size = 1 + random.below(300);
    const std::size_t index = random.below(size);
    TreeHead head = log.head(size);
    auto proof = *inclusion_proof(index, size, log.hashes);
    Sha256 leaf = log.leaves[index];
    std::size_t claimed = index;
    switch (random.below(proof.empty() ? 4 : 6)) {
      case 0: flip_a_bit(leaf, random); break;
      case 1: flip_a_bit(head.root, random); break;
      case 2: claimed = index + 1; break;
      case 3: proof.push_back(leaf); break;
      case 4: flip_a_bit(proof[random.below(proof.size())], random); break;
      default: proof.erase(proof.begin()); break;
    }
    ASSERT_FALSE(verify_inclusion(leaf, claimed, head, proof)) << size << " " << index;
  }
}

TEST(Merkle, RefusesEveryChangedConsistencyProof) {
  Random random{3};
  const Log log{300};
  for (int round = 0; round < 3000; ++round) {
    const std::size_t newer = 2 + random.below(299);
    const std::size_t older = 1 + random.below(newer - 1);
    TreeHead from = log.head(older);
    TreeHead to = log.head(newer);
    auto proof = *consistency_proof(older, newer, log.hashes);
    ASSERT_FALSE(proof.empty());
    switch (random.below(5)) {
      case 0: flip_a_bit(from.root, random); break;
      case 1: flip_a_bit(to.root, random); break;
      case 2: flip_a_bit(proof[random.below(proof.size())], random); break;
      case 3: proof.push_back(to.root); break;
      default: proof.erase(proof.begin()); break;
    }
    ASSERT_FALSE(verify_consistency(from, to, proof)) << older << " " << newer;
  }
}

// Two histories that share a beginning and then differ: no proof joins them.
TEST(Merkle, NoProofJoinsALogAndItsFork) {
  const Log log{40};
  Log fork{20};
  for (std::size_t i = 20; i < 40; ++i) {
    fork.leaves.push_back(leaf_hash("other " + std::to_string(i)));
    fork.frontier.append(fork.leaves.back(), fork.hashes.stored);
  }
  for (std::size_t older = 21; older < 40; ++older) {
    const auto ours = *consistency_proof(older, 40, log.hashes);
    const auto theirs = *consistency_proof(older, 40, fork.hashes);
    EXPECT_FALSE(verify_consistency(log.head(older), fork.head(40), ours));
    EXPECT_FALSE(verify_consistency(log.head(older), fork.head(40), theirs));
  }
  EXPECT_TRUE(
      verify_consistency(log.head(20), fork.head(40), *consistency_proof(20, 40, fork.hashes)));
}

TEST(Merkle, RefusesToProveWhatIsNotThere) {
  const Log log{5};
  EXPECT_EQ(inclusion_proof(5, 5, log.hashes).error().code, Code::InvalidArgument);
  EXPECT_EQ(consistency_proof(6, 5, log.hashes).error().code, Code::InvalidArgument);
  EXPECT_EQ(inclusion_proof(0, 9, log.hashes).error().code, Code::DataLoss);
}

}  // namespace
}  // namespace perigee::proof
