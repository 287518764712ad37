#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/llama/grammar.h"

namespace perigee::llama {
namespace {

constexpr int kDepthMax = 64;
constexpr unsigned kRepetitionsMax = 2000;  // as llama.cpp

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}
bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

class Checker {
 public:
  explicit Checker(std::string_view text) : text_(text) {}

  // Nothing when the grammar is sound, else what is wrong.
  std::string check() {
    skip_space(true);
    while (at_ < text_.size() && fault_.empty()) rule();
    if (!fault_.empty()) return fault_;
    for (const auto& name : used_) {
      if (!defined_.contains(name)) return fmt::format("the rule '{}' is not defined", name);
    }
    return defined_.contains("root") ? "" : "it has no rule 'root'";
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool good() const { return fault_.empty(); }
  void fail(std::string_view what) {
    const auto line =
        std::count(text_.begin(),
                   text_.begin() + static_cast<std::ptrdiff_t>(std::min(at_, text_.size())), '\n');
    if (good()) fault_ = fmt::format("line {}: {}", line + 1, what);
  }
  void expect(char c, std::string_view what) {
    if (peek() != c) return fail(what);
    ++at_;
  }
  void skip_space(bool newline_too) {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') ++at_;
        --at_;
      } else if (c != ' ' && c != '\t' && !(newline_too && (c == '\n' || c == '\r'))) {
        return;
      }
    }
  }
  std::string word() {
    const std::size_t start = at_;
    while (is_word(peek())) ++at_;
    if (at_ == start) fail("a rule name is expected");
    return std::string{text_.substr(start, at_ - start)};
  }

  void rule() {
    defined_.insert(word());
    skip_space(false);
    if (text_.substr(at_, 3) != "::=") return fail("'::=' is expected");
    at_ += 3;
    skip_space(true);
    alternates(false, 0);
    if (good() && at_ < text_.size() && peek() != '\n' && peek() != '\r')
      fail("a new line is expected");
    skip_space(true);
  }

  void alternates(bool nested, int depth) {
    if (depth > kDepthMax)
      return fail(fmt::format("parentheses are nested deeper than {}", kDepthMax));
    sequence(nested, depth);
    while (good() && peek() == '|') {
      ++at_;
      skip_space(true);
      sequence(nested, depth);
    }
  }

  void sequence(bool nested, int depth) {
    for (bool has_item = false; good() && at_ < text_.size(); skip_space(nested)) {
      const char c = peek();
      if (c == '*' || c == '+' || c == '?' || c == '{') {
        if (!has_item) return fail("nothing stands before the repetition");
        repetition();
        continue;
      }
      has_item = true;
      if (c == '"') {
        literal();
      } else if (c == '[') {
        char_class();
      } else if (c == '(') {
        group(depth);
      } else if (c == '.') {
        ++at_;
      } else if (is_word(c)) {
        used_.insert(word());
      } else {
        return;  // '|', ')', end of line or something that the caller refuses
      }
    }
  }

  void group(int depth) {
    ++at_;
    skip_space(true);
    alternates(true, depth + 1);
    if (good()) expect(')', "')' is expected");
  }

  void repetition() {
    if (peek() != '{') {
      ++at_;
      return;
    }
    ++at_;
    skip_space(true);
    const unsigned least = number();
    unsigned most = least;
    skip_space(true);
    if (peek() == ',') {
      ++at_;
      skip_space(true);
      if (peek() != '}') most = number();
    }
    skip_space(true);
    if (good()) expect('}', "'}' is expected");
    if (good() && most < least) fail("a repetition's upper bound is below its lower one");
  }

  unsigned number() {
    if (peek() < '0' || peek() > '9') fail("a number is expected");
    unsigned value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<unsigned>(peek() - '0');
      if (value > kRepetitionsMax) {
        fail(fmt::format("more than {} repetitions", kRepetitionsMax));
        return 0;
      }
    }
    return value;
  }

  void character() {
    if (peek() == '\0') return fail("a character is missing");
    if (peek() != '\\') {
      ++at_;
      return;
    }
    ++at_;
    const char c = peek();
    const std::size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0 && std::string_view{"tnr\"[]\\"}.find(c) == std::string_view::npos) {
      return fail("an unknown escape");
    }
    ++at_;
    for (std::size_t i = 0; i < digits; ++i, ++at_) {
      if (!is_hex(peek())) return fail("hexadecimal digits are expected");
    }
  }

  void literal() {
    ++at_;
    while (good() && peek() != '"') character();
    ++at_;
  }

  void char_class() {
    ++at_;
    if (peek() == '^') ++at_;
    if (peek() == ']') return fail("an empty character class");
    while (good() && peek() != ']') character();
    ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::string fault_;
  std::set<std::string> defined_;
  std::set<std::string> used_;
};

}  // namespace

Result<> check_gbnf(std::string_view gbnf, const std::string& param) {
  if (gbnf.size() > kGrammarBytesMax) {
    return Error{Code::InvalidArgument,
                 fmt::format("the grammar is larger than {} bytes", kGrammarBytesMax), param};
  }
  if (gbnf.find('\0') != std::string_view::npos) {
    return Error{Code::InvalidArgument, "the grammar holds a zero byte", param};
  }
  const std::string fault = Checker{gbnf}.check();
  if (fault.empty()) return {};
  return Error{Code::InvalidArgument, "the grammar is not valid: " + fault, param};
}

}  // namespace perigee::llama
