// Line charts as HTML figures with inline SVG. Points that are not finite are left out; a log axis
// leaves out what is not above zero. A series of one point is a dot. The script of the page reads
// values back from the coordinates, by the scales in the data attributes.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "sim/report/markup.h"

namespace perigee::sim {

struct ChartPoint {
  double x = 0;
  double y = 0;
};

struct ChartSeries {
  std::string name;
  std::size_t style = 0;  // colour and dashes; also what the page's selector picks out
  std::vector<ChartPoint> points;
};

// A stretch of the x axis that is shaded.
struct ChartBand {
  std::string label;
  double from = 0;
  double to = 0;
};

struct LineChart {
  std::string title;
  std::string note;  // one line: what is seen
  std::string x_title;
  std::string y_title;
  Unit x_unit = Unit::Plain;
  Unit y_unit = Unit::Plain;
  bool x_log = false;
  bool y_log = false;
  bool y_from_zero = true;
  double y_high = 0;  // at least so high; 0: as the data
  bool markers = false;
  bool legend = true;
  std::vector<ChartSeries> series;
  std::vector<ChartBand> bands;
};

std::string render(const LineChart& chart);

// A figure round `svg`: title, line of explanation, drawing, what follows it.
std::string figure(const std::string& title, const std::string& note, const std::string& svg,
                   const std::string& after);
// Swatches with names. Styles are numbered as in ChartSeries.
std::string legend(const std::vector<ChartSeries>& series);
// The classes of a drawn thing of that style: colour, and dashes beyond the eighth.
std::string style_classes(std::size_t style);

}  // namespace perigee::sim
