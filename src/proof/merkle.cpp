#include "proof/merkle.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "proof/sha256_many.h"
#include "proof/sha256_stream.h"

namespace perigee::proof {
namespace {

constexpr std::string_view kLeafPrefix{"\x00", 1};
constexpr std::string_view kNodePrefix{"\x01", 1};

// Leaves [first, first + count) of a log; `first` is a multiple of the power of two that `count`
// reaches, as in every split that the RFC makes.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};

// The largest power of two below `count`, which is 2 at least.
std::uint64_t split(std::uint64_t count) { return std::bit_floor(count - 1); }

Result<Sha256> stored_subtree(const Range& range, const HashReader& hashes) {
  const auto level = static_cast<unsigned>(std::countr_zero(range.count));
  return hashes.read(hash_position(level, range.first >> level));
}

// MTH(D[first : first + count]). From the right: the subtrees get smaller to the end.
Result<Sha256> range_hash(Range range, const HashReader& hashes) {
  std::vector<Sha256> complete;
  while (!std::has_single_bit(range.count)) {
    const std::uint64_t left = split(range.count);
    PERIGEE_TRY(hash, stored_subtree({range.first, left}, hashes));
    complete.push_back(hash);
    range = {range.first + left, range.count - left};
  }
  PERIGEE_TRY(last, stored_subtree(range, hashes));
  Sha256 root = last;
  for (; !complete.empty(); complete.pop_back()) root = node_hash(complete.back(), root);
  return root;
}

std::string_view characters(const Sha256& first, std::size_t hashes) {
  return {reinterpret_cast<const char*>(first.data()), hashes * first.size()};
}

// Of each pair; a last one without a right half has none yet.
std::vector<Sha256> parents_of(const std::vector<Sha256>& row) {
  static_assert(sizeof(Sha256) == std::tuple_size_v<Sha256>);  // pairs stand side by side
  std::vector<Sha256> parents(row.size() / 2);
  std::vector<std::string_view> pairs;
  pairs.reserve(parents.size());
  for (std::size_t i = 0; i < parents.size(); ++i) pairs.push_back(characters(row[2 * i], 2));
  sha256_many(kNodePrefix, pairs, parents);
  return parents;
}

Error beyond(std::string_view what) {
  return {Code::InvalidArgument, std::string{what} + " is beyond the log's end"};
}

}  // namespace

Sha256 leaf_hash(std::string_view leaf) {
  Sha256Stream stream;
  stream.update(kLeafPrefix);
  stream.update(leaf);
  return stream.finish();
}

std::vector<Sha256> leaf_hashes(std::span<const std::string_view> leaves) {
  std::vector<Sha256> hashes(leaves.size());
  sha256_many(kLeafPrefix, leaves, hashes);
  return hashes;
}

Sha256 node_hash(const Sha256& left, const Sha256& right) {
  Sha256Stream stream;
  stream.update(kNodePrefix);
  stream.update(characters(left, 1));
  stream.update(characters(right, 1));
  return stream.finish();
}

Sha256 empty_root() { return sha256({}); }

std::uint64_t hash_position(unsigned level, std::uint64_t index) {
  // It is stored `level` places after its last leaf; before leaf n stand the n leaves before it and
  // the subtrees that these completed: n/2 + n/4 + ... = n - (bits set in n).
  const std::uint64_t leaf = ((index + 1) << level) - 1;
  return 2 * leaf - static_cast<std::uint64_t>(std::popcount(leaf)) + level;
}

std::uint64_t hash_count(std::uint64_t leaves) {
  return 2 * leaves - static_cast<std::uint64_t>(std::popcount(leaves));
}

Result<MerkleFrontier> MerkleFrontier::load(std::uint64_t leaves, const HashReader& hashes) {
  MerkleFrontier frontier;
  frontier.leaves_ = leaves;
  for (Range rest{0, leaves}; rest.count > 0;) {
    const std::uint64_t left = std::bit_floor(rest.count);
    PERIGEE_TRY(hash, stored_subtree({rest.first, left}, hashes));
    frontier.peaks_.push_back(hash);
    rest = {rest.first + left, rest.count - left};
  }
  return frontier;
}

// Of 2^level leaves; there is one if that bit is set in their number.
const Sha256& MerkleFrontier::peak(unsigned level) const {
  return peaks_[static_cast<std::size_t>(std::popcount(leaves_ >> level >> 1))];
}

// Level by level, so that all nodes of one are hashed side by side.
void MerkleFrontier::append(std::span<const Sha256> leaves, std::vector<Sha256>& stored) {
  const std::uint64_t all = leaves_ + leaves.size();
  std::vector<std::vector<Sha256>> levels{{leaves.begin(), leaves.end()}};  // what is new in each
  for (unsigned level = 0; all >> level >> 1 > leaves_ >> level >> 1; ++level) {
    std::vector<Sha256> row;  // its first left half may be of before
    if ((leaves_ >> level & 1) != 0) row.push_back(peak(level));
    row.insert(row.end(), levels[level].begin(), levels[level].end());
    levels.push_back(parents_of(row));
  }
  const auto found = [&](unsigned level, std::uint64_t index) {
    const std::uint64_t before = leaves_ >> level;
    return index < before ? peak(level) : levels[level][index - before];
  };
  for (std::uint64_t leaf = leaves_; leaf < all; ++leaf) {
    stored.push_back(leaves[leaf - leaves_]);
    const auto completed = static_cast<unsigned>(std::countr_one(leaf));
    for (unsigned level = 1; level <= completed; ++level) {
      stored.push_back(found(level, leaf >> level));
    }
  }
  std::vector<Sha256> peaks;
  for (unsigned level = 64; level-- > 0;) {
    if ((all >> level & 1) != 0) peaks.push_back(found(level, (all >> level) - 1));
  }
  peaks_ = std::move(peaks);
  leaves_ = all;
}

Sha256 MerkleFrontier::root() const {
  if (peaks_.empty()) return empty_root();
  Sha256 root = peaks_.back();
  for (std::size_t i = peaks_.size() - 1; i-- > 0;) root = node_hash(peaks_[i], root);
  return root;
}

Result<Sha256> root_at(std::uint64_t leaves, const HashReader& hashes) {
  if (leaves == 0) return empty_root();
  return range_hash({0, leaves}, hashes);
}

// PATH(m, D[n]): from the top down here, so turned round at the end.
Result<std::vector<Sha256>> inclusion_proof(std::uint64_t index, std::uint64_t leaves,
                                            const HashReader& hashes) {
  if (index >= leaves) return beyond("the leaf");
  std::vector<Sha256> proof;
  for (Range range{0, leaves}; range.count > 1;) {
    const std::uint64_t left = split(range.count);
    const Range halves[] = {{range.first, left}, {range.first + left, range.count - left}};
    const bool in_left = index < halves[1].first;
    PERIGEE_TRY(sibling, range_hash(halves[in_left ? 1 : 0], hashes));
    proof.push_back(sibling);
    range = halves[in_left ? 0 : 1];
  }
  std::ranges::reverse(proof);
  return proof;
}

// PROOF(m, D[n]): SUBPROOF with its flag `whole`.
Result<std::vector<Sha256>> consistency_proof(std::uint64_t older, std::uint64_t newer,
                                              const HashReader& hashes) {
  if (older > newer) return beyond("the older size");
  std::vector<Sha256> proof;
  if (older == 0 || older == newer) return proof;
  Range range{0, newer};
  bool whole = true;  // what is left of the older tree is a subtree of it from leaf 0 on
  while (older != range.first + range.count) {
    const std::uint64_t left = split(range.count);
    const Range halves[] = {{range.first, left}, {range.first + left, range.count - left}};
    const bool in_left = older <= halves[1].first;
    PERIGEE_TRY(sibling, range_hash(halves[in_left ? 1 : 0], hashes));
    proof.push_back(sibling);
    range = halves[in_left ? 0 : 1];
    whole = whole && in_left;
  }
  if (!whole) {
    PERIGEE_TRY(last, range_hash(range, hashes));
    proof.push_back(last);
  }
  std::ranges::reverse(proof);
  return proof;
}

// RFC 9162, section 2.1.3.2.
bool verify_inclusion(const Sha256& leaf, std::uint64_t index, const TreeHead& tree,
                      std::span<const Sha256> proof) {
  if (index >= tree.leaves) return false;
  std::uint64_t node = index;
  std::uint64_t last = tree.leaves - 1;
  Sha256 root = leaf;
  for (const Sha256& sibling : proof) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      root = node_hash(sibling, root);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      root = node_hash(root, sibling);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && root == tree.root;
}

// RFC 9162, section 2.1.4.2.
bool verify_consistency(const TreeHead& older, const TreeHead& newer,
                        std::span<const Sha256> proof) {
  if (older.leaves > newer.leaves) return false;
  if (older.leaves == newer.leaves) return proof.empty() && older.root == newer.root;
  if (older.leaves == 0) return proof.empty() && older.root == empty_root();
  const bool complete = std::has_single_bit(older.leaves);
  if (!complete && proof.empty()) return false;
  std::uint64_t node = older.leaves - 1;
  std::uint64_t last = newer.leaves - 1;
  while ((node & 1) != 0) {
    node >>= 1;
    last >>= 1;
  }
  Sha256 old_root = complete ? older.root : proof.front();
  Sha256 new_root = old_root;
  for (const Sha256& hash : complete ? proof : proof.subspan(1)) {
    if (last == 0) return false;
    if ((node & 1) != 0 || node == last) {
      old_root = node_hash(hash, old_root);
      new_root = node_hash(hash, new_root);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      new_root = node_hash(new_root, hash);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && old_root == older.root && new_root == newer.root;
}

}  // namespace perigee::proof
