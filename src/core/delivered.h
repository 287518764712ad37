// Delivered: what the client of a stream has already, choice by choice. With it another engine goes
// on where one ended: what is shown is a function of the tokens alone, and sampling is keyed by
// (seed, choice, position). Of engines that tell no tokens it is the text, of one choice alone.
#pragma once

#include <cstdint>
#include <memory>
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
  static constexpr std::size_t kTextBytesMax = std::size_t{1} << 20U;
  static constexpr std::size_t kNameBytesMax = 256;  // of an id or a date

  struct Choice {
    TokenList tokens;
    bool finished = false;  // its finish reason was delivered; only the number of tokens is kept
  };

  // An answer of one choice whose tokens are not known. All of it is JSON as its engine wrote it.
  struct Text {
    std::string text;          // between the quotes
    std::string id;            // of the answer, a JSON value that each chunk repeats; may be empty
    std::string created;       // the same
    std::uint32_t tokens = 0;  // as counted, not as told one by one
    bool finished = false;     // its finish reason was delivered
    bool told = false;         // and what follows that: the usage, where it was asked for
  };

  Delivered() = default;
  Delivered(const Delivered& other);
  Delivered& operator=(const Delivered& other);
  Delivered(Delivered&&) = default;
  Delivered& operator=(Delivered&&) = default;
  ~Delivered() = default;

  // Adds tokens of a choice, "12,345". False, and nothing more can be resumed, when the list is
  // malformed, a bound is exceeded or the choice has finished.
  bool add(std::uint32_t choice, std::string_view token_ids);
  // The choice got its finish reason. `tokens`: as many more that are not known one by one.
  bool finish(std::uint32_t choice, std::uint32_t tokens = 0);
  // Adds text of the only choice, as JSON writes it, that counts for so many tokens; also when it
  // is empty. False, and nothing more can be resumed, when a bound is exceeded, the choice has
  // finished, or tokens were added before: an answer is known by tokens or by text, not by both.
  bool add_text(std::string_view text, std::uint32_t tokens);
  // The id and the date that the answer's chunks have, of an answer by text. The first ones stay.
  void name_text(std::string_view id, std::string_view created);
  // Something was delivered that is known neither way: no engine can go on from here.
  void lose_track();

  bool empty() const { return choices_.empty() && text_ == nullptr && complete_; }
  // Whether another engine can go on: from text() when there is one, else from choices().
  bool complete() const { return complete_; }
  // Null unless the answer is known by its text; with it there are no choices().
  const Text* text() const { return text_.get(); }
  // By index; choices beyond the last have got nothing yet.
  const std::vector<Choice>& choices() const { return choices_; }
  std::uint32_t tokens() const { return tokens_; }  // of all choices

 private:
  Choice* at(std::uint32_t choice);

  std::vector<Choice> choices_;
  std::unique_ptr<Text> text_;  // most streams have none, and each stream holds one of these
  std::uint32_t tokens_ = 0;
  bool complete_ = true;
};

}  // namespace perigee
