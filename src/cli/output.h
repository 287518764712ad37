// Output: what every subcommand prints. Results go to stdout as a table for people or as one JSON
// value for programs (`-o json`, one line, stable keys); progress and errors go to stderr. Colour
// only on a terminal, never when NO_COLOR is set or TERM is "dumb".
#pragma once

#include <CLI/CLI.hpp>
#include <boost/json/fwd.hpp>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace perigee::cli {

// The exit status of every subcommand.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUsage = 2;     // the command line is wrong
inline constexpr int kExitDegraded = 3;  // it works, but something that should be up is not

enum class OutputFormat : std::uint8_t { Table, Json };

// Adds `-o, --output table|json`. `format` must outlive the parse.
void add_output_option(CLI::App& app, OutputFormat& format);

enum class Tone : std::uint8_t { Plain, Strong, Dim, Good, Warning, Bad };

struct Cell {
  Cell(std::string value) : text(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Cell(std::string_view value) : text(value) {}        // NOLINT(google-explicit-constructor)
  Cell(const char* value) : text(value) {}             // NOLINT(google-explicit-constructor)
  Cell(std::string value, Tone shade) : text(std::move(value)), tone(shade) {}
  std::string text;
  Tone tone = Tone::Plain;
};

// A table in columns as wide as their widest cell. Cells are outside text: control characters are
// shown as '?', so that no site can play with the terminal.
class Table {
 public:
  enum class Align : std::uint8_t { Left, Right };
  struct Column {
    std::string title;
    Align align = Align::Left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Missing cells are empty; more cells than columns is a defect.
  void add(std::vector<Cell> row);
  bool empty() const { return rows_.empty(); }
  // Lines, each ended by '\n'; the titles first. No trailing blanks.
  std::string render(bool colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

bool use_colour(std::FILE* stream);
// `text` in a tone, or as it is without colour.
std::string paint(std::string_view text, Tone tone, bool colour);
// Control characters (but not '\n' and '\t' when `lines`) replaced by '?'.
std::string printable(std::string_view text, bool lines = false);
// The width of a UTF-8 text on a terminal, one column per code point.
std::size_t display_width(std::string_view text);
// "12.3 ms", "1.20 s": a time for people.
std::string format_ms(double ms);

void print(std::string_view text);  // stdout
inline void print(const char* text) { print(std::string_view{text}); }
void print(const Table& table);              // stdout
void print(const boost::json::value& json);  // stdout, one line
void print_note(std::string_view text);      // one line on stderr: progress, advice

// "MESSAGE (FIELD)", or the message alone where it names the field that is at fault.
std::string sentence_of(const Error& error);

// Prints "perigee: " and this on stderr and returns the exit status for it: kExitError. With
// `OutputFormat::Json` also nothing is printed on stdout: a program looks at the status first.
int report(const Error& error);

}  // namespace perigee::cli
