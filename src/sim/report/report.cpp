#include "sim/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "sim/report/line_chart.h"
#include "sim/report/markup.h"
#include "sim/report/page_assets.h"
#include "sim/report/sections.h"

namespace perigee::sim {
namespace {

std::string fact(const std::string& name, const std::string& value) {
  return "<div><dt>" + escape(name) + "</dt><dd>" + value + "</dd></div>";
}

std::string page_head(const Report& report, const RunResult& run) {
  const std::string title = run.title.empty() ? run.scenario : run.title;
  std::string out = "<header><h1>" + escape(title) + "</h1><dl>";
  out += fact("Scenario", "<code>" + escape(run.scenario) + "</code>");
  out += fact("Seed", "<code>" + std::to_string(run.seed) + "</code>");
  out += fact("Digest", fmt::format("<code>{:016x}</code>", run.digest));
  out += fact("Length", format_value(run.duration_s, Unit::Seconds));
  out += fact("Sites", format_count(run.sites.size()));
  if (!report.sweep_key.empty() && report.shown < report.sweep_values.size()) {
    out += fact("Shown", "<code>" + escape(report.sweep_key) + " = " +
                             escape(report.sweep_values[report.shown]) + "</code>");
  }
  out += "</dl><p class=\"headline\">" + headline(report, run) + "</p></header>";
  return out;
}

std::string selector(const RunResult& run) {
  std::string out = "<nav aria-label=\"Shown\">";
  for (std::size_t i = 0; i < run.policies.size(); ++i) {
    fmt::format_to(std::back_inserter(out),
                   "<button type=\"button\" data-s=\"{}\" aria-pressed=\"false\"><svg width=\"18\" "
                   "height=\"8\" aria-hidden=\"true\"><g class=\"series {}\"><path d=\"M0 4H18\"/>"
                   "</g></svg>{}</button>",
                   i, style_classes(i), escape(run.policies[i].policy));
  }
  return out + "</nav>";
}

std::string heading(const std::string& title, const std::string& note) {
  return "<h2>" + escape(title) + "</h2><p>" + escape(note) + "</p>";
}

std::string policy_list(const Report& report) {
  if (report.policies.empty()) return "";
  std::string out = heading("What was compared", "Each rule as its authors published it.") +
                    "<div class=\"wide\"><table class=\"about\"><tbody>";
  for (const ReportPolicy& policy : report.policies) {
    out += "<tr><th scope=\"row\">" + escape(policy.name) + "</th><td>" + escape(policy.summary) +
           "</td></tr>";
  }
  return out + "</tbody></table></div>";
}

std::string page_body(const Report& report, const RunResult& run) {
  std::string out = tiles(run);
  for (const ReportTable& own : report.tables) out += own_table(own);
  out += summary_table(report, run);
  if (run.policies.size() > 1) out += selector(run);
  out += heading("Comparison", "What the users got, and at which price.");
  out += comparison_section(run);
  if (!report.sweep_key.empty()) {
    out += heading("Sweep", "The same scenario and seed at several values of one key.");
    out += sweep_section(report);
  }
  out += heading("Latency", "All served requests; a refused or failed one has no latency.");
  out += distribution_section(run) + latency_table(report, run) + class_table(report, run);
  out += heading("Over time", "Virtual time of the run.");
  out += timeline_section(run);
  out += heading("Where", "Each site at its longitude and latitude. The buttons above choose.");
  for (std::size_t i = 0; i < run.policies.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "<section class=\"view\" data-s=\"{}\">", i);
    out += site_section(run, i) + "</section>";
  }
  return out + policy_list(report);
}

}  // namespace

std::string render_report(const Report& report) {
  PERIGEE_ASSERT(!report.runs.empty());
  const RunResult& run = report.runs[std::min(report.shown, report.runs.size() - 1)];
  const std::size_t first = run.policies.empty() ? 0 : ranking(run)[0];
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
      "<title>";
  out += escape(run.scenario) + " – Perigee</title><style>" + kPageStyle + "</style></head>\n";
  fmt::format_to(std::back_inserter(out), "<body data-first=\"{}\">", first);
  out += page_head(report, run) + "<main>\n" + page_body(report, run) + "</main>\n";
  out += "<footer>Simulated by Perigee" +
         (report.version.empty() ? std::string{} : " " + escape(report.version)) +
         " with the routing code of its sites. The same scenario and seed give the same digest on "
         "every machine.</footer>\n<script>";
  out += kPageScript;
  return out + "</script></body></html>\n";
}

}  // namespace perigee::sim
