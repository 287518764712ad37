#include "identity/bearer_tokens/bearer_tokens.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace perigee {
namespace {

constexpr std::size_t kSubjectHexDigits = 16;

Error refused(std::string message) { return {Code::Unauthenticated, std::move(message)}; }

Error over(const IssuerRecord& issuer) {
  return refused("this token has expired: get a new one from " + issuer.id);
}

// Names a subject in records and logs without giving away who it is.
std::string account_of(const IssuerRecord& issuer, std::string_view subject) {
  return std::string{kIssuerAccount} + issuer.id + ":" +
         to_hex(sha256(subject)).substr(0, kSubjectHexDigits);
}

}  // namespace

std::size_t BearerTokens::FirstBytes::operator()(const Sha256& digest) const noexcept {
  std::size_t bytes = 0;
  std::memcpy(&bytes, digest.data(), sizeof bytes);
  return bytes;
}

void BearerTokens::update(const DirectorySnapshot& snapshot) {
  const bool same_issuers = issuer_records_.same_version(snapshot.issuers);
  if (same_issuers && tenants_.same_version(snapshot.tenants)) return;
  known_.clear();
  tenants_ = snapshot.tenants;
  if (same_issuers) return;
  issuer_records_ = snapshot.issuers;
  issuers_.clear();
  for (const auto& [id, record] : snapshot.issuers) {
    auto keys = JwkSet::parse(record.jwks);
    if (!keys) {
      log::error("an issuer's tokens are not taken",
                 {{"issuer", id}, {"error", keys.error().message}});
      continue;
    }
    issuers_.insert_or_assign(record.issuer, Issuer{record, std::move(*keys)});
  }
}

Result<Caller> BearerTokens::authenticate(std::string_view authorization) const {
  const std::string_view token = bearer_text(authorization);
  if (token.empty()) return refused("no token given: send it as `Authorization: Bearer TOKEN`");
  return check(token);
}

Result<const BearerTokens::Issuer*> BearerTokens::issuer_of(const Token& token) const {
  const auto found = issuers_.find(token.issuer);
  if (found != issuers_.end()) return &found->second;
  return refused(issuers_.empty()
                     ? "this grid takes keys only: they begin with pgk_live_, pgo_ or pgs_"
                     : "this token's issuer (`iss`) is not one that this grid trusts");
}

Result<> BearerTokens::check_signature(const Issuer& issuer, const Token& token) const {
  const auto& pinned = issuer.record.algorithms;
  const auto algorithm = parse_token_algorithm(token.algorithm);
  if (!algorithm || std::ranges::find(pinned, token.algorithm) == pinned.end()) {
    std::string allowed;
    for (const std::string& name : pinned) allowed += (allowed.empty() ? "" : ", ") + name;
    return refused("this token's algorithm (`alg`) is not allowed for " + issuer.record.id +
                   ": it must be " + allowed);
  }
  if (!issuer.keys.has(*algorithm, token.key_id)) {
    return refused("the key that signed this token (`kid`) is not among those of " +
                   issuer.record.id + ": if it changed its keys, have the operator update them");
  }
  if (!issuer.keys.verify(*algorithm, token.key_id, token.signed_text, token.signature)) {
    return refused("this token's signature is wrong");
  }
  return {};
}

Result<> BearerTokens::check_claims(const IssuerRecord& issuer, const Token& token) const {
  const auto& audiences = token.audiences;
  if (std::ranges::find(audiences, issuer.audience) == audiences.end()) {
    return refused("this token is for another audience (`aud`), not for " + issuer.audience);
  }
  if (token.subject.empty()) return refused("this token names no subject (`sub`)");
  if (!token.expires) return refused("this token has no expiry (`exp`)");
  const std::int64_t now = now_s();
  if (*token.expires + issuer.clock_skew_s <= now) return over(issuer);
  if (token.not_before && *token.not_before - issuer.clock_skew_s > now) {
    return refused("this token is not valid yet (`nbf`): look at the clocks");
  }
  return {};
}

Result<TenantId> BearerTokens::tenant_of(const IssuerRecord& issuer, const Token& token) const {
  TenantId tenant = issuer.tenant;
  if (!issuer.tenant_claim.empty()) {
    std::string name = text_claim(token.claims, issuer.tenant_claim);
    if (!valid_name(name)) {
      return refused("this token names no tenant: its claim `" + issuer.tenant_claim +
                     "` must be a tenant's name");
    }
    tenant = TenantId{std::move(name)};
  }
  const auto found = tenants_.find(tenant);
  if (found == tenants_.end()) {
    return Error{Code::PermissionDenied, "the tenant that this token names does not exist here"};
  }
  if (found->second.suspended) {
    return Error{Code::PermissionDenied,
                 "tenant " + tenant.str() + " is suspended: contact the operator"};
  }
  return tenant;
}

Result<Caller> BearerTokens::check(std::string_view text) const {
  if (text.size() > kTokenBytesMax) return parse_token(text).error();
  const Sha256 digest = sha256(text);
  if (const auto known = known_.find(digest); known != known_.end()) {
    if (known->second.expires_s > now_s()) return known->second.caller;
    Error error = over(*known->second.issuer);
    known_.erase(known);
    return error;
  }
  PERIGEE_TRY(token, parse_token(text));
  PERIGEE_TRY(issuer, issuer_of(token));
  const IssuerRecord& record = issuer->record;
  PERIGEE_CHECK(check_signature(*issuer, token));
  PERIGEE_CHECK(check_claims(record, token));
  PERIGEE_TRY(tenant, tenant_of(record, token));
  Caller caller;
  caller.tenant = std::move(tenant);
  caller.key_id = account_of(record, token.subject);
  if (record.scope != KeyScope{}) {
    caller.bounds = std::make_shared<const CallerBounds>(CallerBounds{record.scope, caller.key_id});
  }
  if (known_.size() >= kRememberedMax) known_.clear();
  known_.emplace(digest, Known{caller, *token.expires + record.clock_skew_s, &record});
  return caller;
}

}  // namespace perigee
