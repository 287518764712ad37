// SignedHead: what a site signs about its log: so many leaves, this root, at that time. A signature
// costs as much as relaying a request, so it is made for many receipts at once.
//
// As text it is a checkpoint in a signed note, the formats of C2SP (tlog-checkpoint, signed-note)
// that the transparency logs of Go and Sigstore share, so that their tools and witnesses read it:
//
//   acme/metro-berlin/5f0c6f2a90b1d3e4          origin: grid, site, log
//   12345                                       leaves
//   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=    root, base64
//   time-us 1790000000000000                    when, in microseconds since 1970
//                                               (an empty line)
//   — acme/metro-berlin/5f0c6f2a90b1d3e4 az3grl...=  name of the key, which is the origin, and
//                                               base64 of 4 bytes that tell keys apart, then of the
//                                               Ed25519 signature of all lines above the empty one
//
// The log's id is drawn when a log is begun: a site that has lost its log begins another one and
// contradicts nothing that it signed before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/instant.h"
#include "base/result.h"
#include "pki/key_pair.h"
#include "proof/merkle.h"

namespace perigee::proof {

inline constexpr std::size_t kHeadBytesMax = 1024;
inline constexpr std::size_t kLogIdChars = 16;

struct SignedHead {
  std::string origin;
  TreeHead tree;
  WallTime time;
  pki::Signature signature{};
  std::uint32_t key_hash = 0;  // of the key that is said to have signed
};

std::string origin_of(std::string_view grid, std::string_view site, std::string_view log);

// The note. `origin` has neither blanks nor '+'.
std::string sign_head(std::string_view origin, const TreeHead& tree, WallTime time,
                      const pki::KeyPair& key);
// Reads a note of one signature, strictly; says nothing yet of its signature. InvalidArgument.
Result<SignedHead> parse_head(std::string_view note);
// Whether `key` signed it.
bool signed_by(const SignedHead& head, const pki::PublicKey& key);

}  // namespace perigee::proof
