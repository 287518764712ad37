#include "sim/csv.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace perigee::sim {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{256} << 20;

std::vector<std::string> split(std::string_view line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back().push_back('"');
        ++i;
      } else {
        quoted = !quoted;
      }
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else {
      cells.back().push_back(c);
    }
  }
  return cells;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) {
    return Error{Code::InvalidArgument, path + ": is a directory; name a file"};
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return Error{Code::NotFound, path + ": can't be read; check the path"};
  std::ostringstream text;
  text << file.rdbuf();
  std::string content = std::move(text).str();
  if (content.size() > kFileBytesMax) {
    return Error{Code::PayloadTooLarge, path + ": is larger than 256 MiB; trim it"};
  }
  return content;
}

Result<CsvTable> CsvTable::parse(std::string_view text, std::string name, bool ragged) {
  CsvTable table;
  table.name_ = std::move(name);
  for (bool first = true; !text.empty(); first = false) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (first) {
      table.titles_ = split(line);
      continue;
    }
    table.cells_.push_back(split(line));
    const std::size_t count = table.cells_.back().size();
    if (count > table.titles_.size() || (count < table.titles_.size() && !ragged)) {
      return table.problem(table.cells_.size() - 1,
                           "expected " + std::to_string(table.titles_.size()) + " cells");
    }
  }
  if (table.titles_.empty()) return Error{Code::InvalidArgument, table.name_ + ": is empty"};
  return table;
}

Result<CsvTable> CsvTable::read(const std::string& path, bool ragged) {
  PERIGEE_TRY(text, read_file(path));
  return parse(text, path, ragged);
}

Error CsvTable::problem(std::size_t row, std::string_view what) const {
  return Error{Code::InvalidArgument,
               name_ + ":" + std::to_string(row + 2) + ": " + std::string{what}};
}

Result<std::size_t> CsvTable::column(std::string_view title) const {
  std::string all;
  for (std::size_t i = 0; i < titles_.size(); ++i) {
    if (titles_[i] == title) return i;
    all += (all.empty() ? "" : ", ") + titles_[i];
  }
  return Error{Code::NotFound,
               name_ + ":1: has no column '" + std::string{title} + "'; it has: " + all};
}

std::string_view CsvTable::text(std::size_t row, std::size_t column) const {
  const std::vector<std::string>& cells = cells_[row];
  return column < cells.size() ? std::string_view{cells[column]} : std::string_view{};
}

Result<double> CsvTable::number(std::size_t row, std::size_t column) const {
  const std::string_view cell = text(row, column);
  double value = 0;
  const auto [end, failed] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (failed != std::errc{} || end != cell.data() + cell.size()) {
    return problem(row, titles_[column] + ": expected a number");
  }
  return value;
}

}  // namespace perigee::sim
