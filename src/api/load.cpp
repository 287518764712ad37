#include "api/load.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <iterator>
#include <span>
#include <variant>

namespace perigee::api {
namespace {

constexpr std::size_t kTextBytesMax = 1024;
constexpr double kRateMax = 1e9;

// One name of the text: where its number goes and what is the most that makes sense.
struct Item {
  std::string_view name;
  std::variant<std::uint32_t*, std::uint64_t*, double*> place;
  double max;
  bool seen = false;
};

template <class Number>
bool parse_number(std::string_view text, Number& out) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc{} && stop == end && !text.empty();
}

bool read_item(Item& item, std::string_view text) {
  if (item.seen) return false;
  item.seen = true;
  return std::visit(
      [&](auto* place) {
        if (!parse_number(text, *place)) return false;
        const auto number = static_cast<double>(*place);
        return std::isfinite(number) && number >= 0 && number <= item.max;
      },
      item.place);
}

// "name=number,name=number" into `items`.
bool read_items(std::string_view text, std::span<Item> items) {
  if (text.size() > kTextBytesMax) return false;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return false;
    for (Item& item : items) {
      if (item.name == pair.substr(0, equals) && !read_item(item, pair.substr(equals + 1))) {
        return false;
      }
    }
  }
  return true;
}

// Measured rates to three decimals; what is not a sensible number becomes 0 (not known).
double rounded(double number) {
  if (!std::isfinite(number) || number < 0) return 0;
  return std::round(std::min(number, kRateMax) * 1000) / 1000;
}

}  // namespace

std::string format_load(const EngineLoad& load) {
  return fmt::format("slots={},busy={},queued={},queued_tokens={},kv={},prefill={},decode_ms={}",
                     load.slots, load.slots_busy, load.queued_requests, load.queued_tokens,
                     std::min(rounded(load.kv_used), 1.0), rounded(load.prefill_tokens_per_s),
                     rounded(load.decode_ms));
}

std::optional<EngineLoad> parse_load(std::string_view text) {
  EngineLoad load;
  Item items[] = {{"slots", &load.slots, 1e6},
                  {"busy", &load.slots_busy, 1e6},
                  {"queued", &load.queued_requests, 1e7},
                  {"queued_tokens", &load.queued_tokens, 1e12},
                  {"kv", &load.kv_used, 1},
                  {"prefill", &load.prefill_tokens_per_s, kRateMax},
                  {"decode_ms", &load.decode_ms, kRateMax}};
  if (!read_items(text, items)) return std::nullopt;
  return load;
}

std::string format_usage(const Usage& usage) {
  return fmt::format("prompt={},cached={},completion={}", usage.prompt_tokens, usage.cached_tokens,
                     usage.completion_tokens);
}

std::optional<Usage> parse_usage(std::string_view text) {
  Usage usage;
  Item items[] = {{"prompt", &usage.prompt_tokens, 1e9},
                  {"cached", &usage.cached_tokens, 1e9},
                  {"completion", &usage.completion_tokens, 1e9}};
  if (!read_items(text, items) || usage.cached_tokens > usage.prompt_tokens) return std::nullopt;
  return usage;
}

}  // namespace perigee::api
