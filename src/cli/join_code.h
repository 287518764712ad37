// JoinCode: all that a new machine needs to join, as one word to copy: the join token, and what the
// operator knows beside it. `perigee site token` prints one, `perigee site join` reads it.
//
//   pgj_...                    a token alone: the rest comes as options
//   pgj_....eyJjb250cm9s...    a dot, then JSON in base64url: control, ca_sha256, name, url, tier,
//                              jurisdiction, latitude, longitude, city; each may be missing
//
// The token alone is secret, and control believes nothing of the rest: it checks name and law
// against what it stored with the token, and `ca_sha256` only protects who joins from another
// control. An option on the command line wins over what the code says; control refuses a name or a
// law that is not the token's.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/site_facts.h"

namespace perigee::cli {

inline constexpr std::size_t kJoinCodeBytesMax = 4096;

struct JoinCode {
  std::string token;
  std::string control_url;
  std::string ca_sha256;
  std::string name;
  SiteFacts facts;
};

std::string to_string(const JoinCode& code);
// InvalidArgument for what to_string() would not write, up to fields that are unknown.
Result<JoinCode> parse_join_code(std::string_view text);

}  // namespace perigee::cli
