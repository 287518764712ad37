#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "core/class_targets.h"
#include "sim/report/line_chart.h"
#include "sim/report/markup.h"
#include "sim/report/sections.h"

namespace perigee::sim {
namespace {

std::string ms(double value) { return format_value(value, Unit::Milliseconds); }

double share_of(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

// "1.4 % more than", "2.5 times as many as".
std::string lead_of(double ratio) {
  if (ratio < 2) return format_share(ratio - 1) + " more than";
  return format_number(ratio) + " times as many as";
}

std::string head(const std::vector<std::string>& columns, const std::string& attributes = "") {
  std::string out = "<thead><tr" + attributes + ">";
  for (const std::string& column : columns) out += "<th scope=\"col\">" + escape(column) + "</th>";
  return out + "</tr></thead>";
}

std::string row(const std::vector<std::string>& cells, const std::string& attributes) {
  std::string out = "<tr" + attributes + ">";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    out += i == 0 ? "<th scope=\"row\">" + escape(cells[i]) + "</th>"
                  : "<td>" + escape(cells[i]) + "</td>";
  }
  return out + "</tr>";
}

std::string table(const std::string& title, const std::string& note, const std::string& inside) {
  return figure(title, note, "<div class=\"wide\"><table>" + inside + "</table></div>", "");
}

std::string tile(const std::string& value, const std::string& name, const std::string& more) {
  return "<li><b>" + escape(value) + "</b><span>" + escape(name) + "</span><small>" + escape(more) +
         "</small></li>";
}

}  // namespace

std::vector<std::size_t> ranking(const RunResult& run) {
  std::vector<std::size_t> order(run.policies.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto goodput = [&](std::size_t i) {
    const double value = run.policies[i].goodput_rps;
    return std::isfinite(value) ? value : -1;
  };
  const auto slowest = [&](std::size_t i) {
    const double value = run.policies[i].ttft_ms.p99;
    return std::isfinite(value) ? value : 1e18;
  };
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    if (goodput(a) != goodput(b)) return goodput(a) > goodput(b);
    return slowest(a) != slowest(b) ? slowest(a) < slowest(b) : a < b;
  });
  return order;
}

std::string headline(const Report& report, const RunResult& run) {
  if (!report.headline.empty()) return escape(report.headline);
  if (run.policies.empty()) return "No policy was run.";
  const std::vector<std::size_t> order = ranking(run);
  const PolicyResult& best = run.policies[order[0]];
  std::string out;
  if (!report.sweep_key.empty() && report.shown < report.sweep_values.size()) {
    out =
        "At " + escape(report.sweep_key) + " = " + escape(report.sweep_values[report.shown]) + ": ";
  }
  fmt::format_to(std::back_inserter(out),
                 "{}ost goodput: <b>{}</b> answers {} requests per second inside their targets, {} "
                 "of all that "
                 "came.",
                 out.empty() ? 'M' : 'm', escape(best.policy), format_number(best.goodput_rps),
                 format_share(best.attainment));
  if (order.size() < 2) return out;
  const PolicyResult& next = run.policies[order[1]];
  const PolicyResult& last = run.policies[order.back()];
  if (next.goodput_rps > 0) {
    fmt::format_to(std::back_inserter(out), " {} the next, {}",
                   lead_of(best.goodput_rps / next.goodput_rps), escape(next.policy));
    if (order.size() > 2 && last.goodput_rps > 0) {
      fmt::format_to(std::back_inserter(out), ", and {} the last, {}",
                     lead_of(best.goodput_rps / last.goodput_rps), escape(last.policy));
    }
    out += ".";
  }
  return out;
}

std::string tiles(const RunResult& run) {
  if (run.policies.empty()) return "";
  const PolicyResult& best = run.policies[ranking(run)[0]];
  const auto engines =
      std::accumulate(run.sites.begin(), run.sites.end(), std::uint64_t{0},
                      [](std::uint64_t sum, const SiteInfo& site) { return sum + site.engines; });
  std::string out = "<ul class=\"tiles\">";
  out += tile(format_value(best.goodput_rps, Unit::PerSecond), "goodput", "most: " + best.policy);
  out += tile(format_share(best.attainment), "inside targets", best.policy);
  out += tile(ms(best.ttft_ms.p99), "p99 time to first token", best.policy);
  out += tile(format_number(best.cost_per_mtok), "cost per million tokens", best.policy);
  out += tile(format_share(best.utilisation), "of engine time busy",
              format_count(engines) + " engines");
  out += tile(format_count(best.requests), "requests", format_value(run.duration_s, Unit::Seconds));
  return out + "</ul>";
}

