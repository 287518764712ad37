// Log: one line per event on stderr, never a prompt, a completion or a key. A line has a fixed
// message (searchable) and named fields. Writing never blocks the caller: lines are queued to one
// writer thread, and dropped and counted when the queue is full.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace perigee::log {

enum class Level : std::uint8_t { Debug, Info, Warning, Error, Off };
enum class Format : std::uint8_t { Text, Json };

// A named value of a line. The views must live until the call returns.
class Field {
 public:
  Field(std::string_view of, std::string_view text) : name(of), value(text), quoted(true) {}
  Field(std::string_view of, const char* text) : Field(of, std::string_view{text}) {}
  Field(std::string_view of, const std::string& text) : Field(of, std::string_view{text}) {}
  Field(std::string_view of, std::int64_t number)
      : name(of), value(std::to_string(number)), quoted(false) {}
  Field(std::string_view of, int number) : Field(of, static_cast<std::int64_t>(number)) {}
  Field(std::string_view of, std::uint64_t number)
      : name(of), value(std::to_string(number)), quoted(false) {}
  Field(std::string_view of, std::uint32_t number)
      : Field(of, static_cast<std::uint64_t>(number)) {}
  Field(std::string_view of, double number);
  std::string_view name;
  std::string value;
  bool quoted;
};

using Fields = std::initializer_list<Field>;

// Call once at start, before threads. Default: Info, Text. `source` names the process in each line.
void configure(Level level, Format format, std::string_view source);
// Parses "debug", "info", "warning", "error", "off"; false when it is none of them.
bool parse_level(std::string_view text, Level& level);
void write(Level level, std::string_view message, Fields fields);
// Waits until all lines are written. At exit.
void flush();

inline void debug(std::string_view message, Fields fields = {}) {
  write(Level::Debug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) {
  write(Level::Info, message, fields);
}
inline void warning(std::string_view message, Fields fields = {}) {
  write(Level::Warning, message, fields);
}
inline void error(std::string_view message, Fields fields = {}) {
  write(Level::Error, message, fields);
}

}  // namespace perigee::log
