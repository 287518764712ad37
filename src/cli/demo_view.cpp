#include "cli/demo_view.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cmath>

#include "cli/output.h"
#include "cli/route_view.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;
using Align = Table::Align;

double rounded(double ms) { return std::round(ms * 1000) / 1000; }

double tokens_per_second(const demo::AnswerReport& answer) {
  return answer.total_ms > 0 ? answer.tokens * 1000.0 / answer.total_ms : 0;
}

}  // namespace

void print_banner(const demo::DemoGrid& grid) {
  Table table{{{"SITE"}, {"TIER"}, {"CITY"}, {"LAW"}, {"SLOTS", Align::Right}, {"URL"}}};
  const auto sites = grid.sites();
  for (const demo::DemoSiteView& site : sites) {
    const std::string slots = site.plan->slots == 0 ? "-" : std::to_string(site.plan->slots);
    table.add({site.plan->name.str(), to_string(site.plan->tier), site.plan->city,
               site.plan->jurisdiction.str(), slots, site.url});
  }
  print("\n");
  print(table);
  const std::string& any = sites.front().plan->name.str();
  const std::string& last = sites.back().plan->name.str();
  print(fmt::format(
      "\nKey: {0}\nModel: {1}\n\n"
      "curl -s {2}/v1/chat/completions -H 'authorization: Bearer {0}' "
      "-H 'content-type: application/json' "
      "-d "
      "'{{\"model\":\"{1}\",\"temperature\":0,\"messages\":[{{\"role\":\"user\",\"content\":\"What "
      "is an AI "
      "grid?\"}}]}}'\n\n"
      "In another terminal:\n"
      "  perigee chat                                  talk to the grid\n"
      "  perigee status                                every site, its engines and peers\n"
      "  perigee route explain --site cell-strasbourg  where a request would run, and why\n"
      "  perigee demo --kill SITE, --start SITE        a site dies, and comes back\n"
      "  perigee demo --cut {3}:{4}, --heal\n"
      "Ctrl-C stops the demo.\n",
      grid.key(), demo::kDemoModel, sites.front().url, any, last));
}

void print_tour(const demo::TourReport& report) {
  Table table{{{"ASKED AT"},
               {"SITE"},
               {"TTFT", Align::Right},
               {"TOTAL", Align::Right},
               {"TOKENS", Align::Right},
               {"TOKENS/S", Align::Right},
               {"WHY"}}};
  for (const demo::TourRequest& request : report.requests) {
    const demo::AnswerReport& answer = request.answer;
    table.add({request.ingress, answer.site, format_ms(answer.ttft_ms), format_ms(answer.total_ms),
               std::to_string(answer.tokens), fmt::format("{:.0f}", tokens_per_second(answer)),
               answer.reason});
  }
  if (!report.explanation.empty()) {
    const json::value explanation = json::parse(report.explanation);
    print(fmt::format("\nA request at {}, milliseconds:\n", report.explained_at));
    print(route_table(explanation));
    print(printable(route_sentence(explanation)) + "\n");
  }
  print("\n");
  print(table);
  if (!report.killed.empty()) {
    print(fmt::format("The last answer came after {} was killed.\n", report.killed));
  }
  for (const std::string& fault : report.faults) print("Did not hold: " + printable(fault) + "\n");
  if (report.held()) print("All held.\n");
}

json::value tour_json(const demo::TourReport& report) {
  json::array requests;
  for (const demo::TourRequest& request : report.requests) {
    const demo::AnswerReport& answer = request.answer;
    requests.push_back(json::object{{"ingress", request.ingress},
                                    {"site", answer.site},
                                    {"ttft_ms", rounded(answer.ttft_ms)},
                                    {"total_ms", rounded(answer.total_ms)},
                                    {"tokens", answer.tokens},
                                    {"text", answer.text},
                                    {"reason", answer.reason}});
  }
  json::object object{{"held", report.held()}, {"requests", std::move(requests)}};
  if (!report.held()) object["faults"] = json::value_from(report.faults);
  return object;
}

}  // namespace perigee::cli
