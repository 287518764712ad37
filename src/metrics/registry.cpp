#include "metrics/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/assert.h"

namespace perigee::metrics {
namespace {

constexpr std::string_view kPrefix = "perigee_";

bool letter(char c) { return (c >= 'a' && c <= 'z') || c == '_'; }

bool valid_part(std::string_view name) {
  return !name.empty() && letter(name.front()) &&
         std::ranges::all_of(name, [](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// The text format's escapes: backslash and newline, and in label values the quote too.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\\' || (quotes && c == '"')) {
      out += '\\';
      out += c;
    } else {
      out += c;
    }
  }
}

void append_label(std::string& out, std::string_view name, std::string_view value) {
  if (!out.empty()) out += ',';
  out += name;
  out += "=\"";
  append_escaped(out, value, true);
  out += '"';
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

// name{labels,more} value
void append_sample(std::string& out, std::string_view name, std::string_view labels,
                   std::string_view more, std::string_view value) {
  out += name;
  if (!labels.empty() || !more.empty()) {
    const std::string_view comma = labels.empty() || more.empty() ? "" : ",";
    fmt::format_to(std::back_inserter(out), "{{{}{}{}}}", labels, comma, more);
  }
  out += ' ';
  out += value;
  out += '\n';
}

void append_histogram(std::string& out, const std::string& name, const std::string& labels,
                      const Histogram& histogram) {
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    below += histogram.counts()[i];
    const std::string bound =
        i < histogram.bounds().size() ? number_text(histogram.bounds()[i]) : "+Inf";
    append_sample(out, name + "_bucket", labels, fmt::format("le=\"{}\"", bound),
                  std::to_string(below));
  }
  append_sample(out, name + "_sum", labels, "", number_text(histogram.sum()));
  append_sample(out, name + "_count", labels, "", std::to_string(histogram.count()));
}

}  // namespace

AnyFamily::AnyFamily(Description description) : description_(std::move(description)) {
  PERIGEE_ASSERT(valid_part(description_.name) && description_.name.starts_with(kPrefix));
  PERIGEE_ASSERT(std::ranges::all_of(description_.labels, valid_part));
  PERIGEE_ASSERT(description_.series_max > 0);
}

std::string AnyFamily::label_text(std::initializer_list<std::string_view> values) const {
  PERIGEE_ASSERT(values.size() == description_.labels.size());
  std::string out;
  auto value = values.begin();
  for (const std::string& label : description_.labels) append_label(out, label, *value++);
  return out;
}

std::string AnyFamily::other_text() const {
  std::string out;
  for (const std::string& label : description_.labels) append_label(out, label, "other");
  return out;
}

void AnyFamily::append_head(std::string& out, std::string_view type) const {
  fmt::format_to(std::back_inserter(out), "# HELP {} ", description_.name);
  append_escaped(out, description_.help, false);
  fmt::format_to(std::back_inserter(out), "\n# TYPE {} {}\n", description_.name, type);
}

template <>
void Family<Counter>::append_to(std::string& out) const {
  if (series_.empty()) return;
  append_head(out, "counter");
  for (const auto& [labels, counter] : series_) {
    append_sample(out, description().name, labels, "", std::to_string(counter->value()));
  }
}

template <>
void Family<Gauge>::append_to(std::string& out) const {
  if (series_.empty()) return;
  append_head(out, "gauge");
  for (const auto& [labels, gauge] : series_) {
    append_sample(out, description().name, labels, "", number_text(gauge->value()));
  }
}

template <>
void Family<Histogram>::append_to(std::string& out) const {
  if (series_.empty()) return;
  append_head(out, "histogram");
  for (const auto& [labels, histogram] : series_) {
    append_histogram(out, description().name, labels, *histogram);
  }
}

template <class F>
F& Registry::add(std::unique_ptr<F> family) {
  const std::string& name = family->description().name;
  PERIGEE_ASSERT(std::ranges::none_of(
      families_, [&](const auto& other) { return other->description().name == name; }));
  F& added = *family;
  families_.push_back(std::move(family));
  return added;
}

Family<Counter>& Registry::counter(Description description) {
  PERIGEE_ASSERT(description.name.ends_with("_total"));
  return add(std::make_unique<Family<Counter>>(std::move(description)));
}

Family<Gauge>& Registry::gauge(Description description) {
  return add(std::make_unique<Family<Gauge>>(std::move(description)));
}

Family<Histogram>& Registry::histogram(Description description, std::span<const double> bounds) {
  PERIGEE_ASSERT(!bounds.empty() && std::ranges::is_sorted(bounds) && std::isfinite(bounds.back()));
  PERIGEE_ASSERT(std::ranges::find(description.labels, "le") == description.labels.end());
  return add(std::make_unique<Family<Histogram>>(std::move(description), Histogram{bounds}));
}

void Registry::add_build_info(std::string_view version, std::string_view revision) {
  gauge({"perigee_build_info", "The build that runs; always 1.", {"version", "revision"}})
      .with({version, revision})
      .set(1);
}

std::string Registry::exposition() const {
  std::string out;
  for (const auto& family : families_) family->append_to(out);
  return out;
}

}  // namespace perigee::metrics
