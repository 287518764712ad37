// StreamTable: which KV stream a request gets, and which earlier work it can reuse. Decides only;
// the caller moves the data.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/llama/model.h"

namespace perigee::llama {

// Knows the tokens of every stream. Finished streams stay as cached prefixes until their place is
// needed, the least recently used first. A prefix is found only under the salt it was made with.
class StreamTable {
 public:
  explicit StreamTable(std::uint32_t streams);

  struct Placement {
    std::uint32_t stream = 0;
    std::uint32_t reused = 0;                // leading prompt tokens already in place after:
    std::optional<std::uint32_t> copy_from;  // copy this stream into `stream` first, if set;
  };  // then trim `stream` to `reused` tokens.

  // Takes a stream for `prompt`, whose last token is never reused (its logits are needed). Nothing
  // when all streams run. An empty salt shares nothing. Prefixes below kReuseMin tokens are not
  // worth a copy.
  std::optional<Placement> place(std::string_view salt, std::span<const Token> prompt);
  static constexpr std::uint32_t kReuseMin = 8;

  // Tokens of a running stream that are now in its KV buffer.
  void append(std::uint32_t stream, Token token);
  // The stream stopped running. `keep` its content as a prefix (never under an empty salt).
  // Returns whether it was kept; if not, its data may be dropped.
  bool release(std::uint32_t stream, bool keep);

  std::uint64_t running_tokens() const;
  std::uint64_t cached_tokens() const;

 private:
  enum class State : std::uint8_t { Free, Cached, Running };
  struct Stream {
    State state = State::Free;
    std::string salt;
    std::vector<Token> tokens;
    std::uint64_t used_at = 0;
  };
  struct Match {
    std::uint32_t stream = 0;
    std::uint32_t length = 0;
  };
  Match best_match(std::string_view salt, std::span<const Token> prompt) const;
  std::optional<std::uint32_t> spare(std::optional<std::uint32_t> except) const;
  std::uint64_t tokens_in(State state) const;

  std::vector<Stream> streams_;
  std::uint64_t ticks_ = 0;
};

}  // namespace perigee::llama
