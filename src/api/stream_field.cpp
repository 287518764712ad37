#include "api/stream_field.h"

#include <charconv>

#include "api/headers.h"
#include "api/json_text.h"
#include "api/load.h"

namespace perigee::api {
namespace {

// How many ids there are; 0 when the list is malformed.
std::uint32_t count_ids(std::string_view text) {
  std::uint32_t count = 0;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    std::int32_t id = -1;
    const auto [stop, error] = std::from_chars(at, end, id);
    if (error != std::errc{} || id < 0 || ++count > kTokenIdsMax) return 0;
    if (stop == end) return count;
    if (*stop != ',') return 0;
    at = stop + 1;
  }
  return 0;  // empty, or a comma at the end
}

bool read_number(std::string_view text, std::uint32_t& out) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && stop == text.data() + text.size() && out < kChoicesMax;
}

bool read_item(std::string_view name, std::string_view value, StreamField& field) {
  if (name == "ids") {
    if (field.tokens != 0) return false;
    field.token_ids = value;
    field.tokens = count_ids(value);
    return field.tokens != 0;
  }
  if (name == "choice") return read_number(value, field.choice);
  if (name == "end" || name == "more") {
    (name == "end" ? field.ends : field.more) = value == "1";
    return value == "1";
  }
  if (name == "usage") {
    if (field.usage) return false;
    field.usage = parse_usage(value);
    return field.usage.has_value();
  }
  if (name == "load") {
    if (field.load) return false;
    field.load = parse_load(value);
    return field.load.has_value();
  }
  return true;
}

}  // namespace

std::optional<StreamField> parse_stream_field(std::string_view value) {
  StreamField field;
  while (!value.empty()) {
    const std::size_t space = value.find(' ');
    const std::string_view item = value.substr(0, space);
    value = space == std::string_view::npos ? std::string_view{} : value.substr(space + 1);
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    if (!read_item(item.substr(0, equals), item.substr(equals + 1), field)) return std::nullopt;
  }
  return field;
}

void append_event_line(std::string& out, const StreamField& field) {
  if (field.token_ids.empty() && !field.ends && !field.more) return;
  out.append(kStreamField).append(":");
  if (field.choice > 0) {
    out += " choice=";
    append_json_number(out, field.choice);
  }
  if (!field.token_ids.empty()) out.append(" ids=").append(field.token_ids);
  if (field.ends) out += " end=1";
  if (field.more) out += " more=1";
  out += '\n';
}

void append_end_line(std::string& out, const Usage& usage, const EngineLoad* load) {
  out += kStreamField;
  out += ": usage=";
  out += format_usage(usage);
  if (load != nullptr) {
    out += " load=";
    out += format_load(*load);
  }
  out += '\n';
}

}  // namespace perigee::api
