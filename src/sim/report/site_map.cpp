#include "sim/report/site_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>

#include "sim/report/line_chart.h"
#include "sim/report/markup.h"

namespace perigee::sim {
namespace {

constexpr double kWidth = 960;
constexpr double kHeightMost = 520;
constexpr double kHeightLeast = 260;
constexpr double kMargin = 44;
constexpr double kSpanLeast = 2;  // degrees: one town fills no map
constexpr std::size_t kNamesMax = 24;
constexpr double kRadiusMost = 17;
constexpr double kTickHeight = 11;  // as the page's style has it

struct Box {
  double west = 180;
  double east = -180;
  double south = 90;
  double north = -90;
};

struct Projection {
  Box box;
  double scale_x = 1;  // per degree
  double scale_y = 1;
  double left = 0;
  double top = 0;
  double width = kWidth;
  double height = kHeightMost;
  double x(double longitude) const { return left + (longitude - box.west) * scale_x; }
  double y(double latitude) const { return top + (box.north - latitude) * scale_y; }
};

bool placed(const SiteInfo& site) {
  return std::isfinite(site.latitude) && std::isfinite(site.longitude) &&
         std::abs(site.latitude) <= 90 && std::abs(site.longitude) <= 180;
}

void widen(double& low, double& high, double least) {
  if (high - low >= least) return;
  const double middle = (low + high) / 2;
  low = middle - least / 2;
  high = middle + least / 2;
}

Projection project(const std::vector<SiteInfo>& sites) {
  Projection p;
  for (const SiteInfo& site : sites) {
    if (!placed(site)) continue;
    p.box.west = std::min(p.box.west, site.longitude);
    p.box.east = std::max(p.box.east, site.longitude);
    p.box.south = std::min(p.box.south, site.latitude);
    p.box.north = std::max(p.box.north, site.latitude);
  }
  if (p.box.west > p.box.east) p.box = {-180, 180, -60, 75};
  widen(p.box.west, p.box.east, kSpanLeast);
  widen(p.box.south, p.box.north, kSpanLeast);
  const double middle = (p.box.south + p.box.north) / 2 * std::numbers::pi / 180;
  const double narrow = std::max(0.2, std::cos(middle));
  const double wide = (p.box.east - p.box.west) * narrow;
  const double high = p.box.north - p.box.south;
  const double scale = std::min((kWidth - 2 * kMargin) / wide, (kHeightMost - 2 * kMargin) / high);
  p.scale_y = scale;
  p.scale_x = scale * narrow;
  p.height = std::max(kHeightLeast, high * scale + 2 * kMargin);
  p.left = (kWidth - wide * scale) / 2;
  p.top = (p.height - high * scale) / 2;
  return p;
}

double graticule_step(double span) {
  for (const double step : {0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0}) {
    if (span / step <= 12) return step;
  }
  return 45;
}

void draw_graticule(std::string& out, const Projection& p) {
  auto to = std::back_inserter(out);
  const double pixels = std::max(1e-9, std::min(p.scale_x, p.scale_y));
  const double step = graticule_step(std::min(360.0, kWidth / pixels));
  const double west = p.box.west - p.left / p.scale_x;
  const double north = p.box.north + p.top / p.scale_y;
  for (double lon = std::ceil(west / step) * step; p.x(lon) < p.width; lon += step) {
    if (std::abs(lon) > 180) continue;
    const char* side = lon < 0 ? "°W" : lon > 0 ? "°E" : "°";
    fmt::format_to(to,
                   "<path class=\"grid\" d=\"M{0} 0V{1}\"/><text x=\"{2}\" y=\"{3}\" "
                   "class=\"tick\">{4}{5}</text>",
                   coordinate(p.x(lon)), coordinate(p.height), coordinate(p.x(lon) + 3),
                   coordinate(p.height - 5), format_tick(std::abs(lon), Unit::Plain), side);
  }
  for (double lat = std::floor(north / step) * step; p.y(lat) < p.height; lat -= step) {
    if (std::abs(lat) > 90) continue;
    const char* side = lat < 0 ? "°S" : lat > 0 ? "°N" : "°";
    const double y = p.y(lat);
    // Above its line, or below it where the map begins.
    const double text_y = y < kTickHeight + 3 ? y + kTickHeight : y - 3;
    fmt::format_to(to,
                   "<path class=\"grid\" d=\"M0 {0}H{1}\"/><text x=\"4\" y=\"{2}\" "
                   "class=\"tick\">{3}{4}</text>",
                   coordinate(y), kWidth, coordinate(text_y),
                   format_tick(std::abs(lat), Unit::Plain), side);
  }
}

// The positions in `all` of the `most` largest, in their own order.
template <typename Row, typename Size>
std::vector<std::size_t> largest(const std::vector<Row>& all, std::size_t most, Size size) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (size(all[i]) > 0) rows.push_back(i);
  }
  std::ranges::sort(rows, [&](std::size_t a, std::size_t b) {
    const auto x = size(all[a]);
    const auto y = size(all[b]);
    return x != y ? x > y : a < b;
  });
  if (rows.size() > most) rows.resize(most);
  return rows;
}

