#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <iterator>
#include <optional>

#include "sim/report/comparison_charts.h"
#include "sim/report/line_chart.h"
#include "sim/report/sections.h"
#include "sim/report/site_map.h"

namespace perigee::sim {
namespace {

constexpr std::size_t kSiteRows = 600;  // of all policies together
constexpr std::size_t kMapSites = 2'000;
constexpr std::size_t kMapFlows = 1'000;

std::vector<ChartSeries> per_policy(
    const RunResult& run,
    const std::function<std::vector<ChartPoint>(const PolicyResult&)>& points) {
  std::vector<ChartSeries> series;
  for (std::size_t i = 0; i < run.policies.size(); ++i) {
    series.push_back({run.policies[i].policy, i, points(run.policies[i])});
  }
  return series;
}

std::string distribution(const RunResult& run, const std::string& name, const std::string& note,
                         std::vector<float> PolicyResult::* quantiles) {
  LineChart chart;
  chart.title = name + ", distribution";
  chart.note = note;
  chart.x_title = name + " (logarithmic)";
  chart.y_title = "Requests at most so slow";
  chart.x_unit = Unit::Milliseconds;
  chart.y_unit = Unit::Percent;
  chart.x_log = true;
  chart.y_high = 1;
  chart.series = per_policy(run, [&](const PolicyResult& policy) {
    std::vector<ChartPoint> points;
    const std::vector<float>& values = policy.*quantiles;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double share =
          values.size() > 1 ? static_cast<double>(i) / static_cast<double>(values.size() - 1) : 1;
      points.push_back({static_cast<double>(values[i]), share});
    }
    return points;
  });
  return render(chart);
}

std::string timeline(const RunResult& run, const std::string& title, const std::string& note,
                     const std::string& y_title, Unit unit, bool log,
                     const std::function<double(const PolicyResult&, const TimelineStep&)>& value) {
  LineChart chart;
  chart.title = title;
  chart.note = note;
  chart.x_title = "Time since the start";
  chart.y_title = y_title;
  chart.x_unit = Unit::Seconds;
  chart.y_unit = unit;
  chart.y_log = log;
  chart.series = per_policy(run, [&](const PolicyResult& policy) {
    std::vector<ChartPoint> points;
    for (std::size_t i = 0; i < policy.timeline.size(); ++i) {
      const double at = (static_cast<double>(i) + 0.5) * policy.timeline_step_s;
      points.push_back({at, value(policy, policy.timeline[i])});
    }
    return points;
  });
  for (const FaultInfo& fault : run.faults) {
    chart.bands.push_back({"fault: " + fault.what, fault.start_s, fault.end_s});
  }
  return render(chart);
}

double per_second(const PolicyResult& policy, std::uint32_t count) {
  return policy.timeline_step_s > 0 ? count / policy.timeline_step_s : 0;
}

std::optional<double> number_of(const std::string& text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// One line per policy over the values of the sweep; what is no number stands at its position.
std::string sweep_chart(const Report& report, LineChart chart,
                        const std::function<double(const PolicyResult&)>& value) {
  std::vector<double> places;
  bool numbers = true;
  for (std::size_t i = 0; i < report.runs.size(); ++i) {
    const std::optional<double> x =
        i < report.sweep_values.size() ? number_of(report.sweep_values[i]) : std::nullopt;
    numbers = numbers && x.has_value();
    places.push_back(x.value_or(0));
  }
  for (std::size_t i = 0; i < places.size() && !numbers; ++i) {
    places[i] = static_cast<double>(i + 1);
  }
  chart.x_title = numbers ? report.sweep_key : report.sweep_key + " (number of the value)";
  chart.markers = true;
  const RunResult& first = report.runs.front();
  for (std::size_t i = 0; i < first.policies.size(); ++i) {
    ChartSeries series{first.policies[i].policy, i, {}};
    for (std::size_t k = 0; k < report.runs.size(); ++k) {
      if (i >= report.runs[k].policies.size()) continue;
      series.points.push_back({places[k], value(report.runs[k].policies[i])});
    }
    chart.series.push_back(std::move(series));
  }
  return render(chart);
}

std::vector<std::string> site_cells(const RunResult& run, const SiteResult& site) {
  const SiteInfo& info = run.sites[site.site];
  const double own =
      site.served > 0 ? static_cast<double>(site.served_own) / static_cast<double>(site.served) : 0;
  const double good =
      site.arrived > 0 ? static_cast<double>(site.good) / static_cast<double>(site.arrived) : 0;
  return {info.name,
          format_count(info.engines),
          format_count(site.arrived),
          site.arrived > 0 ? format_share(good) : "–",
          format_count(site.served),
          site.served > 0 ? format_share(own) : "–",
          info.engines > 0 ? format_share(site.utilisation) : "–",
          format_count(site.preemptions),
          site.arrived > 0 ? format_value(site.ttft_ms_p50, Unit::Milliseconds) : "–",
          site.arrived > 0 ? format_value(site.ttft_ms_p99, Unit::Milliseconds) : "–"};
}

}  // namespace

std::string comparison_section(const RunResult& run) {
  std::vector<BarRow> goodput;
  std::vector<BarRow> slow;
  std::vector<SpanRow> ttft;
  std::vector<SpanRow> e2e;
  for (const std::size_t i : ranking(run)) {
    const PolicyResult& p = run.policies[i];
    goodput.push_back(
        {p.policy, i, p.goodput_rps,
         format_value(p.goodput_rps, Unit::PerSecond) + ", " + format_share(p.attainment)});
    slow.push_back({p.policy, i, p.cost_per_mtok, format_number(p.cost_per_mtok)});
    ttft.push_back({p.policy, i, p.ttft_ms});
    e2e.push_back({p.policy, i, p.e2e_ms});
  }
  return "<div class=\"pair\">" +
         render_bars("Goodput",
                     "Requests per second answered inside their class's targets, and the share of "
                     "all that this is. Longer is better.",
                     goodput) +
         render_spans("Time to first token",
                      "Dot: median. Tick: 90 % are faster. Arrow and number: 99 % are faster. "
                      "Further left is better; logarithmic.",
                      Unit::Milliseconds, ttft) +
         render_spans("End to end",
                      "From request to last token: median, 90th and 99th percentile of served "
                      "requests. Logarithmic.",
                      Unit::Milliseconds, e2e) +
         render_bars("Cost per million tokens",
                     "Price of all engines for the run and of backbone traffic, divided by tokens "
                     "served, in the scenario's currency. Shorter is better.",
                     slow) +
         "</div>";
}

std::string distribution_section(const RunResult& run) {
  return "<div class=\"pair\">" +
         distribution(run, "Time to first token",
                      "Share of served requests that got their first token within the time. "
                      "Further left and steeper is better.",
                      &PolicyResult::ttft_ms_quantiles) +
         distribution(run, "Time per output token",
                      "Pace of the stream after its first token; 50 ms are some 20 tokens per "
                      "second.",
                      &PolicyResult::tpot_ms_quantiles) +
         distribution(run, "End to end",
                      "From request to last token; the length of answers dominates it.",
                      &PolicyResult::e2e_ms_quantiles) +
         "</div>";
}

std::string timeline_section(const RunResult& run) {
  const std::string shaded = run.faults.empty() ? std::string{} : std::string{" Shaded: a fault."};
  std::string faults;
  for (const FaultInfo& fault : run.faults) {
    faults += "<li>" + escape(fault.what) + ": from " + format_value(fault.start_s, Unit::Seconds) +
              " to " + format_value(fault.end_s, Unit::Seconds) + "</li>";
  }
  if (!faults.empty()) faults = "<ul class=\"faults\">" + faults + "</ul>";
  return faults + "<div class=\"pair\">" +
         timeline(run, "Load", "Requests that came in, per second." + shaded, "Requests per second",
                  Unit::PerSecond, false,
                  [](const PolicyResult& p, const TimelineStep& s) {
                    return per_second(p, s.arrived);
                  }) +
         timeline(
             run, "Goodput", "Of these, answered inside their targets." + shaded,
             "Requests per second", Unit::PerSecond, false,
             [](const PolicyResult& p, const TimelineStep& s) { return per_second(p, s.good); }) +
         timeline(run, "Queue", "Requests waiting at sites and engines, mean." + shaded,
                  "Requests waiting", Unit::Plain, false,
                  [](const PolicyResult&, const TimelineStep& s) { return s.queued; }) +
         timeline(run, "Time to first token, 99th percentile",
                  "Of the requests that came in at that time; logarithmic." + shaded, "Time",
                  Unit::Milliseconds, true,
                  [](const PolicyResult&, const TimelineStep& s) { return s.ttft_ms_p99; }) +
         timeline(run, "Engine time busy", "Share of all engines' time spent computing." + shaded,
                  "Busy", Unit::Percent, false,
                  [](const PolicyResult&, const TimelineStep& s) { return s.utilisation; }) +
         timeline(run, "Refused and failed", "Requests that got no answer, per second." + shaded,
                  "Requests per second", Unit::PerSecond, false,
                  [](const PolicyResult& p, const TimelineStep& s) {
                    return per_second(p, s.refused + s.failed);
                  }) +
         "</div>";
}

std::string sweep_section(const Report& report) {
  LineChart goodput;
  goodput.title = "Goodput against " + report.sweep_key;
  goodput.note = "Requests per second inside their targets, at each value of the sweep.";
  goodput.y_title = "Requests per second";
  goodput.y_unit = Unit::PerSecond;
  LineChart share = goodput;
  share.title = "Inside targets against " + report.sweep_key;
  share.note = "Share of all requests that were answered inside their targets.";
  share.y_title = "Share of requests";
  share.y_unit = Unit::Percent;
  share.y_high = 1;
  LineChart slow = goodput;
  slow.title = "p99 time to first token against " + report.sweep_key;
  slow.note = "99 % of served requests are faster; logarithmic.";
  slow.y_title = "Time";
  slow.y_unit = Unit::Milliseconds;
  slow.y_log = true;
  return "<div class=\"pair\">" +
         sweep_chart(report, goodput, [](const PolicyResult& p) { return p.goodput_rps; }) +
         sweep_chart(report, share, [](const PolicyResult& p) { return p.attainment; }) +
         sweep_chart(report, slow, [](const PolicyResult& p) { return p.ttft_ms.p99; }) + "</div>";
}

std::string site_section(const RunResult& run, std::size_t policy) {
  const PolicyResult& p = run.policies[policy];
  const std::size_t policies = std::max<std::size_t>(1, run.policies.size());
  const MapLimits limits{std::clamp<std::size_t>(kMapSites / policies, 100, 1'000),
                         std::clamp<std::size_t>(kMapFlows / policies, 50, 300)};
  std::string out = render_map("Who served whom: " + p.policy, run.sites, p, limits);
  std::vector<const SiteResult*> sites;
  for (const SiteResult& site : p.sites) {
    if (site.site < run.sites.size()) sites.push_back(&site);
  }
  std::ranges::sort(sites, [](const SiteResult* a, const SiteResult* b) {
    const std::uint64_t x = a->served + a->arrived;
    const std::uint64_t y = b->served + b->arrived;
    return x != y ? x > y : a->site < b->site;
  });
  const std::size_t all = sites.size();
  sites.resize(std::min(all, std::clamp<std::size_t>(kSiteRows / policies, 20, 100)));
  ReportTable table;
  table.title = "Sites: " + p.policy;
  table.note = fmt::format(
      "Requests that came in at the site, and that its engines served. {} of {} sites, busiest "
      "first; inside targets and TTFT are of the site's own users.",
      sites.size(), format_count(all));
  table.columns = {"Site",       "Engines", "Came in",    "Inside targets", "Served",
                   "Of its own", "Busy",    "Pre-empted", "TTFT p50",       "TTFT p99"};
  for (const SiteResult* site : sites) table.rows.push_back(site_cells(run, *site));
  return out + own_table(table);
}

}  // namespace perigee::sim
