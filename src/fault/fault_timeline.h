// Fault time lines: what breaks, where, when and for how long. docs/faults.md is their manual; real
// processes (the lab) and virtual time (the simulator) read the same words here.
//
// Values and pure functions; no IO.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "toml/toml_table.h"

namespace perigee {

enum class FaultKind : std::uint8_t {
  Kill,         // a site with its engines, or one engine
  Stop,         // the same: alive and silent
  Slow,         // an engine, all engines of a site, or a link
  Cut,          // a link, both ways
  CutOneWay,    // what the first end sends to the second
  Corrupt,      // a link, both ways
  DiskFull,     // of a site
  ClockJump,    // of a site's wall clock
  ControlDown,  // nowhere
  Mute          // a site's digests neither leave nor arrive
};
inline constexpr std::size_t kFaultKinds = 10;
std::string_view to_string(FaultKind kind);  // "cut_one_way"

// One fault, once.
struct Fault {
  static constexpr double kNeverMended = std::numeric_limits<double>::infinity();

  FaultKind kind = FaultKind::Kill;
  double at_s = 0;                      // from the start of the load
  double end_s = kNeverMended;          // when it is mended
  std::string site;                     // one end of a link, too; "" for ControlDown
  std::optional<std::uint32_t> engine;  // of `site`; none: all of it
  bool link = false;                    // between `site` and `other`
  std::string other;                    // the other end; "" of a link: all others
  double factor = 10;                   // Slow
  double added_ms = 100;                // Slow of a link: of the round trip
  double share = 0.01;                  // Corrupt: 0..1
  double jump_s = 0;                    // ClockJump
};
// "cut berlin - paris", "kill engine 0 of paris", without its time.
std::string describe(const Fault& fault);

// A [[fault]] as written: once, or again and again, at a site that is drawn each time.
struct FaultRule {
  Fault first;                     // `site` is empty when `sites` are given
  std::vector<std::string> sites;  // empty: `first.site`
  double every_s = 0;              // 0: once
  double until_s = 0;              // no beginning from then on
};

inline constexpr std::size_t kFaultRulesMax = 1'000;
inline constexpr std::size_t kFaultsMax = 100'000;  // of one time line
inline constexpr const char* kFaultManual = "docs/faults.md";

// All [[fault]] tables of `root`. `sites` are the names that may be used; `load_s` is the length of
// the load. InvalidArgument "FILE:LINE: fault.KEY: expected WHAT".
Result<std::vector<FaultRule>> read_faults(TomlTable& root, std::span<const std::string> sites,
                                           double load_s);

// Every single fault, in the order of their beginnings; the same for the same seed everywhere. At
// most kFaultsMax: the earliest.
std::vector<Fault> fault_timeline(std::span<const FaultRule> rules, std::uint64_t seed);

// InvalidArgument naming the first fault of a kind that `able` does not list; `who` is the program.
Result<> check_kinds(std::span<const FaultRule> rules, std::span<const FaultKind> able,
                     std::string_view who);

}  // namespace perigee
