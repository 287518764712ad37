#include "cli/output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <map>

#include "api/json_print.h"
#include "base/assert.h"
#include "cli/environment.h"

namespace perigee::cli {
namespace {

constexpr std::string_view kGap = "  ";

std::string_view escape_of(Tone tone) {
  switch (tone) {
    case Tone::Plain: return "";
    case Tone::Strong: return "\x1b[1m";
    case Tone::Dim: return "\x1b[2m";
    case Tone::Good: return "\x1b[32m";
    case Tone::Warning: return "\x1b[33m";
    case Tone::Bad: return "\x1b[31m";
  }
  return "";
}

void append_cell(std::string& line, const Cell& cell, std::size_t width, Table::Align align,
                 bool colour) {
  const std::string text = printable(cell.text);
  const std::string padding(width - std::min(width, display_width(text)), ' ');
  if (align == Table::Align::Right) line += padding;
  line += paint(text, cell.tone, colour);
  if (align == Table::Align::Left) line += padding;
}

void write_to(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

}  // namespace

void add_output_option(CLI::App& app, OutputFormat& format) {
  static const std::map<std::string, OutputFormat> names{{"table", OutputFormat::Table},
                                                         {"json", OutputFormat::Json}};
  app.add_option("-o,--output", format, "Print a table for people or JSON for programs")
      ->transform(CLI::CheckedTransformer(names, CLI::ignore_case).description(""))
      ->type_name("table|json")
      ->option_text("table|json");
}

void Table::add(std::vector<Cell> row) {
  PERIGEE_ASSERT(row.size() <= columns_.size());
  row.resize(columns_.size(), Cell{""});
  rows_.push_back(std::move(row));
}

std::string Table::render(bool colour) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(printable(row[i].text)));
    widths.push_back(width);
  }
  std::string out;
  const auto append_line = [&](const auto& cell_at) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (i > 0) line += kGap;
      append_cell(line, cell_at(i), widths[i], columns_[i].align, colour);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  append_line([&](std::size_t i) { return Cell{columns_[i].title, Tone::Strong}; });
  for (const auto& row : rows_) append_line([&](std::size_t i) { return row[i]; });
  return out;
}

bool use_colour(std::FILE* stream) {
  if (environment("NO_COLOR")) return false;
  if (environment("TERM").value_or("dumb") == "dumb") return false;
  return ::isatty(::fileno(stream)) == 1;
}

std::string paint(std::string_view text, Tone tone, bool colour) {
  if (!colour || tone == Tone::Plain || text.empty()) return std::string{text};
  return fmt::format("{}{}\x1b[0m", escape_of(tone), text);
}

std::string printable(std::string_view text, bool lines) {
  std::string out{text};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    const bool kept = lines && (byte == '\n' || byte == '\t');
    if ((byte < 0x20 && !kept) || byte == 0x7f) out[i] = '?';
    // C1 controls (U+0080..U+009F) are C2 80..C2 9F in UTF-8: some terminals obey them.
    if (byte == 0xc2 && i + 1 < out.size() &&
        (static_cast<unsigned char>(out[i + 1]) & 0xe0) == 0x80) {
      out[i] = '?';
      out.erase(i + 1, 1);
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string format_ms(double ms) {
  if (!std::isfinite(ms)) return "-";
  if (ms < 100) return fmt::format("{:.1f} ms", ms);
  if (ms < 10'000) return fmt::format("{:.0f} ms", ms);
  return fmt::format("{:.1f} s", ms / 1000);
}

void print(std::string_view text) { write_to(stdout, text); }
void print(const Table& table) { print(table.render(use_colour(stdout))); }
void print(const boost::json::value& json) { print(api::print_json(json) + "\n"); }
void print_note(std::string_view text) { write_to(stderr, printable(text, true) + "\n"); }

std::string sentence_of(const Error& error) {
  const bool named = error.message.find(error.param) != std::string::npos;  // or there is none
  return printable(error.message) + (named ? "" : " (" + printable(error.param) + ")");
}

int report(const Error& error) {
  write_to(stderr, fmt::format("{} {}\n", paint("perigee:", Tone::Bad, use_colour(stderr)),
                               sentence_of(error)));
  return kExitError;
}

}  // namespace perigee::cli
