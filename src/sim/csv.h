// Reads comma-separated tables: a line of titles, then rows. Quotes are understood, line ends too.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace perigee::sim {

class CsvTable {
 public:
  // `name` is for errors. InvalidArgument "NAME:LINE: WHY" for a row with other than the titles'
  // number of cells (fewer only when `ragged`).
  static Result<CsvTable> parse(std::string_view text, std::string name, bool ragged = false);
  // The same of a file; NotFound when it can't be read.
  static Result<CsvTable> read(const std::string& path, bool ragged = false);

  std::size_t rows() const { return cells_.size(); }
  // Position of a column. NotFound lists those there are.
  Result<std::size_t> column(std::string_view title) const;
  // "" past the end of a ragged row.
  std::string_view text(std::size_t row, std::size_t column) const;
  // InvalidArgument "NAME:LINE: TITLE: expected a number".
  Result<double> number(std::size_t row, std::size_t column) const;
  Error problem(std::size_t row, std::string_view what) const;

 private:
  std::string name_;
  std::vector<std::string> titles_;
  std::vector<std::vector<std::string>> cells_;
};

// Reads a whole file; NotFound when it can't be read, PayloadTooLarge above 256 MiB.
Result<std::string> read_file(const std::string& path);

}  // namespace perigee::sim
