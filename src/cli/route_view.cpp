#include "cli/route_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <vector>

#include "cli/json_fields.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

struct Row {
  const json::value* candidate = nullptr;
  std::size_t place = 0;  // in the plan, from 1; 0: not planned
  std::string rejection;
};

bool same(const json::value& a, const json::value& b) {
  return text_field(a, "site") == text_field(b, "site") &&
         text_field(a, "engine") == text_field(b, "engine");
}

std::vector<Row> rows_of(const json::value& explanation) {
  std::vector<Row> rows;
  const json::array& plan = list_field(explanation, "plan");
  for (const json::value& candidate : list_field(explanation, "candidates")) {
    Row row{&candidate, 0, text_field(candidate, "rejection")};
    for (std::size_t i = 0; i < plan.size() && row.place == 0; ++i) {
      if (same(plan[i], candidate)) row.place = i + 1;
    }
    rows.push_back(row);
  }
  std::ranges::sort(rows, {}, [](const Row& row) {
    return std::tuple{!row.rejection.empty(), row.place == 0, row.place,
                      number_field(*row.candidate, "ttft_ms"), text_field(*row.candidate, "site")};
  });
  return rows;
}

std::string place_name(std::size_t place) {
  switch (place) {
    case 1: return "first choice";
    case 2: return "second choice";
    case 3: return "third choice";
    default: return fmt::format("choice {}", place);
  }
}

Cell verdict(const Row& row) {
  if (!row.rejection.empty()) return {"out: " + row.rejection, Tone::Bad};
  if (row.place == 0) return {"not needed", Tone::Dim};
  return {place_name(row.place), row.place == 1 ? Tone::Good : Tone::Plain};
}

std::string ms(const json::value& candidate, std::string_view name) {
  return fmt::format("{:.1f}", number_field(candidate, name));
}

}  // namespace

Table route_table(const json::value& explanation) {
  using Align = Table::Align;
  Table table{{{"SITE"},
               {"ENGINE"},
               {"LAW"},
               {"RTT", Align::Right},
               {"WAIT", Align::Right},
               {"PREFILL", Align::Right},
               {"TTFT", Align::Right},
               {"FINISH", Align::Right},
               {"CACHED", Align::Right},
               {"VERDICT"}}};
  for (const Row& row : rows_of(explanation)) {
    const json::value& candidate = *row.candidate;
    const std::string engine = text_field(candidate, "engine");
    std::vector<Cell> cells{text_field(candidate, "site"), engine.empty() ? "(its own)" : engine,
                            text_field(candidate, "jurisdiction")};
    if (row.rejection.empty()) {
      for (const std::string_view term :
           {"rtt_ms", "wait_ms", "prefill_ms", "ttft_ms", "finish_ms"}) {
        cells.emplace_back(ms(candidate, term));
      }
      cells.emplace_back(fmt::format("{:.0f}", number_field(candidate, "cached_tokens")));
    } else {
      cells.insert(cells.end(), 6, Cell{"-", Tone::Dim});
    }
    cells.push_back(verdict(row));
    table.add(std::move(cells));
  }
  return table;
}

std::string route_sentence(const json::value& explanation) {
  const json::array& plan = list_field(explanation, "plan");
  if (plan.empty()) {
    return "No site can serve this request: see the last column for what is in the way.";
  }
  const json::value& first = plan.front();
  std::string text = fmt::format("It goes to {}: {}; the first token is expected after {}.",
                                 text_field(first, "site"), text_field(first, "reason"),
                                 format_ms(number_field(first, "ttft_ms")));
  if (plan.size() > 1) {
    text += fmt::format(" If that fails before the first byte, {} is next.",
                        text_field(plan[1], "site"));
  }
  return text;
}

}  // namespace perigee::cli
