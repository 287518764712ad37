// Trials: a small grid under random faults, in virtual time, held to invariants. One seed makes the
// grid, its users and what breaks when (random_trial()); one run drives the production router,
// admission queue and decisions about failed streams through it (run_trial()), and checkers judge
// every step and the end. The same seed gives the same run everywhere, to the last event.
//
// What each checker holds is in docs/sim.md, "Trials".
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/admission.h"
#include "sim/scenario.h"
#include "sim/trial/probes.h"

namespace perigee::sim {

// What a trial needs beyond a scenario. All tables are small, so that they do get full.
struct TrialSpec {
  Scenario scenario;
  double keyed_share = 0.8;    // of the clients: send an Idempotency-Key, and try again
  double leave_share = 0.05;   // of the clients: leave before the end
  double vanish_share = 0.03;  // of the connections: gone without a word that reaches the ingress
  AdmissionOptions admission;
  std::uint32_t requests_max = 512;   // of an ingress, at once
  std::uint32_t ledger_places = 512;  // of a site: reserved, or not yet acknowledged by control
  std::uint32_t answers_max = 256;    // of an ingress: kept for clients who ask again
};

// The trial of a seed: 2 to 6 sites, and what happens there.
TrialSpec random_trial(std::uint64_t seed);

// A defect planted into what is judged: a checker that can't find it is worth nothing.
enum class Defect : std::uint8_t {
  None,
  IgnoresLaw,       // routes wherever it is fastest
  BillsTriesApart,  // a retried request gets a record of another name
  RepeatsToken,     // resumes one token early
  SkipsToken,       // resumes one token late
  LosesRefusals,    // a refusal from a peer reaches nobody
  KeepsSlots,       // a cancelled request's slot is never given back
  OverfillsLedger,  // takes records beyond its places
  LosesRecords,     // forgets records that were sent, acknowledged or not
  RefusesIdle,      // says "overloaded" now and then although nothing is
  TriesForever,     // asks again and again at once, without end
  EndsTwice,        // says "completed" twice
};
inline constexpr std::size_t kDefects = 12;
std::string_view to_string(Defect defect);

// The invariants, by name.
enum class Check : std::uint8_t {
  OneEnding,         // every request ends once: completed, refused, failed with a reason, left
  Tokens,            // every position once and in order, the last one is the last
  Records,           // one record per request that got anything; completed tokens are recorded ones
  Law,               // nothing runs outside the jurisdictions that its tenant allows
  Bounds,            // no queue or table beyond its named maximum
  Ends,              // nothing runs for ever, and nothing is held when all have gone
  WorkConservation,  // no refusal or failure while a sound, lawful site had nothing to do
};
inline constexpr std::size_t kChecks = 7;
std::string_view to_string(Check check);  // "work_conservation"

struct Finding {
  Check check = Check::OneEnding;
  double at_s = 0;
  std::string what;
};

enum class RequestEnd : std::uint8_t { Open, Completed, Refused, Failed, Left, Lost };
inline constexpr std::size_t kRequestEnds = 6;

struct TrialOptions {
  Defect defect = Defect::None;
  // Gets one line per event of interest; may be empty.
  std::function<void(std::string_view line)> log;
};

inline constexpr std::size_t kFindingsMax = 20;  // of one trial: the first ones

struct TrialResult {
  std::uint64_t seed = 0;
  std::uint64_t digest = 0;  // over every event
  std::uint64_t events = 0;
  std::uint64_t tokens = 0;  // delivered to clients
  double virtual_s = 0;
  std::array<std::uint64_t, kRequestEnds> requests{};  // by how they ended
  Probes probes;
  std::vector<Finding> findings;
};

TrialResult run_trial(const TrialSpec& spec, std::uint64_t seed, const TrialOptions& options);

}  // namespace perigee::sim
