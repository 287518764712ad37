#include "sim/report/comparison_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "sim/report/line_chart.h"
#include "sim/report/scale.h"

namespace perigee::sim {
namespace {

constexpr double kWidth = 640;
constexpr double kRow = 24;
constexpr double kNames = 176;
constexpr double kRight = 560;
constexpr double kBarRight = 520;  // leaves room for two figures

std::string open_svg(const std::string& title, const std::string& note, double height) {
  return fmt::format(
      "<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}: {}\">", kWidth,
      coordinate(height), escape(title), escape(note));
}

void draw_name(std::string& out, const std::string& name, double y) {
  fmt::format_to(std::back_inserter(out), "<text x=\"{}\" y=\"{}\" class=\"name end\">{}</text>",
                 kNames - 8, coordinate(y + 4), escape(name));
}

bool plottable(double value) { return std::isfinite(value) && value > 0; }

void draw_span(std::string& out, const SpanRow& row, const Scale& x, Unit unit, double y) {
  auto to = std::back_inserter(out);
  const Quantiles& q = row.values;
  if (!plottable(q.p50) || !plottable(q.p90) || !plottable(q.p99)) return;
  fmt::format_to(to, "<g class=\"series {}\" data-s=\"{}\"><title>{}: p50 {}, p90 {}, p99 {}",
                 style_classes(row.style), row.style, escape(row.name), format_value(q.p50, unit),
                 format_value(q.p90, unit), format_value(q.p99, unit));
  fmt::format_to(to, "</title><path d=\"M{0} {1}H{2}\"/>", coordinate(x.at(q.p50)), coordinate(y),
                 coordinate(x.at(q.p99)));
  fmt::format_to(to, "<circle cx=\"{}\" cy=\"{}\" r=\"4\"/>", coordinate(x.at(q.p50)),
                 coordinate(y));
  fmt::format_to(to, "<path d=\"M{} {}V{}\"/>", coordinate(x.at(q.p90)), coordinate(y - 5),
                 coordinate(y + 5));
  const double end = x.at(q.p99);
  fmt::format_to(to, "<path class=\"tip\" d=\"M{0} {1}L{2} {3}L{0} {4}Z\"/></g>",
                 coordinate(end - 3), coordinate(y - 6), coordinate(end + 5), coordinate(y),
                 coordinate(y + 6));
  fmt::format_to(to, "<text x=\"{}\" y=\"{}\" class=\"tick\">{}</text>", coordinate(end + 10),
                 coordinate(y + 4), format_value(q.p99, unit));
}

}  // namespace

std::string render_bars(const std::string& title, const std::string& note,
                        const std::vector<BarRow>& rows) {
  double high = 0;
  for (const BarRow& row : rows) {
    if (plottable(row.value)) high = std::max(high, row.value);
  }
  const double height = kRow * static_cast<double>(rows.size()) + 8;
  std::string svg = open_svg(title, note, height);
  double y = 4 + kRow / 2;
  for (const BarRow& row : rows) {
    draw_name(svg, row.name, y);
    const double width =
        plottable(row.value) && high > 0 ? (kBarRight - kNames) * row.value / high : 0;
    fmt::format_to(std::back_inserter(svg),
                   "<g class=\"bar {}\" data-s=\"{}\"><rect x=\"{}\" y=\"{}\" width=\"{}\" "
                   "height=\"{}\"/></g><text x=\"{}\" y=\"{}\" class=\"tick\">{}</text>",
                   style_classes(row.style), row.style, kNames, coordinate(y - 8),
                   coordinate(std::max(width, 1.0)), 16, coordinate(kNames + width + 6),
                   coordinate(y + 4), escape(row.label));
    y += kRow;
  }
  return figure(title, note, svg + "</svg>", "");
}

std::string render_spans(const std::string& title, const std::string& note, Unit unit,
                         const std::vector<SpanRow>& rows) {
  double low = 1e15;
  double high = 0;
  for (const SpanRow& row : rows) {
    if (!plottable(row.values.p50) || !plottable(row.values.p99)) continue;
    low = std::min(low, row.values.p50);
    high = std::max(high, row.values.p99);
  }
  if (high <= 0) return figure(title, note, "<p class=\"empty\">Nothing to plot.</p>", "");
  const double bottom = kRow * static_cast<double>(rows.size()) + 6;
  const Scale x = Scale::logarithmic(low, high, kNames + 4, kRight);
  std::string svg = open_svg(title, note, bottom + 24);
  double last = -100;
  for (const double tick : x.ticks()) {
    if (x.at(tick) - last < 46) continue;
    last = x.at(tick);
    fmt::format_to(std::back_inserter(svg),
                   "<path class=\"grid\" d=\"M{0} 2V{1}\"/><text x=\"{0}\" y=\"{2}\" "
                   "class=\"tick mid\">{3}</text>",
                   coordinate(x.at(tick)), coordinate(bottom), coordinate(bottom + 16),
                   format_tick(tick, unit));
  }
  double y = 4 + kRow / 2;
  for (const SpanRow& row : rows) {
    draw_name(svg, row.name, y);
    draw_span(svg, row, x, unit, y);
    y += kRow;
  }
  return figure(title, note, svg + "</svg>", "");
}

}  // namespace perigee::sim
