// Markup: text made safe for HTML and SVG, and numbers made readable. Names come from files of
// others, so everything that is not written here goes through escape(). No function yields "nan" or
// "inf": what is no finite number is a dash, or 0 as a coordinate.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace perigee::sim {

// For text and for attributes in double quotes; control characters become spaces, bytes that are no
// UTF-8 become '?'.
std::string escape(std::string_view text);

enum class Unit : std::uint8_t { Plain, Milliseconds, Seconds, PerSecond, Percent, Requests };

// How the page's script names a unit.
std::string_view to_string(Unit unit);
// With its unit: "12.3 ms", "1.20 s" (for Milliseconds too), "85 %" (of a share), "12.5/s".
std::string format_value(double value, Unit unit);
// The same for a round number at an axis, without trailing zeros: "50 ms", "1 s", "0.5 %".
std::string format_tick(double value, Unit unit);
// Three significant digits, "1,234" from a thousand on.
std::string format_number(double value);
std::string format_count(std::uint64_t value);
std::string format_bytes(double bytes);
// A share as "12.3 %".
std::string format_share(double share);
// An SVG coordinate: at most one decimal.
std::string coordinate(double value);

}  // namespace perigee::sim
