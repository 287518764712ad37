#include "identity/scrape_check.h"

#include <algorithm>

#include "base/private_file.h"
#include "base/secret.h"
#include "identity/bearer_text.h"

namespace perigee {
namespace {

constexpr std::size_t kFileBytesMax = 1024;

bool valid_token(std::string_view token) {
  return token.size() >= kScrapeTokenMin && token.size() <= kScrapeTokenMax &&
         std::ranges::all_of(token, [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace

Result<ScrapeCheck> ScrapeCheck::make(bool open, const std::string& token_file) {
  ScrapeCheck made{open};
  if (token_file.empty()) return made;
  auto content = read_private_file(token_file, kFileBytesMax);
  if (!content) {
    return Error{Code::FailedPrecondition,
                 "can't read the scrape token: " + content.error().message, "metrics_token_file"};
  }
  made.token_ = content->substr(0, content->find_last_not_of(" \t\r\n") + 1);
  if (valid_token(made.token_)) return made;
  return Error{Code::FailedPrecondition,
               token_file + " must hold one scrape token of " + std::to_string(kScrapeTokenMin) +
                   " to " + std::to_string(kScrapeTokenMax) +
                   " characters without blanks; make one: openssl rand -hex 32",
               "metrics_token_file"};
}

Result<> ScrapeCheck::check(std::string_view authorization, const Identity& identity) const {
  if (open_ && token_.empty()) return {};
  if (!token_.empty() && equal_constant_time(bearer_text(authorization), token_)) return {};
  const auto caller = identity.authenticate(authorization);
  if (!caller) {
    return Error{Code::Unauthenticated,
                 "metrics are for operators: send `Authorization: Bearer` with the token of "
                 "metrics_token_file or an operator's key (viewer does)"};
  }
  if (caller->role == Role::Operator) return {};
  return Error{Code::PermissionDenied,
               "metrics need the token of metrics_token_file or an operator's key (viewer does)"};
}

}  // namespace perigee
