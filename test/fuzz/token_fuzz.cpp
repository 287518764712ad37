// Tokens and the keys that sign them: whatever comes, nothing is taken that no trusted key signed.
#include <string>

#include "base/base64url.h"
#include "fuzz/fuzz.h"
#include "identity/bearer_tokens/bearer_tokens.h"

namespace perigee::fuzz {
namespace {

// An Ed25519 key whose private part nobody has: RFC 8032, section 7.1, test 1.
constexpr const char* kKeys = R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"d1",)"
                              R"("x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";

const BearerTokens& trusting() {
  static ManualClock clock;
  static const BearerTokens tokens = [] {
    DirectorySnapshot snapshot;
    TenantRecord tenant;
    tenant.id = TenantId{"acme"};
    snapshot.tenants.insert_or_assign(tenant.id, tenant);
    IssuerRecord issuer;
    issuer.id = "corp";
    issuer.issuer = "https://id.example";
    issuer.audience = "perigee";
    issuer.algorithms = {"EdDSA"};
    issuer.jwks = kKeys;
    issuer.tenant = tenant.id;
    snapshot.issuers.insert_or_assign(issuer.id, issuer);
    BearerTokens made{clock};
    made.update(snapshot);
    return made;
  }();
  return tokens;
}

}  // namespace

void take_input(std::string_view text) {
  const Piece piece = exact(text);
  if (const auto token = parse_token(piece.view())) {
    PERIGEE_PROPERTY(token->signed_text.size() < text.size());
    PERIGEE_PROPERTY(!token->algorithm.empty());
    PERIGEE_PROPERTY(text.ends_with(to_base64url(token->signature)));
    (void)text_claim(token->claims, "org");
  }
  const auto caller = trusting().check(piece.view());
  PERIGEE_PROPERTY(!caller && !caller.error().message.empty());
  PERIGEE_PROPERTY(caller.error().message.find('\n') == std::string::npos);
  if (const auto set = JwkSet::parse(piece.view())) {
    PERIGEE_PROPERTY(set->size() > 0 && set->size() <= JwkSet::kKeysMax);
    for (const TokenAlgorithm algorithm :
         {TokenAlgorithm::Rs256, TokenAlgorithm::Es256, TokenAlgorithm::EdDsa}) {
      PERIGEE_PROPERTY(!set->verify(algorithm, "", "text", piece.view()));
    }
  }
}

}  // namespace perigee::fuzz
