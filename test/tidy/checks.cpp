#include "checks.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace perigee::tidy {
namespace {

std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> result;
  for (std::string word; in >> word;) result.push_back(word);
  return result;
}

// Rows of cells separated by '|', comments and blank lines left out.
std::vector<std::vector<std::string>> rows(std::string_view text, std::size_t cells) {
  std::vector<std::vector<std::string>> result;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    std::vector<std::string> row(1);
    for (const char c : line) {
      if (c == '|') {
        row.emplace_back();
      } else {
        row.back() += c;
      }
    }
    if (row.size() != cells) {
      throw std::runtime_error("expected " + std::to_string(cells) + " cells: " + line);
    }
    result.push_back(std::move(row));
  }
  return result;
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

bool is_in_folder(std::string_view path, std::string_view folder) {
  return folder == "." ||
         (path.starts_with(folder) && path.size() > folder.size() && path[folder.size()] == '/');
}

bool is_header(std::string_view path) { return path.ends_with(".h"); }
// Unit tests and what they share: router_test.cpp, test_batcher.h, control_test_grid.h.
bool is_test(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  return name.find("test_") != std::string_view::npos ||
         name.find("_test.") != std::string_view::npos;
}

std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;  // not a UTF-8 continuation
  }));
}

struct Include {
  std::string target;
  bool quoted = false;
};

std::optional<Include> parse_include(std::string_view line) {
  const std::size_t hash = line.find_first_not_of(' ');
  if (hash == std::string_view::npos || !line.substr(hash).starts_with("#include")) return {};
  const std::size_t open = line.find_first_of("<\"", hash);
  if (open == std::string_view::npos) return {};
  const bool quoted = line[open] == '"';
  const std::size_t close = line.find(quoted ? '"' : '>', open + 1);
  if (close == std::string_view::npos) return {};
  return Include{std::string(line.substr(open + 1, close - open - 1)), quoted};
}

// Headers of the standard library have neither '.' nor '/'; those of the C library and the kernel
// are known by name.
bool is_standard(std::string_view target) {
  return target.find_first_of("./") == std::string_view::npos;
}
bool is_system(std::string_view target) {
  constexpr std::array<std::string_view, 5> kFolders = {"sys/", "netinet/", "arpa/", "linux/",
                                                        "net/"};
  constexpr std::array<std::string_view, 15> kHeaders = {
      "unistd.h", "fcntl.h", "signal.h",  "pthread.h",  "poll.h",
      "errno.h",  "dlfcn.h", "sched.h",   "netdb.h",    "stdlib.h",
      "time.h",   "spawn.h", "termios.h", "execinfo.h", "pwd.h"};
  return std::any_of(kFolders.begin(), kFolders.end(),
                     [&](std::string_view folder) { return target.starts_with(folder); }) ||
         std::find(kHeaders.begin(), kHeaders.end(), target) != kHeaders.end();
}

bool allows_inside(const Layers& layers, const Layer& layer, std::string_view target) {
  return contains(layer.inside, target) || contains(layer.inside, layers.folder_of(target));
}

bool allows_external(const Layer& layer, std::string_view target, bool from_header) {
  for (std::string_view prefix : layer.external) {
    if (prefix.starts_with("cpp:")) {
      if (from_header) continue;
      prefix.remove_prefix(4);
    }
    if (target.starts_with(prefix)) return true;
  }
  return false;
}

// Empty when the include is allowed, else what is wrong with it.
std::string judge_include(std::string_view inside_src, const Include& include,
                          const std::string& folder, const Layers& layers) {
  static const Layer kNothing;
  const Layer& own = layers.by_folder.at(folder);
  const auto tests = layers.by_folder.find("tests");
  const Layer& extra =
      is_test(inside_src) && tests != layers.by_folder.end() ? tests->second : kNothing;
  if (include.quoted) {
    const std::string target_folder = layers.folder_of(include.target);
    if (target_folder.empty() && allows_external(own, include.target, is_header(inside_src))) {
      return {};  // a library's header: quotes or brackets are all the same
    }
    if (target_folder.empty()) {
      return "\"" + include.target + "\" is in no folder of src/: write the path from src/";
    }
    if (target_folder == folder || allows_inside(layers, own, include.target) ||
        allows_inside(layers, extra, include.target)) {
      return {};
    }
    return folder + " must not include " + target_folder +
           ": move the code, or argue the row in test/tidy/layers.txt";
  }
  if (is_standard(include.target)) return {};
  if (is_system(include.target)) {
    if (folder != "core" || is_test(inside_src)) return {};
    return "core does no IO: take the value as an argument";
  }
  if (allows_external(own, include.target, is_header(inside_src)) ||
      allows_external(extra, include.target, false)) {
    return {};
  }
  if (allows_external(own, include.target, false)) {
    return "<" + include.target + "> in a header of " + folder + ": include it in the .cpp only";
  }
  return folder + " must not include <" + include.target +
         ">: put it behind its adapter, or argue the row in test/tidy/layers.txt";
}

}  // namespace

std::string to_string(const Finding& finding) {
  return finding.file + ":" + std::to_string(finding.line) + ": " + finding.text;
}

