#include "fault/fault_timeline.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/assert.h"
#include "base/random.h"

namespace perigee {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kNames{
    "kill",    "stop",      "slow",       "cut",          "cut_one_way",
    "corrupt", "disk_full", "clock_jump", "control_down", "mute"};
constexpr double kTimeMost_s = 1e8;

enum class Place : std::uint8_t { Site, SiteOrEngine, Link, SiteOrLink, Nowhere };

Place place_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::Kill:
    case FaultKind::Stop: return Place::SiteOrEngine;
    case FaultKind::Slow: return Place::SiteOrLink;
    case FaultKind::Cut:
    case FaultKind::CutOneWay:
    case FaultKind::Corrupt: return Place::Link;
    case FaultKind::DiskFull:
    case FaultKind::ClockJump:
    case FaultKind::Mute: return Place::Site;
    case FaultKind::ControlDown: return Place::Nowhere;
  }
  PERIGEE_ASSERT(false);
}

class RuleReader {
 public:
  RuleReader(TomlTable& table, std::span<const std::string> sites, double load_s)
      : table_(table), sites_(sites), load_s_(load_s) {}

  Result<FaultRule> run() {
    PERIGEE_CHECK(read_kind());
    PERIGEE_CHECK(read_times());
    PERIGEE_CHECK(read_place());
    PERIGEE_CHECK(read_measure());
    PERIGEE_CHECK(table_.finish(kFaultManual));
    return std::move(rule_);
  }

 private:
  Result<> read_kind() {
    PERIGEE_TRY(name, table_.required_string("kind"));
    const auto found = std::ranges::find(kNames, name);
    if (found == kNames.end()) {
      std::string all;
      for (const std::string_view known : kNames) {
        all += (all.empty() ? "" : ", ") + std::string{known};
      }
      return table_.error("kind", "one of " + all);
    }
    rule_.first.kind = static_cast<FaultKind>(found - kNames.begin());
    return {};
  }

  Result<> read_times() {
    PERIGEE_TRY(at, table_.number("at_s", 0, 0, kTimeMost_s));
    if (!has("at_s")) return table_.error("at_s", "when it begins, in seconds from the start");
    PERIGEE_TRY(length, table_.number("for_s", 0, 0, kTimeMost_s));
    PERIGEE_TRY(every, table_.number("every_s", 0, 0, kTimeMost_s));
    PERIGEE_TRY(until, table_.number("until_s", load_s_, 0, kTimeMost_s));
    if (every > 0 && every < kEveryLeast_s) return table_.error("every_s", "0, or 0.01 or more");
    rule_.first.at_s = at;
    if (length > 0) rule_.first.end_s = at + length;
    rule_.every_s = every;
    rule_.until_s = until;
    return {};
  }

  bool has(std::string_view key) const {
    const std::vector<std::string> keys = table_.keys();
    return std::ranges::find(keys, key) != keys.end();
  }

  Result<> known(std::string_view key, const std::string& site) const {
    if (std::ranges::find(sites_, site) != sites_.end()) return {};
    return table_.problem(key, "no site is named '" + site + "'");
  }

  Result<> read_place() {
    const Place place = place_of(rule_.first.kind);
    PERIGEE_TRY(site, table_.string("site", ""));
    PERIGEE_TRY(drawn, table_.strings("sites"));
    PERIGEE_TRY(ends, table_.strings("between"));
    PERIGEE_TRY(engine, table_.integer("engine", 0, 0, 1'000'000));
    const int given = (site.empty() ? 0 : 1) + (drawn.empty() ? 0 : 1) + (ends.empty() ? 0 : 1);
    if (place == Place::Nowhere && given == 0 && !has("engine")) return {};
    if (place == Place::Nowhere) return table_.problem("kind", "has no place: it is control");
    if (place == Place::Link || (place == Place::SiteOrLink && !ends.empty())) {
      if (given != 1 || ends.size() != 2) return table_.error("between", "two sites, alone");
      return read_link(ends);
    }
    if (given != 1 || !ends.empty()) return table_.error("site", "a site, or one of `sites`");
    if (!site.empty()) PERIGEE_CHECK(known("site", site));
    for (const std::string& one : drawn) PERIGEE_CHECK(known("sites", one));
    rule_.first.site = site;
    rule_.sites = drawn;
    if (!has("engine")) return {};
    if (place == Place::Site) return table_.problem("engine", "this kind is of the whole site");
    rule_.first.engine = static_cast<std::uint32_t>(engine);
    return {};
  }

