// KeysAndTokens: the Identity of a site: keys of the directory, and tokens of its issuers.
#pragma once

#include "identity/api_keys/api_keys.h"
#include "identity/bearer_tokens/bearer_tokens.h"

namespace perigee {

// On the IO thread. `clock` must outlive it.
class KeysAndTokens final : public Identity {
 public:
  explicit KeysAndTokens(const Clock& clock) : keys_(clock), tokens_(clock) {}
  void update(const DirectorySnapshot& snapshot) {
    keys_.update(snapshot);
    tokens_.update(snapshot);
  }
  Result<Caller> authenticate(std::string_view authorization) const override {
    const std::string_view text = bearer_text(authorization);
    return looks_like_token(text) ? tokens_.check(text) : keys_.authenticate(authorization);
  }

 private:
  ApiKeys keys_;
  BearerTokens tokens_;
};

}  // namespace perigee
