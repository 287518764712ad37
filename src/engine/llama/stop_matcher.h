// StopMatcher: turns the bytes of tokens into text that may be shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace perigee::llama {

// Holds back what may still become a stop string or is an unfinished UTF-8 sequence, so that a
// client never sees either. A pure function of the bytes pushed: replaying the same tokens shows
// the same text after each, which is what resuming an answer elsewhere relies on.
class StopMatcher {
 public:
  // Empty stop strings are ignored.
  explicit StopMatcher(std::vector<std::string> stops);

  // Takes the bytes of the next token, returns the text that became certain. Bytes that are not
  // UTF-8 come out as U+FFFD. After a stop string is found nothing is returned any more.
  std::string push(std::string_view bytes);
  bool stopped() const { return stopped_; }
  // The end of the answer: what was held back.
  std::string flush();

 private:
  std::size_t held_back() const;

  std::vector<std::string> stops_;
  std::string pending_;
  bool stopped_ = false;
};

// `bytes` with every ill-formed UTF-8 sequence replaced by U+FFFD.
std::string valid_utf8(std::string_view bytes);
// Characters (code points) that begin in `bytes`: the one that a cut has split counts where it
// began.
std::size_t characters(std::string_view bytes);
// How many bytes at the end of `bytes` are the beginning of an unfinished UTF-8 sequence (0..3).
std::size_t unfinished_utf8(std::string_view bytes);

}  // namespace perigee::llama
