// The tidy test itself: the whole tree against the checks, the layers and the bans.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "checks.h"

namespace perigee::tidy {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << "cannot read " << path;
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

const fs::path& root() {
  static const fs::path path = PERIGEE_SOURCE_DIR;
  return path;
}

bool is_left_out(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  if (!entry.is_directory()) return false;
  return (name.starts_with(".") && name != ".ci") || name.starts_with("build") ||
         name == "node_modules" || fs::exists(entry.path() / "CMakeCache.txt") ||
         entry.path() == root() / "models";
}

// Paths from the root, sorted, of all files that people write.
std::vector<std::string> tree_files() {
  std::vector<std::string> files;
  for (auto it = fs::recursive_directory_iterator(root()); it != fs::end(it); ++it) {
    if (is_left_out(*it)) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      files.push_back(fs::relative(it->path(), root()).generic_string());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool has_ending(const std::string& path, const std::vector<std::string>& endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](const std::string& ending) { return path.ends_with(ending); });
}
bool is_cpp(const std::string& path) { return has_ending(path, {".cpp", ".h"}); }
bool is_text(const std::string& path) {
  return path == "dev" || path == ".ci/run" || path.ends_with("/run") ||
         has_ending(path, {".cpp", ".h", ".md", ".txt", ".cmake", ".toml", ".json", ".sh", ".js",
                           ".mjs", ".html", ".css", ".conf", ".cfg"});
}

std::string joined(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings) text += to_string(finding) + "\n";
  return text;
}

Layers tree_layers() { return parse_layers(read_file(root() / "test/tidy/layers.txt")); }

TEST(Tree, IsTidy) {
  const Layers layers = tree_layers();
  const std::vector<Ban> bans = parse_bans(read_file(root() / "test/tidy/bans.txt"));
  Findings findings;
  for (const std::string& path : tree_files()) {
    if (!is_text(path)) continue;
    const std::string text = read_file(root() / path);
    const SourceText source = read_source(text);
    check_whitespace(path, text, findings);
    check_bans(path, source, bans, findings);
    if (is_cpp(path)) {
      check_sizes(path, source, findings);
      check_includes(path, source, layers, findings);
    }
  }
  EXPECT_TRUE(findings.empty()) << joined(findings);
}

TEST(Tree, NamesEveryFolderOfSrc) {
  std::set<std::string> folders;
  for (const std::string& path : tree_files()) {
    if (!path.starts_with("src/") || !is_cpp(path)) continue;
    folders.insert(fs::path(path.substr(4)).parent_path().generic_string());
  }
  Findings findings;
  check_folders({folders.begin(), folders.end()}, read_file(root() / "src/README.md"),
                tree_layers(), findings);
  EXPECT_TRUE(findings.empty()) << joined(findings);
}

}  // namespace
}  // namespace perigee::tidy