std::string summary_table(const Report& report, const RunResult& run) {
  std::string inside = head(
      {"#", report.subject, "Goodput", "Inside targets", "TTFT p50", "TTFT p99", "End to end p99",
       "Refused", "Failed", "Busy", "Cached prompt", "Backbone", "Cost per Mtok", "Fairness"},
      " class=\"named\"");
  inside += "<tbody>";
  std::size_t rank = 0;
  for (const std::size_t i : ranking(run)) {
    const PolicyResult& p = run.policies[i];
    inside += row(
        {std::to_string(++rank), p.policy, format_value(p.goodput_rps, Unit::PerSecond),
         format_share(p.attainment), ms(p.ttft_ms.p50), ms(p.ttft_ms.p99), ms(p.e2e_ms.p99),
         format_share(share_of(p.refused + p.unlawful, p.requests)),
         format_share(share_of(p.failed + p.unfinished, p.requests)), format_share(p.utilisation),
         format_share(p.prefix_hit), format_bytes(static_cast<double>(p.backbone_bytes)),
         format_number(p.cost_per_mtok), format_number(p.fairness)},
        " class=\"named\" data-s=\"" + std::to_string(i) + "\"");
  }
  return table("Summary",
               "Ranked by goodput: requests per second answered inside the targets of their class. "
               "TTFT: time to first token as the client sees it. Busy: share of engine time. "
               "Cached prompt: share of prompt tokens found in a prefix cache. Cost: engines and "
               "backbone at the scenario's prices, per million tokens. Fairness: Jain's index over "
               "tenants, 1 is even.",
               inside + "</tbody>");
}

std::string latency_table(const Report& report, const RunResult& run) {
  std::string inside = head({report.subject, "TTFT p50", "p90", "p99", "TPOT p50", "p90", "p99",
                             "End to end p50", "p90", "p99"});
  inside += "<tbody>";
  for (const std::size_t i : ranking(run)) {
    const PolicyResult& p = run.policies[i];
    std::vector<std::string> cells{p.policy};
    for (const Quantiles& q : {p.ttft_ms, p.tpot_ms, p.e2e_ms}) {
      for (const double value : {q.p50, q.p90, q.p99}) cells.push_back(ms(value));
    }
    inside += row(cells, " data-s=\"" + std::to_string(i) + "\"");
  }
  return table("Latency in numbers",
               "TTFT: time to first token. TPOT: time per output token after it. p50: half of the "
               "served requests are faster; p99: 99 % are.",
               inside + "</tbody>");
}

std::string class_table(const Report& report, const RunResult& run) {
  std::string inside = head({report.subject, "Class", "Requests", "Inside targets", "Refused",
                             "TTFT p50", "TTFT p99", "TTFT target", "TPOT p99", "TPOT target"});
  inside += "<tbody>";
  for (const std::size_t i : ranking(run)) {
    const PolicyResult& p = run.policies[i];
    for (const ClassResult& c : p.classes) {
      const ClassTargets targets = targets_of(c.service_class);
      inside +=
          row({p.policy, std::string{to_string(c.service_class)}, format_count(c.requests),
               format_share(share_of(c.good, c.requests)),
               format_share(share_of(c.refused, c.requests)), ms(c.ttft_ms.p50), ms(c.ttft_ms.p99),
               ms(targets.ttft_ms), ms(c.tpot_ms.p99), ms(targets.tpot_ms)},
              " data-s=\"" + std::to_string(i) + "\"");
    }
  }
  return table("Service classes",
               "Each class has its own targets; a request counts as good when both hold.",
               inside + "</tbody>");
}

std::string own_table(const ReportTable& own) {
  std::string inside = head(own.columns) + "<tbody>";
  for (const std::vector<std::string>& cells : own.rows) inside += row(cells, "");
  return table(own.title, own.note, inside + "</tbody>");
}

}  // namespace perigee::sim
