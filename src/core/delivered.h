// Delivered: what the client of a stream has already, choice by choice. With it another engine goes
// on where one ended: what is shown is a function of the tokens alone, and sampling is keyed by
// (seed, choice, position).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perigee {

// Tokens, packed: 7 bits a byte, low ones first; 2 bytes a token for most vocabularies. Thousands
// of idle streams hold such a list.
class TokenList {
 public:
  void add(std::int32_t token);  // not negative
  std::uint32_t size() const { return size_; }
  // Frees the tokens; their number stays, and `more` are counted that were never known.
  void forget(std::uint32_t more);
  // Calls `each(std::int32_t)`; nothing after forget().
  template <class Each>
  void for_each(Each each) const {
    std::uint32_t value = 0;
    unsigned shift = 0;
    for (const char byte : bytes_) {
      const auto bits = static_cast<std::uint8_t>(byte);
      value |= std::uint32_t{bits & 0x7FU} << shift;
      shift += 7;
      if ((bits & 0x80U) != 0) continue;
      each(static_cast<std::int32_t>(value));
      value = 0;
      shift = 0;
    }
  }

 private:
  std::string bytes_;
  std::uint32_t size_ = 0;
};

class Delivered {
 public:
  static constexpr std::uint32_t kChoicesMax = 4096;      // of one request: prompts times n
  static constexpr std::uint32_t kTokensMax = 1U << 20U;  // of all choices; 3 MiB at the very most

  struct Choice {
    TokenList tokens;
    bool finished = false;  // its finish reason was delivered; only the number of tokens is kept
  };

  // Adds tokens of a choice, "12,345". False, and nothing more can be resumed, when the list is
  // malformed, a bound is exceeded or the choice has finished.
  bool add(std::uint32_t choice, std::string_view token_ids);
  // The choice got its finish reason. `tokens`: as many more that are not known one by one.
  bool finish(std::uint32_t choice, std::uint32_t tokens = 0);
  // Text was delivered whose tokens are not known: no engine can go on from here by tokens.
  void lose_track() { complete_ = false; }

  bool empty() const { return choices_.empty() && complete_; }
  // Whether another engine can go on.
  bool complete() const { return complete_; }
  // By index; choices beyond the last have got nothing yet.
  const std::vector<Choice>& choices() const { return choices_; }
  std::uint32_t tokens() const { return tokens_; }  // of all choices

 private:
  Choice* at(std::uint32_t choice);

  std::vector<Choice> choices_;
  std::uint32_t tokens_ = 0;
  bool complete_ = true;
};

}  // namespace perigee