std::string Layers::folder_of(std::string_view path) const {
  for (std::size_t end = path.rfind('/'); end != std::string_view::npos && end > 0;
       end = path.rfind('/', end - 1)) {
    const std::string_view folder = path.substr(0, end);
    if (by_folder.contains(folder)) return std::string(folder);
  }
  return {};
}

Layers parse_layers(std::string_view text) {
  Layers layers;
  for (const auto& row : rows(text, 3)) {
    if (!layers.by_folder.emplace(trimmed(row[0]), Layer{words(row[1]), words(row[2])}).second) {
      throw std::runtime_error("two rows for folder " + row[0]);
    }
  }
  return layers;
}

std::vector<Ban> parse_bans(std::string_view text) {
  std::vector<Ban> bans;
  for (const auto& row : rows(text, 4)) {
    Ban ban{trimmed(row[0]), false, words(row[1]), words(row[2]), trimmed(row[3])};
    if (ban.text.starts_with("any:")) {
      ban.text.erase(0, 4);
      ban.anywhere = true;
    }
    if (ban.text.empty()) throw std::runtime_error("a ban without a text");
    bans.push_back(std::move(ban));
  }
  return bans;
}

void check_whitespace(std::string_view path, std::string_view text, Findings& findings) {
  int line_number = 0;
  for (const std::string& line : read_source(text).lines) {
    ++line_number;
    if (line.find('\t') != std::string::npos) {
      findings.push_back({std::string(path), line_number, "a tab: use spaces"});
    }
    if (!line.empty() && (line.back() == ' ' || line.back() == '\r')) {
      findings.push_back({std::string(path), line_number, "white space at the end: remove it"});
    }
  }
  if (!text.empty() && text.back() != '\n') {
    findings.push_back({std::string(path), line_number, "the last line has no newline: add it"});
  }
}

void check_sizes(std::string_view path, const SourceText& source, Findings& findings) {
  const std::string file(path);
  const int line_count = static_cast<int>(source.lines.size());
  const bool is_main = path == "main.cpp" || path.ends_with("/main.cpp");
  const int lines_max = is_main ? kMainLinesMax : kFileLinesMax;
  if (line_count > lines_max) {
    findings.push_back({file, lines_max + 1,
                        "a file of " + std::to_string(line_count) + " lines: at most " +
                            std::to_string(lines_max) + "; split it by what it is about"});
  }
  for (int i = 0; i < line_count; ++i) {
    const std::size_t width = columns(source.lines[static_cast<std::size_t>(i)]);
    if (width > static_cast<std::size_t>(kColumnsMax)) {
      findings.push_back({file, i + 1,
                          "a line of " + std::to_string(width) + " columns: at most " +
                              std::to_string(kColumnsMax) + "; break it"});
    }
  }
  for (const FunctionSpan& function : find_functions(source)) {
    if (function.line_count() <= kFunctionLinesMax) continue;
    findings.push_back({file, function.line_first,
                        "a function of " + std::to_string(function.line_count()) +
                            " lines: at most " + std::to_string(kFunctionLinesMax) +
                            "; name its steps as functions"});
  }
  if (is_header(path) && !contains(source.code, "#pragma once")) {
    findings.push_back({file, 1, "a header without #pragma once: add it below the file comment"});
  }
}

void check_includes(std::string_view path, const SourceText& source, const Layers& layers,
                    Findings& findings) {
  if (!path.starts_with("src/")) return;
  const std::string_view inside_src = path.substr(4);
  const std::string folder = layers.folder_of(inside_src);
  if (folder.empty()) {
    findings.push_back({std::string(path), 0, "in no folder of test/tidy/layers.txt: add a row"});
    return;
  }
  int line_number = 0;
  for (const std::string& line : source.lines) {
    ++line_number;
    const std::optional<Include> include = parse_include(line);
    if (!include) continue;
    std::string wrong = judge_include(inside_src, *include, folder, layers);
    if (!wrong.empty()) findings.push_back({std::string(path), line_number, std::move(wrong)});
  }
}

void check_bans(std::string_view path, const SourceText& source, const std::vector<Ban>& bans,
                Findings& findings) {
  for (const Ban& ban : bans) {
    const bool looked_for =
        std::any_of(ban.folders.begin(), ban.folders.end(),
                    [&](const std::string& folder) { return is_in_folder(path, folder); });
    const bool is_cpp = is_header(path) || path.ends_with(".cpp");
    if (!looked_for || contains(ban.allowed_in, path) || !(ban.anywhere || is_cpp)) continue;
    const std::vector<std::string>& lines = ban.anywhere ? source.lines : source.code;
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (lines[i].find(ban.text) == std::string::npos) continue;
      findings.push_back(
          {std::string(path), static_cast<int>(i) + 1, "'" + ban.text + "': " + ban.remedy});
    }
  }
}

void check_folders(const std::vector<std::string>& folders, std::string_view readme,
                   const Layers& layers, Findings& findings) {
  for (const std::string& folder : folders) {
    if (readme.find("| `" + folder + "` |") == std::string_view::npos) {
      findings.push_back({"src/README.md", 0,
                          "no row for src/" + folder +
                              ": add one that says what it holds and what does not belong there"});
    }
    if (!layers.by_folder.contains(folder)) {
      findings.push_back(
          {"test/tidy/layers.txt", 0, "no row for src/" + folder + ": add what it may include"});
    }
  }
}

}  // namespace perigee::tidy
