#include "source_text.h"

#include <array>
#include <cctype>
#include <cstddef>
#include <optional>

namespace perigee::tidy {
namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Blanks comments and literals in place, newlines kept.
class Blanker {
 public:
  explicit Blanker(std::string text) : text_(std::move(text)) {}

  std::string run() {
    while (at_ < text_.size()) {
      if (starts_with("//")) {
        blank_to(text_.find('\n', at_));
      } else if (starts_with("/*")) {
        blank_past("*/", 2);
      } else if (starts_with("R\"") && (at_ == 0 || !is_word(text_[at_ - 1]))) {
        blank_raw_string();
      } else if (text_[at_] == '"') {
        blank_quoted('"');
      } else if (text_[at_] == '\'' && (at_ == 0 || !is_word(text_[at_ - 1]))) {
        blank_quoted('\'');
      } else {
        ++at_;
      }
    }
    return std::move(text_);
  }

 private:
  bool starts_with(std::string_view prefix) const {
    return std::string_view(text_).substr(at_).starts_with(prefix);
  }
  void blank_to(std::size_t end) {
    end = std::min(end, text_.size());
    for (; at_ < end; ++at_) {
      if (text_[at_] != '\n') text_[at_] = ' ';
    }
  }
  void blank_past(std::string_view mark, std::size_t skip) {
    const std::size_t found = text_.find(mark, at_ + skip);
    blank_to(found == std::string::npos ? found : found + mark.size());
  }
  void blank_raw_string() {
    const std::size_t open = text_.find('(', at_);
    if (open == std::string::npos) return blank_to(open);
    const std::string mark = ")" + text_.substr(at_ + 2, open - at_ - 2) + "\"";
    blank_past(mark, open - at_);
  }
  void blank_quoted(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') {
      end += text_[end] == '\\' ? 2U : 1U;
    }
    ++at_;  // the quotes stay, so that an #include line and an empty string keep their shape
    blank_to(end);
    if (at_ < text_.size()) ++at_;
  }

  std::string text_;
  std::size_t at_ = 0;
};

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

std::string_view last_word(std::string_view text) {
  std::size_t from = text.size();
  while (from > 0 && is_word(text[from - 1])) --from;
  return text.substr(from);
}

enum class Brace { Scope, Function, Initializer };

// What a '{' opens, by the statement text before it.
Brace classify(std::string_view before) {
  before = trim(before);
  if (before.empty()) return Brace::Scope;
  constexpr std::array<std::string_view, 6> kScopes = {"namespace", "class", "struct",
                                                       "enum",      "union", "extern"};
  const std::size_t parameters = before.find(')');
  for (std::string_view scope : kScopes) {
    const std::size_t at = before.find(scope);
    if (at == std::string_view::npos || at > parameters) continue;
    const bool whole = (at == 0 || !is_word(before[at - 1])) &&
                       (at + scope.size() == before.size() || !is_word(before[at + scope.size()]));
    // `struct Point f() {` returns a struct; a class head has no parameters.
    if (whole && parameters == std::string_view::npos) return Brace::Scope;
  }
  if (parameters == std::string_view::npos) return Brace::Initializer;
  const char last = before.back();
  if (last == ')' || last == '}') return Brace::Function;
  if (before.find("->", parameters) != std::string_view::npos) return Brace::Function;
  constexpr std::array<std::string_view, 6> kQualifiers = {"const", "noexcept", "override",
                                                           "final", "try",      "mutable"};
  for (std::string_view qualifier : kQualifiers) {
    if (last_word(before) == qualifier) return Brace::Function;
  }
  if (last == '&' && before.find('=', parameters) == std::string_view::npos) {
    return Brace::Function;
  }
  return Brace::Initializer;
}

struct OpenBrace {
  Brace kind;
  int line;
};

}  // namespace

SourceText read_source(std::string_view text) {
  SourceText source;
  source.lines = split_lines(text);
  source.code = split_lines(Blanker(std::string(text)).run());
  return source;
}

std::vector<FunctionSpan> find_functions(const SourceText& source) {
  std::vector<FunctionSpan> functions;
  std::vector<OpenBrace> open;
  std::string statement;
  int functions_open = 0;
  int line_number = 0;
  for (const std::string& line : source.code) {
    ++line_number;
    if (trim(line).starts_with('#')) continue;
    for (const char c : line) {
      if (c == '{') {
        const Brace kind = functions_open > 0 ? Brace::Initializer : classify(statement);
        open.push_back({kind, line_number});
        if (kind == Brace::Function) ++functions_open;
        if (kind != Brace::Initializer) statement.clear();
      } else if (c == '}' && !open.empty()) {
        const OpenBrace closed = open.back();
        open.pop_back();
        if (closed.kind == Brace::Function) {
          --functions_open;
          functions.push_back({closed.line, line_number});
        }
        if (closed.kind == Brace::Initializer) {
          if (functions_open == 0) statement += '}';
        } else {
          statement.clear();
        }
      } else if (c == ';') {
        statement.clear();
      } else if (functions_open == 0) {
        statement += c;
      }
    }
    statement += ' ';
  }
  return functions;
}

}  // namespace perigee::tidy
