// SourceText: a C++ file as lines, once as written and once as code only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace perigee::tidy {

struct SourceText {
  std::vector<std::string> lines;  // as written, without the newline
  std::vector<std::string> code;   // as many: comments, string and character contents are spaces
};

// Splits `text` at newlines. Never fails: what does not lex (an open string) ends with the file.
SourceText read_source(std::string_view text);

// A function body: the lines of its braces, 1-based, both included.
struct FunctionSpan {
  int line_first = 0;
  int line_last = 0;
  int line_count() const { return line_last - line_first + 1; }
};

// The outermost function bodies of a file, by braces and what stands before them: approximate, but
// a class, a namespace, an initializer or a lambda inside a function is never taken for one.
std::vector<FunctionSpan> find_functions(const SourceText& source);

}  // namespace perigee::tidy
