#include "sim/report/markup.h"

#include <fmt/format.h>

#include <array>
#include <cmath>

namespace perigee::sim {
namespace {

// The length of the UTF-8 sequence at the start of `text`; 0: there is none.
std::size_t sequence_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  std::size_t length = 0;
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead < 0xe0) length = 2;
  if (lead >= 0xe0 && lead < 0xf0) length = 3;
  if (lead >= 0xf0 && lead < 0xf5) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '&': out += "&amp;"; return;
    case '<': out += "&lt;"; return;
    case '>': out += "&gt;"; return;
    case '"': out += "&quot;"; return;
    case '\'': out += "&#39;"; return;
    default: break;
  }
  const auto byte = static_cast<unsigned char>(c);
  out.push_back(byte < 0x20 || byte == 0x7f ? ' ' : c);
}

std::string grouped(std::string digits) {
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) {
      out.push_back('?');
      text.remove_prefix(1);
    } else if (length == 1) {
      append_escaped(out, text[0]);
      text.remove_prefix(1);
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
    }
  }
  return out;
}

std::string_view to_string(Unit unit) {
  constexpr std::array<std::string_view, 6> kNames{"", "ms", "s", "/s", "%", "requests"};
  return kNames[static_cast<std::size_t>(unit)];
}

std::string format_number(double value) {
  if (!std::isfinite(value)) return "–";
  const double size = std::abs(value);
  if (size >= 1e15) return fmt::format("{:.2e}", value);
  if (size >= 999.5) {
    const std::string digits = grouped(fmt::format("{:.0f}", size));
    return value < 0 ? "-" + digits : digits;
  }
  if (size >= 99.95) return fmt::format("{:.0f}", value);
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  if (size >= 0.9995) return fmt::format("{:.2f}", value);
  if (size >= 0.0005) return fmt::format("{:.3f}", value);
  return size == 0 ? "0" : fmt::format("{:.1e}", value);
}

std::string format_value(double value, Unit unit) {
  if (!std::isfinite(value)) return "–";
  switch (unit) {
    case Unit::Milliseconds:
      return std::abs(value) >= 999.5 ? format_number(value * 1e-3) + " s"
                                      : format_number(value) + " ms";
    case Unit::Seconds: return format_number(value) + " s";
    case Unit::PerSecond: return format_number(value) + "/s";
    case Unit::Percent: return format_share(value);
    case Unit::Plain:
    case Unit::Requests: break;
  }
  return format_number(value);
}

std::string format_tick(double value, Unit unit) {
  if (!std::isfinite(value)) return "–";
  const bool seconds = unit == Unit::Milliseconds && std::abs(value) >= 999.5;
  if (seconds) value *= 1e-3;
  if (unit == Unit::Percent) value *= 100;
  const double size = std::abs(value);
  const std::string number = size >= 999.5 && size < 1e15 ? format_number(value)
                             : size < 1e-12               ? "0"
                                                          : fmt::format("{:.4g}", value);
  switch (unit) {
    case Unit::Milliseconds: return number + (seconds ? " s" : " ms");
    case Unit::Seconds: return number + " s";
    case Unit::PerSecond: return number + "/s";
    case Unit::Percent: return number + " %";
    case Unit::Plain:
    case Unit::Requests: break;
  }
  return number;
}

std::string format_count(std::uint64_t value) { return grouped(std::to_string(value)); }

std::string format_bytes(double bytes) {
  if (!std::isfinite(bytes)) return "–";
  constexpr std::array<std::string_view, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 999.5 && unit + 1 < kUnits.size()) {
    bytes *= 1e-3;
    ++unit;
  }
  return format_number(bytes) + " " + std::string{kUnits[unit]};
}

std::string format_share(double share) {
  if (!std::isfinite(share)) return "–";
  return fmt::format("{:.1f} %", share * 100);
}

std::string coordinate(double value) {
  if (!std::isfinite(value)) return "0";
  std::string text = fmt::format("{:.1f}", value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text == "-0" ? "0" : text;
}

}  // namespace perigee::sim
