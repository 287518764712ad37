#include "api/stream_field.h"

#include <charconv>

#include "api/headers.h"
#include "api/json_text.h"
#include "api/load.h"
#include "api/message_sum.h"

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
  if (name == "end" || name == "more" || name == "text") {
    (name == "end" ? field.ends : name == "more" ? field.more : field.text) = value == "1";
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
  if (name == "refused") field.refused = value;
  if (name == "receipt") {
    field.receipt = value;
    return plain_receipt(value);
  }
  if (name == "sum") {
    field.sum = parse_sum(value);
    return field.sum.has_value();
  }
  return true;
}

void append_items(std::string& out, const StreamField& field) {
  if (field.choice > 0) {
    out += " choice=";
    append_json_number(out, field.choice);
  }
  if (!field.token_ids.empty()) out.append(" ids=").append(field.token_ids);
  if (field.ends) out += " end=1";
  if (field.more) out += " more=1";
  if (field.text) out += " text=1";
}

void append_items(std::string& out, const Usage& usage, const EngineLoad* load,
                  std::string_view receipt) {
  out.append(" usage=").append(format_usage(usage));
  if (load != nullptr) out.append(" load=").append(format_load(*load));
  if (!receipt.empty()) out.append(" receipt=").append(receipt);
}

void begin_line(std::string& out) { out.append(kStreamField).append(":"); }

// Ends the line whose items begin at `items`.
void end_line(std::string& out, std::size_t items, std::string_view data) {
  std::string_view summed = std::string_view{out}.substr(items);
  if (!summed.empty()) summed.remove_prefix(1);  // the blank
  const std::uint32_t sum = sum_of(summed, data);
  out += " sum=";
  append_sum(out, sum);
  out += '\n';
}

}  // namespace

bool plain_receipt(std::string_view receipt) {
  constexpr std::size_t kBytesMax = 128;
  return !receipt.empty() && receipt.size() <= kBytesMax &&
         receipt.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz._-") ==
             std::string_view::npos;
}

void append_receipt_comment(std::string& out, std::string_view receipt) {
  if (receipt.empty()) return;
  out.append(": ").append(headers::kReceipt).append(" ").append(receipt).append("\n\n");
}

std::optional<StreamField> parse_stream_field(std::string_view value) {
  const std::string_view whole = value;
  StreamField field;
  while (!value.empty()) {
    if (field.sum) return std::nullopt;
    const std::size_t begins = whole.size() - value.size();
    const std::size_t space = value.find(' ');
    const std::string_view item = value.substr(0, space);
    value = space == std::string_view::npos ? std::string_view{} : value.substr(space + 1);
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    if (!read_item(item.substr(0, equals), item.substr(equals + 1), field)) return std::nullopt;
    if (field.sum) field.summed = whole.substr(0, begins > 0 ? begins - 1 : 0);
  }
  return field;
}

void append_event_line(std::string& out, const StreamField& field) {
  if (field.token_ids.empty() && !field.ends && !field.more && !field.text) return;
  begin_line(out);
  append_items(out, field);
  out += '\n';
}

void append_end_line(std::string& out, const Usage& usage, const EngineLoad* load) {
  begin_line(out);
  append_items(out, usage, load, {});
  out += '\n';
}

void append_summed_event_line(std::string& out, const StreamField& field, std::string_view data) {
  begin_line(out);
  const std::size_t items = out.size();
  append_items(out, field);
  end_line(out, items, data);
}

void append_summed_end_line(std::string& out, const Usage& usage, const EngineLoad* load,
                            std::string_view receipt, std::string_view data) {
  begin_line(out);
  const std::size_t items = out.size();
  append_items(out, usage, load, receipt);
  end_line(out, items, data);
}

void append_summed_error_line(std::string& out, std::string_view refused, std::string_view data) {
  begin_line(out);
  const std::size_t items = out.size();
  if (!refused.empty()) out.append(" refused=").append(refused);
  end_line(out, items, data);
}

bool is_whole(const StreamField& field, std::string_view data) {
  return field.sum && *field.sum == sum_of(field.summed, data);
}

}  // namespace perigee::api
