// Figures with one row per policy: bars, and spans of quantiles.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/report/markup.h"
#include "sim/result.h"

namespace perigee::sim {

struct BarRow {
  std::string name;
  std::size_t style = 0;  // as in ChartSeries
  double value = 0;
  std::string label;  // beside the bar
};

// Bars from zero; values that are not finite or below zero have none.
std::string render_bars(const std::string& title, const std::string& note,
                        const std::vector<BarRow>& rows);

struct SpanRow {
  std::string name;
  std::size_t style = 0;
  Quantiles values;
};

// Median, 90th and 99th percentile as three marks on one line, on a logarithmic axis.
std::string render_spans(const std::string& title, const std::string& note, Unit unit,
                         const std::vector<SpanRow>& rows);

}  // namespace perigee::sim
