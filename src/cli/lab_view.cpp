#include "cli/lab_view.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/output.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

std::string joined(const std::map<std::string, std::size_t>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, name);
  }
  return text.empty() ? "none" : text;
}

json::object counts_json(const std::map<std::string, std::size_t>& counts) {
  json::object object;
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

}  // namespace

void print_lab(const lab::LabReport& report) {
  print(fmt::format("{}: {}\n", report.name, printable(report.title)));
  print(fmt::format("seed {}, {} requests in {:.1f} s; faults: {}\n\n", report.seed,
                    report.figures.requests, report.figures.load_s, joined(report.faults)));
  Table table{{{"CHECK"}, {"HELD"}, {"WHAT WAS SEEN"}}};
  for (const lab::Check& check : report.checks) {
    const Cell held = check.held ? Cell{"yes", Tone::Good} : Cell{"NO", Tone::Bad};
    table.add({Cell{check.name, Tone::Strong}, held, check.says});
  }
  print(table);
  for (const lab::Check& check : report.checks) {
    for (const std::string& example : check.examples) {
      print(fmt::format("  {}: {}\n", check.name, printable(example)));
    }
  }
  if (report.held()) print("\nAll held.\n");
}

json::object lab_json(const lab::LabReport& report) {
  json::array checks;
  for (const lab::Check& check : report.checks) {
    checks.push_back(json::object{{"name", check.name},
                                  {"held", check.held},
                                  {"says", check.says},
                                  {"examples", json::value_from(check.examples)}});
  }
  const lab::Figures& f = report.figures;
  json::object figures{{"requests", f.requests},
                       {"complete", f.complete},
                       {"refused", f.refused},
                       {"disturbed_streams", f.disturbed},
                       {"faults", f.faults},
                       {"faults_passed_over", f.passed_over},
                       {"tokens", f.tokens},
                       {"near_ties", f.near_ties},
                       {"near_tie_gap_max", f.gap_max},
                       {"texts_equal_to_undisturbed", f.equal},
                       {"texts_compared", f.compared},
                       {"typical_gap_ms_p50", f.typical_gap_ms_p50},
                       {"switch_gap_ms_p50", f.switch_gap_ms_p50},
                       {"switch_gap_ms_p99", f.switch_gap_ms_p99},
                       {"cuts", f.cuts},
                       {"routing_ms_max", f.routing_ms_max},
                       {"first_text_ms_p50", f.first_text_ms_p50},
                       {"first_text_ms_p99", f.first_text_ms_p99},
                       {"load_s", f.load_s}};
  return json::object{{"lab", report.name},
                      {"title", report.title},
                      {"seed", report.seed},
                      {"held", report.held()},
                      {"checks", std::move(checks)},
                      {"figures", std::move(figures)},
                      {"faults", counts_json(report.faults)},
                      {"failures", counts_json(report.failures)}};
}

}  // namespace perigee::cli
