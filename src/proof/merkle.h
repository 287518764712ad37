// A Merkle tree over an append-only log, as RFC 6962 (section 2.1) and RFC 9162 (section 2.1)
// define it: hashing, proofs that a leaf is in a tree, proofs that one tree is the beginning of
// another, and their verification. Pure: what is stored is read through HashReader.
//
// Storage: the hashes of all complete subtrees in the order in which they become complete, a leaf
// first and then every subtree that it completes. So a log of n leaves has less than 2n hashes of
// 32 bytes, none is ever written twice, and every proof for every size that the log ever had reads
// at most 2 log2(n) of them. (The order is that of Go's module proxy, golang.org/x/mod/sumdb/tlog.)
//
//   leaf number      0   1       2   3               4
//   stored hashes    0   1 2     3   4 5 6           7        2: of {0,1}; 5: {2,3}; 6: {0..3}
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace perigee::proof {

// The domains of leaves and nodes differ by their first byte, so that no node passes for a leaf.
Sha256 leaf_hash(std::string_view leaf);                               // SHA-256(0x00 || leaf)
std::vector<Sha256> leaf_hashes(std::span<const std::string_view> leaves);  // at once: faster
Sha256 node_hash(const Sha256& left, const Sha256& right);  // SHA-256(0x01 || left || right)
Sha256 empty_root();                                        // SHA-256 of nothing
inline constexpr std::size_t kProofHashesMax = 2 * 64;      // no proof is longer

// Where the hash of the complete subtree over leaves [index << level, (index + 1) << level) stands.
std::uint64_t hash_position(unsigned level, std::uint64_t index);
// How many hashes a log of so many leaves has stored.
std::uint64_t hash_count(std::uint64_t leaves);

class HashReader {
 public:
  virtual ~HashReader() = default;
  // DataLoss when it can't be read.
  virtual Result<Sha256> read(std::uint64_t position) const = 0;
};

// The growing end of a log: holds the roots of its complete subtrees (one per bit of its size).
class MerkleFrontier {
 public:
  MerkleFrontier() = default;
  // Of a stored log of so many leaves.
  static Result<MerkleFrontier> load(std::uint64_t leaves, const HashReader& hashes);

  // Adds one leaf; appends to `stored` what is to be stored for it, in order. Amortised two hashes.
  void append(const Sha256& leaf, std::vector<Sha256>& stored) { append({&leaf, 1}, stored); }
  // Adds them in order; the more at once, the cheaper (sha256_many.h).
  void append(std::span<const Sha256> leaves, std::vector<Sha256>& stored);
  std::uint64_t leaves() const { return leaves_; }
  Sha256 root() const;

 private:
  const Sha256& peak(unsigned level) const;
  std::uint64_t leaves_ = 0;
  std::vector<Sha256> peaks_;  // the largest subtree first
};

// Of the first `leaves` of a log that may be longer.
Result<Sha256> root_at(std::uint64_t leaves, const HashReader& hashes);
// That leaf `index` is in the tree of the first `leaves`. InvalidArgument unless index < leaves.
Result<std::vector<Sha256>> inclusion_proof(std::uint64_t index, std::uint64_t leaves,
                                            const HashReader& hashes);
// That the tree of the first `older` leaves is the beginning of that of the first `newer`.
// InvalidArgument unless older <= newer. Empty where nothing has to be shown (older is 0 or newer).
Result<std::vector<Sha256>> consistency_proof(std::uint64_t older, std::uint64_t newer,
                                              const HashReader& hashes);

// A tree as it is known from outside.
struct TreeHead {
  std::uint64_t leaves = 0;
  Sha256 root{};
  friend bool operator==(const TreeHead&, const TreeHead&) = default;
};
bool verify_inclusion(const Sha256& leaf, std::uint64_t index, const TreeHead& tree,
                      std::span<const Sha256> proof);
bool verify_consistency(const TreeHead& older, const TreeHead& newer,
                        std::span<const Sha256> proof);

}  // namespace perigee::proof
