// Registry: the metrics of one process, and their Prometheus text exposition (format 0.0.4).
//
//   Registry registry;
//   Family<Counter>& requests = registry.counter(
//       {"perigee_requests_total", "Inference requests answered.", {"operation", "status"}});
//   requests.with({"chat", "200"}).add();
//   std::string text = registry.exposition();  // content type: kContentType
//
// One thread (the IO thread) writes and reads. Families are registered once, at start; references
// to families and instruments stay valid as long as the registry lives, so a hot path may keep one.
//
// Names begin with `perigee_`; counters end in `_total`; units are base units and last in the name
// (`_seconds`, `_bytes`, `_tokens`, `_ratio`). A name or label that breaks the rules is a defect of
// ours and asserts. Label values are free text, but never a key, a prompt or a device.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/instruments.h"

namespace perigee::metrics {

inline constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

// What a family is called. `series_max` caps the label sets: the values that come after it share
// one series whose labels all read "other".
struct Description {
  std::string name;
  std::string help;
  std::vector<std::string> labels = {};
  std::size_t series_max = 64;
};

// All series of one name. Base of Family<T>, for the exposition only.
class AnyFamily {
 public:
  explicit AnyFamily(Description description);
  AnyFamily(const AnyFamily&) = delete;
  AnyFamily& operator=(const AnyFamily&) = delete;
  virtual ~AnyFamily() = default;
  const Description& description() const { return description_; }
  virtual void append_to(std::string& out) const = 0;

 protected:
  // The text between the braces, `operation="chat",status="200"`. Asserts that there are as many
  // values as labels.
  std::string label_text(std::initializer_list<std::string_view> values) const;
  std::string other_text() const;
  void append_head(std::string& out, std::string_view type) const;

 private:
  Description description_;
};

template <class Instrument>
class Family final : public AnyFamily {
 public:
  explicit Family(Description description, Instrument initial = Instrument{})
      : AnyFamily(std::move(description)), initial_(std::move(initial)) {}

  // The instrument of these label values, in the order of the labels; made at first use.
  Instrument& with(std::initializer_list<std::string_view> values) {
    std::string labels = label_text(values);
    if (const auto found = series_.find(labels); found != series_.end()) return *found->second;
    if (series_.size() >= description().series_max) labels = other_text();
    auto& place = series_[std::move(labels)];
    if (!place) place = std::make_unique<Instrument>(initial_);
    return *place;
  }
  // Forgets all series: for gauges that are set anew before each exposition.
  void clear() { series_.clear(); }

  void append_to(std::string& out) const override;

 private:
  Instrument initial_;
  std::map<std::string, std::unique_ptr<Instrument>> series_;  // by label text
};

template <>
void Family<Counter>::append_to(std::string& out) const;
template <>
void Family<Gauge>::append_to(std::string& out) const;
template <>
void Family<Histogram>::append_to(std::string& out) const;

class Registry {
 public:
  // Each asserts that the name is new.
  Family<Counter>& counter(Description description);
  Family<Gauge>& gauge(Description description);
  // `bounds` must outlive the registry.
  Family<Histogram>& histogram(Description description, std::span<const double> bounds);
  // perigee_build_info{version,revision} 1
  void add_build_info(std::string_view version, std::string_view revision);

  // All families in the order of registration, their series ordered by labels. A family without
  // series is left out.
  std::string exposition() const;

 private:
  template <class F>
  F& add(std::unique_ptr<F> family);

  std::vector<std::unique_ptr<AnyFamily>> families_;
};

}  // namespace perigee::metrics
