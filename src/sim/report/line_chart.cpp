#include "sim/report/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "sim/report/scale.h"

namespace perigee::sim {
namespace {

constexpr double kWidth = 640;
constexpr double kHeight = 300;
constexpr double kLeft = 62;
constexpr double kRight = 612;
constexpr double kTop = 14;
constexpr double kBottom = 254;
constexpr std::size_t kColours = 8;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

bool drawable(const LineChart& chart, const ChartPoint& point) {
  return std::isfinite(point.x) && std::isfinite(point.y) && (!chart.x_log || point.x > 0) &&
         (!chart.y_log || point.y > 0);
}

Scale make_scale(bool log, const Range& range, double from, double to) {
  return log ? Scale::logarithmic(range.low, range.high, from, to)
             : Scale::linear(range.low, range.high, from, to);
}

void draw_axes(std::string& out, const LineChart& chart, const Scale& x, const Scale& y) {
  auto to = std::back_inserter(out);
  for (const double tick : y.ticks()) {
    const std::string at = coordinate(y.at(tick));
    fmt::format_to(to, "<path class=\"grid\" d=\"M{} {}H{}\"/>", kLeft, at, kRight);
    fmt::format_to(to, "<text x=\"{}\" y=\"{}\" class=\"tick end\">{}</text>", kLeft - 6,
                   coordinate(y.at(tick) + 4), format_tick(tick, chart.y_unit));
  }
  double last = -100;
  for (const double tick : x.ticks()) {
    const double at = x.at(tick);
    if (at - last < 44) continue;
    last = at;
    fmt::format_to(to, "<path class=\"grid\" d=\"M{} {}V{}\"/>", coordinate(at), kTop, kBottom);
    fmt::format_to(to, "<text x=\"{}\" y=\"{}\" class=\"tick mid\">{}</text>", coordinate(at),
                   kBottom + 16, format_tick(tick, chart.x_unit));
  }
  fmt::format_to(to, "<path class=\"axis\" d=\"M{0} {1}V{2}H{3}\"/>", kLeft, kTop, kBottom, kRight);
  fmt::format_to(to, "<text x=\"{}\" y=\"{}\" class=\"label mid\">{}</text>",
                 coordinate((kLeft + kRight) / 2), kBottom + 36, escape(chart.x_title));
}

void draw_bands(std::string& out, const LineChart& chart, const Scale& x) {
  for (const ChartBand& band : chart.bands) {
    if (!std::isfinite(band.from) || !std::isfinite(band.to)) continue;
    if (band.to <= x.low() || band.from >= x.high()) continue;
    const double left = x.at(band.from);
    fmt::format_to(std::back_inserter(out),
                   "<rect class=\"band\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}"
                   "</title></rect>",
                   coordinate(left), kTop, coordinate(std::max(1.0, x.at(band.to) - left)),
                   kBottom - kTop, escape(band.label));
  }
}

void draw_series(std::string& out, const LineChart& chart, const ChartSeries& series,
                 const Scale& x, const Scale& y) {
  auto to = std::back_inserter(out);
  std::string points;
  std::string dots;
  std::size_t count = 0;
  for (const ChartPoint& point : series.points) {
    if (!drawable(chart, point)) continue;
    const std::string px = coordinate(x.at(point.x));
    const std::string py = coordinate(y.at(point.y));
    points += (count == 0 ? "" : " ") + px + "," + py;
    ++count;
    if (chart.markers || series.points.size() == 1) {
      fmt::format_to(std::back_inserter(dots), "<circle cx=\"{}\" cy=\"{}\" r=\"3.5\"/>", px, py);
    }
  }
  if (count == 0) return;
  fmt::format_to(to, "<g class=\"series {}\" data-s=\"{}\" data-name=\"{}\">",
                 style_classes(series.style), series.style, escape(series.name));
  fmt::format_to(to, "<polyline points=\"{}\"/>{}</g>", points, dots);
}

std::string scale_data(char axis, const Scale& scale, Unit unit) {
  return fmt::format(" data-{}=\"{} {} {} {} {} {}\"", axis, scale.is_log() ? "log" : "lin",
                     scale.low(), scale.high(), coordinate(scale.from()), coordinate(scale.to()),
                     to_string(unit));
}

}  // namespace

std::string style_classes(std::size_t style) {
  const std::size_t dashes = std::min<std::size_t>(style / kColours, 2);
  return fmt::format("c{}{}", style % kColours, dashes > 0 ? fmt::format(" d{}", dashes) : "");
}

std::string legend(const std::vector<ChartSeries>& series) {
  std::string out = "<ul class=\"legend\">";
  for (const ChartSeries& one : series) {
    fmt::format_to(std::back_inserter(out),
                   "<li data-s=\"{0}\"><svg width=\"26\" height=\"10\" aria-hidden=\"true\">"
                   "<g class=\"series {1}\"><path d=\"M1 5H25\"/></g></svg>{2}</li>",
                   one.style, style_classes(one.style), escape(one.name));
  }
  return out + "</ul>";
}

std::string figure(const std::string& title, const std::string& note, const std::string& svg,
                   const std::string& after) {
  return "<figure><figcaption><b>" + escape(title) + "</b><span>" + escape(note) +
         "</span></figcaption>" + svg + after + "</figure>\n";
}

std::string render(const LineChart& chart) {
  Range of_x;
  Range of_y;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      if (!drawable(chart, point)) continue;
      of_x.add(point.x);
      of_y.add(point.y);
    }
  }
  if (of_x.low > of_x.high) {
    return figure(chart.title, chart.note, "<p class=\"empty\">Nothing to plot.</p>", "");
  }
  if (chart.y_from_zero && !chart.y_log) of_y.add(0);
  if (chart.y_high > 0) of_y.add(chart.y_high);
  const Scale x = make_scale(chart.x_log, of_x, kLeft, kRight);
  const Scale y = make_scale(chart.y_log, of_y, kBottom, kTop);
  std::string svg = fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {}\"{}{}>", kWidth,
      kHeight, escape(chart.title), escape(chart.note), scale_data('x', x, chart.x_unit),
      scale_data('y', y, chart.y_unit));
  draw_bands(svg, chart, x);
  draw_axes(svg, chart, x, y);
  for (auto series = chart.series.rbegin(); series != chart.series.rend(); ++series) {
    draw_series(svg, chart, *series, x, y);
  }
  svg += "</svg>";
  const std::string y_title = "<div class=\"ytitle\">" + escape(chart.y_title) + "</div>";
  return figure(chart.title, chart.note, y_title + svg,
                chart.legend ? legend(chart.series) : std::string{});
}

}  // namespace perigee::sim