void draw_flows(std::string& out, const Projection& p, const std::vector<SiteInfo>& sites,
                const std::vector<const FlowResult*>& flows) {
  if (flows.empty()) return;
  const auto most = static_cast<double>(flows.front()->requests);
  for (const FlowResult* flow : flows) {
    const SiteInfo& from = sites[flow->from];
    const SiteInfo& to = sites[flow->to];
    const double x0 = p.x(from.longitude);
    const double y0 = p.y(from.latitude);
    const double x1 = p.x(to.longitude);
    const double y1 = p.y(to.latitude);
    const double bend = 0.16;
    fmt::format_to(std::back_inserter(out),
                   "<path class=\"flow\" stroke-width=\"{}\" d=\"M{} {}Q{} {} {} {}\"><title>{} to "
                   "{}: {} requests</title></path>",
                   coordinate(0.7 + 5 * std::sqrt(static_cast<double>(flow->requests) / most)),
                   coordinate(x0), coordinate(y0), coordinate((x0 + x1) / 2 + bend * (y1 - y0)),
                   coordinate((y0 + y1) / 2 - bend * (x1 - x0)), coordinate(x1), coordinate(y1),
                   escape(from.name), escape(to.name), format_count(flow->requests));
  }
}

int shade(double utilisation) {
  if (!(utilisation > 0)) return 0;
  if (utilisation < 0.4) return 1;
  if (utilisation < 0.7) return 2;
  return utilisation < 0.9 ? 3 : 4;
}

void draw_site(std::string& out, const Projection& p, const SiteInfo& info, const SiteResult& site,
               double most) {
  const double share = most > 0 ? static_cast<double>(site.served) / most : 0;
  const double radius = info.engines > 0 ? 4 + (kRadiusMost - 4) * std::sqrt(share) : 2.5;
  fmt::format_to(std::back_inserter(out),
                 "<circle class=\"site u{}\" cx=\"{}\" cy=\"{}\" r=\"{}\"><title>{}: {} engines, "
                 "{} served, {} came in, {} busy</title></circle>",
                 info.engines > 0 ? shade(site.utilisation) : 5, coordinate(p.x(info.longitude)),
                 coordinate(p.y(info.latitude)), coordinate(radius), escape(info.name),
                 info.engines, format_count(site.served), format_count(site.arrived),
                 format_share(site.utilisation));
}

struct Label {
  double left, right, y;
};

// Names of the busiest sites, where they cover no other name.
void draw_names(std::string& out, const Projection& p, const std::vector<SiteInfo>& sites,
                const std::vector<const SiteResult*>& shown) {
  std::vector<Label> taken;
  for (const SiteResult* site : shown) {
    if (taken.size() >= kNamesMax) return;
    const SiteInfo& info = sites[site->site];
    const double wide = 7.0 * static_cast<double>(std::min<std::size_t>(info.name.size(), 40));
    const double x = p.x(info.longitude);
    const bool flip = x + 18 + wide > kWidth;
    const double left = flip ? x - 18 - wide : x + 18;
    const double y = p.y(info.latitude) + 4;
    const bool covers = std::ranges::any_of(taken, [&](const Label& other) {
      return std::abs(other.y - y) < 14 && left < other.right && left + wide > other.left;
    });
    if (covers) continue;
    taken.push_back({left, left + wide, y});
    fmt::format_to(std::back_inserter(out), "<text x=\"{}\" y=\"{}\" class=\"place{}\">{}</text>",
                   coordinate(flip ? x - 18 : x + 18), coordinate(y), flip ? " end" : "",
                   escape(std::string_view{info.name}.substr(0, 40)));
  }
}

std::string key() {
  std::string out = "<ul class=\"legend\">";
  constexpr const char* kNames[] = {"idle", "to 40 %", "to 70 %", "to 90 %", "above", "no engines"};
  for (int i = 0; i < 6; ++i) {
    fmt::format_to(std::back_inserter(out),
                   "<li><svg width=\"14\" height=\"14\" aria-hidden=\"true\"><circle class=\"site "
                   "u{}\" cx=\"7\" cy=\"7\" r=\"5\"/></svg>{}</li>",
                   i, kNames[i]);
  }
  return out + "</ul>";
}

}  // namespace

std::string render_map(const std::string& title, const std::vector<SiteInfo>& sites,
                       const PolicyResult& policy, const MapLimits& limits) {
  const auto known = [&](std::uint32_t site) { return site < sites.size() && placed(sites[site]); };
  const Projection p = project(sites);
  std::vector<const FlowResult*> flows;
  const auto moved = [&](const FlowResult& flow) {
    const bool drawn = flow.from != flow.to && known(flow.from) && known(flow.to);
    return drawn ? flow.requests : 0;
  };
  for (const std::size_t i : largest(policy.flows, limits.flows_max, moved)) {
    flows.push_back(&policy.flows[i]);
  }
  std::vector<const SiteResult*> shown;
  double most = 0;
  const auto size = [&](const SiteResult& site) {
    return known(site.site) ? site.served * 2 + site.arrived + 1 : 0;
  };
  for (const std::size_t i : largest(policy.sites, limits.sites_max, size)) {
    shown.push_back(&policy.sites[i]);
    most = std::max(most, static_cast<double>(policy.sites[i].served));
  }
  const std::string note = fmt::format(
      "Circles: engines' sites, area by requests served, shade by utilisation. Arcs: requests "
      "served elsewhere than where they came in, bending left of their way. {} of {} sites and the "
      "{} largest flows are drawn.",
      format_count(shown.size()), format_count(sites.size()), format_count(flows.size()));
  std::string svg =
      fmt::format("<svg class=\"map\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">",
                  kWidth, coordinate(p.height), escape(title));
  draw_graticule(svg, p);
  draw_flows(svg, p, sites, flows);
  for (const SiteResult* site : shown) draw_site(svg, p, sites[site->site], *site, most);
  draw_names(svg, p, sites, shown);
  return figure(title, note, svg + "</svg>", key());
}

}  // namespace perigee::sim
