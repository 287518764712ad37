// The checks of the tidy test: each looks at one file and says what is wrong and what to do.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "source_text.h"

namespace perigee::tidy {

struct Finding {
  std::string file;  // path from the root of the project, with '/'
  int line = 0;      // 1-based; 0 for the file as a whole
  std::string text;  // what is wrong: what to do
};
// "file:line: what: what to do", as a compiler would print it.
std::string to_string(const Finding& finding);

// layers.txt: who may include whom.
struct Layer {
  std::vector<std::string> inside;    // folders or headers of src/
  std::vector<std::string> external;  // prefixes of <...>, `cpp:` before those kept out of headers
};
struct Layers {
  std::map<std::string, Layer, std::less<>> by_folder;
  // The row that a file of src/ (path from src/) belongs to: the longest folder that holds it;
  // empty when there is none.
  std::string folder_of(std::string_view path) const;
};

// bans.txt: texts that must not stand in files.
struct Ban {
  std::string text;
  bool anywhere = false;  // in any text file, comments and strings too; else in C++ code only
  std::vector<std::string> folders;
  std::vector<std::string> allowed_in;
  std::string remedy;
};

// Throw std::runtime_error naming the row when the data file itself is wrong.
Layers parse_layers(std::string_view text);
std::vector<Ban> parse_bans(std::string_view text);

inline constexpr int kColumnsMax = 100;
inline constexpr int kFunctionLinesMax = 70;
inline constexpr int kFileLinesMax = 500;
inline constexpr int kMainLinesMax = 60;

using Findings = std::vector<Finding>;

// Tabs, spaces at line ends, a missing last newline: any text file.
void check_whitespace(std::string_view path, std::string_view text, Findings& findings);
// Columns, function, file and main.cpp sizes, #pragma once: C++ files.
void check_sizes(std::string_view path, const SourceText& source, Findings& findings);
// Every #include of a C++ file under src/ against the layers.
void check_includes(std::string_view path, const SourceText& source, const Layers& layers,
                    Findings& findings);
void check_bans(std::string_view path, const SourceText& source, const std::vector<Ban>& bans,
                Findings& findings);
// Every folder of src/ has a row in src/README.md ("| `engine/llama` | ...") and a layer.
void check_folders(const std::vector<std::string>& folders, std::string_view readme,
                   const Layers& layers, Findings& findings);

}  // namespace perigee::tidy