  Result<> read_link(const std::vector<std::string>& ends) {
    PERIGEE_CHECK(known("between", ends[0]));
    if (ends[1] != "*") PERIGEE_CHECK(known("between", ends[1]));
    if (ends[0] == ends[1]) return table_.error("between", "two different sites");
    rule_.first.link = true;
    rule_.first.site = ends[0];
    if (ends[1] != "*") rule_.first.other = ends[1];
    return {};
  }

  // A key of another kind stays unread, and finish() names it.
  Result<> read_measure() {
    Fault& fault = rule_.first;
    if (fault.kind == FaultKind::Slow && fault.link) {
      PERIGEE_TRY(added, table_.number("added_ms", fault.added_ms, 0, 600'000));
      fault.added_ms = added;
    } else if (fault.kind == FaultKind::Slow) {
      PERIGEE_TRY(factor, table_.number("factor", fault.factor, 1, 10'000));
      fault.factor = factor;
    } else if (fault.kind == FaultKind::Corrupt) {
      PERIGEE_TRY(share, table_.number("share", fault.share, 0, 1));
      fault.share = share;
    } else if (fault.kind == FaultKind::ClockJump) {
      PERIGEE_TRY(jump, table_.number("jump_s", 0, -kTimeMost_s, kTimeMost_s));
      if (jump == 0) return table_.error("jump_s", "seconds forward, or back when negative");
      fault.jump_s = jump;
    }
    return {};
  }

  static constexpr double kEveryLeast_s = 0.01;
  TomlTable& table_;
  std::span<const std::string> sites_;
  double load_s_;
  FaultRule rule_;
};

}  // namespace

std::string_view to_string(FaultKind kind) { return kNames.at(static_cast<std::size_t>(kind)); }

std::string describe(const Fault& fault) {
  std::string text{to_string(fault.kind)};
  if (fault.link) {
    text += " " + fault.site + (fault.kind == FaultKind::CutOneWay ? " > " : " - ");
    return text + (fault.other.empty() ? "*" : fault.other);
  }
  if (fault.engine) text += " engine " + std::to_string(*fault.engine) + " of";
  if (!fault.site.empty()) text += " " + fault.site;
  return text;
}

Result<std::vector<FaultRule>> read_faults(TomlTable& root, std::span<const std::string> sites,
                                           double load_s) {
  PERIGEE_TRY(tables, root.tables("fault"));
  if (tables.size() > kFaultRulesMax) return root.error("fault", "at most 1000 sections");
  std::vector<FaultRule> rules;
  for (TomlTable& table : tables) {
    PERIGEE_TRY(rule, RuleReader(table, sites, load_s).run());
    rules.push_back(std::move(rule));
  }
  return rules;
}

std::vector<Fault> fault_timeline(std::span<const FaultRule> rules, std::uint64_t seed) {
  std::vector<Fault> all;  // rule by rule
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const FaultRule& rule = rules[i];
    Random random{seed * 0x9e3779b97f4a7c15U + i};
    const double length = rule.first.end_s - rule.first.at_s;
    for (std::uint32_t n = 0; n <= kFaultsMax; ++n) {
      Fault fault = rule.first;
      fault.at_s = rule.first.at_s + n * rule.every_s;
      if (n > 0 && (rule.every_s <= 0 || fault.at_s >= rule.until_s)) break;
      fault.end_s = fault.at_s + length;
      if (!rule.sites.empty()) fault.site = rule.sites[random.below(rule.sites.size())];
      all.push_back(std::move(fault));
    }
  }
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return all[a].at_s != all[b].at_s ? all[a].at_s < all[b].at_s : a < b;
  });
  if (order.size() > kFaultsMax) order.resize(kFaultsMax);
  std::vector<Fault> timeline;
  timeline.reserve(order.size());
  for (const std::size_t i : order) timeline.push_back(std::move(all[i]));
  return timeline;
}

Result<> check_kinds(std::span<const FaultRule> rules, std::span<const FaultKind> able,
                     std::string_view who) {
  for (const FaultRule& rule : rules) {
    if (std::ranges::find(able, rule.first.kind) != able.end()) continue;
    return Error{Code::InvalidArgument, "fault: " + std::string{who} + " can't bring about '" +
                                            std::string{to_string(rule.first.kind)} + "'; see " +
                                            kFaultManual};
  }
  return {};
}

}  // namespace perigee
