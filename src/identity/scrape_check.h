// ScrapeCheck: who may read /metrics. They name sites, models and peers and say how busy each is,
// so beyond the machine they are for those whom the operator gave a credential.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "identity/identity.h"

namespace perigee {

// Characters of a scrape token: ASCII without blanks. `openssl rand -hex 32` makes a good one.
inline constexpr std::size_t kScrapeTokenMin = 16;
inline constexpr std::size_t kScrapeTokenMax = 256;

class ScrapeCheck {
 public:
  // `open`: without a token everybody may, since only this machine can ask (a listener on
  // loopback).
  explicit ScrapeCheck(bool open) : open_(open) {}
  // With the token in the file, which is asked for on loopback too; an empty path: none.
  // FailedPrecondition: it can't be read or is no token. Blocking.
  static Result<ScrapeCheck> make(bool open, const std::string& token_file);

  // `authorization` is the whole header. An operator's key of any role counts as the token does.
  // Unauthenticated says what to send; PermissionDenied: a key of another kind.
  Result<> check(std::string_view authorization, const Identity& identity) const;

 private:
  bool open_;
  std::string token_;  // empty: none
};

}  // namespace perigee
