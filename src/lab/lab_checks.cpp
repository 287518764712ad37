#include "lab/lab_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#include "lab/schema_check.h"

namespace perigee::lab {
namespace {

constexpr std::size_t kExamplesMax = 5;

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const double at = std::ceil(q * static_cast<double>(values.size())) - 1;
  return values[static_cast<std::size_t>(std::max(0.0, at))];
}

void add_example(Check& check, std::string text) {
  if (check.examples.size() < kExamplesMax) check.examples.push_back(std::move(text));
}

std::string name_of(const LabRequest& request) {
  return fmt::format("request {} ({})", request.number, to_string(request.kind));
}

Check check_complete(const LabEvidence& e, LabReport& report) {
  Check check{"complete", false, {}, {}};
  for (const LabAnswer& answer : e.answers) {
    if (answer.complete) ++report.figures.complete;
    const bool refused = answer.refused && e.plan.checks.refusals;
    if (refused) ++report.figures.refused;
    if (answer.complete || refused) continue;
    ++report.failures[answer.fault];
    add_example(check, fmt::format("{} at {}, begun at {}, after {} texts: {}",
                                   name_of(e.requests[answer.number]), answer.ingress,
                                   answer.site.empty() ? "no site" : answer.site,
                                   answer.texts.size(), answer.fault));
  }
  const std::size_t asked = e.answers.size() - report.figures.refused;
  const double part =
      asked == 0 ? 0 : static_cast<double>(report.figures.complete) / static_cast<double>(asked);
  check.held = asked > 0 && part >= e.plan.checks.complete_min;
  check.says = fmt::format("{} of {} answers came whole ({:.2f} %), {} were refused",
                           report.figures.complete, asked, part * 100, report.figures.refused);
  return check;
}

Check check_json(const LabEvidence& e) {
  Check check{"json", true, {}, {}};
  std::size_t guided = 0;
  std::size_t wrong = 0;
  for (const LabAnswer& answer : e.answers) {
    const LabRequest& request = e.requests[answer.number];
    if (request.kind != RequestKind::Guided || !answer.complete) continue;
    ++guided;
    const std::string_view text = answer.choices.front().text;
    const std::string violation = schema_violation(kLabSchemas.at(request.schema), text);
    if (violation.empty()) continue;
    ++wrong;
    add_example(check, name_of(request) + ": " + violation);
  }
  check.held = wrong == 0;
  check.says = fmt::format("{} of {} guided answers are valid", guided - wrong, guided);
  return check;
}

Check check_texts(const LabEvidence& e, TextChecker& checker, LabReport& report,
                  const std::function<void(std::size_t, std::size_t)>& progress) {
  Check check{"texts", true, {}, {}};
  std::size_t checked = 0;
  std::size_t wrong = 0;
  for (const LabAnswer& answer : e.answers) {
    if (!answer.complete) continue;
    const TextVerdict verdict = checker.check(e.requests[answer.number], answer);
    progress(++checked, report.figures.complete);
    report.figures.tokens += verdict.tokens;
    report.figures.near_ties += verdict.near_ties;
    report.figures.gap_max = std::max(report.figures.gap_max, verdict.gap_max);
    if (verdict.fault.empty()) continue;
    ++wrong;
    add_example(check, name_of(e.requests[answer.number]) + ": " + verdict.fault);
  }
  check.held = wrong == 0 || !e.plan.checks.texts;
  check.says = fmt::format(
      "{} of {} answers are the model's, token by token ({} tokens, {} near ties, the widest "
      "{:.3f} "
      "of {} allowed)",
      checked - wrong, checked, report.figures.tokens, report.figures.near_ties,
      report.figures.gap_max, e.plan.checks.logit_tolerance);
  return check;
}

bool same_text(const LabAnswer& a, const LabAnswer& b) {
  return std::ranges::equal(a.choices, b.choices, [](const ChoiceSeen& x, const ChoiceSeen& y) {
    return x.text == y.text && x.finish == y.finish;
  });
}

Check check_equal(const LabEvidence& e, LabReport& report) {
  Figures& figures = report.figures;
  for (std::size_t i = 0; i < std::min(e.answers.size(), e.undisturbed.size()); ++i) {
    const bool both = e.answers[i].complete && e.undisturbed[i].complete;
    if (!both || e.requests[i].kind == RequestKind::Embedding) continue;
    ++figures.compared;
    if (same_text(e.answers[i], e.undisturbed[i])) ++figures.equal;
  }
  const auto whole = std::ranges::count_if(e.undisturbed, &LabAnswer::complete);
  Check check{"undisturbed", static_cast<std::size_t>(whole) == e.undisturbed.size(), {}, {}};
  check.says = fmt::format(
      "{} of {} answers came whole without faults; {} of {} texts are equal to "
      "those under faults",
      whole, e.undisturbed.size(), figures.equal, figures.compared);
  for (const LabAnswer& answer : e.undisturbed) {
    if (!answer.complete) {
      add_example(check, name_of(e.requests[answer.number]) + ": " + answer.fault);
    }
  }
  return check;
}

using Bill = std::tuple<std::string, std::uint32_t, std::uint32_t>;  // operation, tokens

// A repeated request may have run at two ingress sites: its record has one id, which counts once,
// as the one that completed if one did (ledger/ledger.h).
std::vector<StoredUsage> once_each(const std::vector<StoredUsage>& all) {
  std::map<std::string, StoredUsage> by_id;
  for (const StoredUsage& usage : all) {
    const auto [known, is_new] = by_id.emplace(usage.id, usage);
    if (!is_new && known->second.outcome != "completed") known->second = usage;
  }
  std::vector<StoredUsage> once;
  for (auto& [id, usage] : by_id) once.push_back(std::move(usage));
  return once;
}

Check check_records(const LabEvidence& e) {
  Check check{"records", true, {}, e.usage_faults};
  std::map<Bill, std::int64_t> open;  // answers without a record, or records without an answer
  std::size_t answers = 0;
  for (const auto run : {e.answers, e.undisturbed}) {
    for (const LabAnswer& answer : run) {
      if (!answer.complete || !answer.usage) continue;
      ++answers;
      const bool vector = e.requests[answer.number].kind == RequestKind::Embedding;
      ++open[{vector ? "embedding" : "chat", answer.usage->prompt_tokens,
              answer.usage->completion_tokens}];
    }
  }
  std::map<std::string, std::size_t> outcomes;
  for (const StoredUsage& usage : once_each(e.usage)) {
    ++outcomes[usage.outcome];
    if (usage.outcome != "completed") continue;
    --open[{usage.operation, usage.prompt_tokens, usage.completion_tokens}];
  }
  std::int64_t missing = 0;
  std::int64_t extra = 0;
  for (const auto& [bill, count] : open) {
    (count > 0 ? missing : extra) += std::abs(count);
    if (count == 0) continue;
    const auto& [operation, prompt, completion] = bill;
    add_example(check, fmt::format("{} of {} + {} tokens: {} {}", operation, prompt, completion,
                                   std::abs(count),
                                   count > 0 ? "without a record" : "more records than answers"));
  }
  std::string others;
  for (const auto& [outcome, count] : outcomes) {
    if (outcome != "completed") others += fmt::format(", {} {}", count, outcome);
  }
  if (outcomes.contains("open")) add_example(check, "some were reserved and never settled");
  check.held = missing == 0 && extra == 0 && check.examples.empty();
  check.says = fmt::format("{} answers, {} records completed{}; {} missing, {} too many", answers,
                           outcomes["completed"], others, missing, extra);
  return check;
}

Check check_survivors(const LabEvidence& e) {
  const CheckSpec& limits = e.plan.checks;
  Check check{"memory", true, {}, {}};
  double most_memory = 0;
  std::int64_t most_files = 0;
  for (const Survivor& survivor : e.survivors) {
    const double memory = survivor.after.memory_mib - survivor.before.memory_mib;
    const std::int64_t files = survivor.after.descriptors - survivor.before.descriptors;
    most_memory = std::max(most_memory, memory);
    most_files = std::max(most_files, files);
    const bool bounded =
        memory <= limits.memory_growth_mib_max && files <= limits.descriptor_growth_max;
    if (bounded) continue;
    check.held = false;
    add_example(check, fmt::format("{} grew by {:.1f} MiB to {:.1f} and by {} descriptors to {}",
                                   survivor.name, memory, survivor.after.memory_mib, files,
                                   survivor.after.descriptors));
  }
  check.says = fmt::format(
      "{} processes lived through it; they grew by at most {:.1f} MiB and {} "
      "descriptors",
      e.survivors.size(), most_memory, most_files);
  return check;
}

Check check_gaps(const LabEvidence& e, LabReport& report) {
  Figures& figures = report.figures;
  std::vector<double> all;
  std::vector<double> first;
  for (const LabAnswer& answer : e.answers) {
    if (!answer.complete || answer.texts.empty()) continue;
    first.push_back(to_ms(answer.texts.front() - answer.sent));
    for (std::size_t i = 1; i < answer.texts.size(); ++i) {
      all.push_back(to_ms(answer.texts[i] - answer.texts[i - 1]));
    }
  }
  const std::vector<double> gaps = switch_gaps_ms(e.answers, e.faults);
  figures.disturbed = gaps.size();
  figures.typical_gap_ms_p50 = quantile(all, 0.5);
  figures.switch_gap_ms_p50 = quantile(gaps, 0.5);
  figures.switch_gap_ms_p99 = quantile(gaps, 0.99);
  figures.first_text_ms_p50 = quantile(first, 0.5);
  figures.first_text_ms_p99 = quantile(first, 0.99);
  const double most = e.plan.checks.gap_ms_p99_max;
  Check check{"gap", most <= 0 || figures.switch_gap_ms_p99 <= most, {}, {}};
  check.says = fmt::format(
      "{} streams were struck in their middle and went on: gap p50 {:.0f} ms, p99 {:.0f} ms; "
      "between texts elsewhere p50 {:.1f} ms",
      gaps.size(), figures.switch_gap_ms_p50, figures.switch_gap_ms_p99,
      figures.typical_gap_ms_p50);
  return check;
}

// Null where nothing was cut.
std::optional<Check> check_routing(const LabEvidence& e, LabReport& report) {
  Check check{"routing", true, {}, {}};
  const double most = e.plan.checks.routing_ms_max;
  std::size_t unknown = 0;
  for (const FaultEvent& event : e.faults) {
    const bool cut = event.fault.kind == FaultKind::Cut || event.fault.kind == FaultKind::CutOneWay;
    if (!cut || !event.passed_over.empty()) continue;
    ++report.figures.cuts;
    if (!event.routed_again) ++unknown;
    const double took_ms = to_ms(event.routed_again.value_or(Duration{}));
    report.figures.routing_ms_max = std::max(report.figures.routing_ms_max, took_ms);
  }
  if (report.figures.cuts == 0) return std::nullopt;
  check.held = most <= 0 || (unknown == 0 && report.figures.routing_ms_max <= most);
  check.says = fmt::format("{} cuts were healed: all sites saw each other again after {:.0f} ms",
                           report.figures.cuts - unknown, report.figures.routing_ms_max);
  if (unknown > 0) check.says += fmt::format("; of {} it is not known", unknown);
  return check;
}

Check check_mended(const LabEvidence& e, LabReport& report) {
  for (const FaultEvent& event : e.faults) {
    if (!event.passed_over.empty()) {
      ++report.figures.passed_over;
      continue;
    }
    ++report.figures.faults;
    const std::string place = event.fault.link           ? " link"
                              : event.fault.engine       ? " engine"
                              : event.fault.site.empty() ? ""
                                                         : " site";
    ++report.faults[std::string{to_string(event.fault.kind)} + place];
  }
  if (e.restarts > 0) report.faults["restart site"] = e.restarts;
  Check check{"mended", e.not_mended.empty(), {}, {}};
  check.says = fmt::format("{} faults were brought about and mended, {} passed over",
                           report.figures.faults, report.figures.passed_over);
  if (!check.held) check.examples.push_back(e.not_mended);
  if (e.restarts < e.plan.restarts.size()) {
    check.held = false;
    check.examples.push_back(fmt::format("{} of {} restarts were made: the load was over before",
                                         e.restarts, e.plan.restarts.size()));
  }
  return check;
}

Check check_processes(const LabEvidence& e) {
  Check check{"processes", e.left_behind.empty(), {}, {}};
  check.says = fmt::format("{} processes are left behind", e.left_behind.size());
  for (const std::string& process : e.left_behind) add_example(check, process);
  return check;
}

// Whether it silences a stream that `answer` had from its site.
bool silences(const Fault& fault, const LabAnswer& answer) {
  switch (fault.kind) {
    case FaultKind::Kill:
    case FaultKind::Stop: return fault.site == answer.site;
    case FaultKind::Cut:
    case FaultKind::CutOneWay: break;
    default: return false;
  }
  if (answer.site == answer.ingress) return false;
  const bool to_ingress =
      fault.site == answer.site && (fault.other.empty() || fault.other == answer.ingress);
  const bool from_ingress =
      fault.site == answer.ingress && (fault.other.empty() || fault.other == answer.site);
  return to_ingress || (from_ingress && fault.kind == FaultKind::Cut);
}

}  // namespace

std::vector<double> switch_gaps_ms(std::span<const LabAnswer> answers,
                                   std::span<const FaultEvent> faults) {
  std::vector<double> gaps;
  for (const LabAnswer& answer : answers) {
    if (!answer.complete) continue;
    for (const FaultEvent& event : faults) {
      const bool struck = event.passed_over.empty() && silences(event.fault, answer) &&
                          event.began > answer.sent && event.began < answer.ended;
      if (!struck) continue;
      const auto after = std::ranges::upper_bound(answer.texts, event.began);
      if (after == answer.texts.begin() || after == answer.texts.end()) continue;
      gaps.push_back(to_ms(*after - *std::prev(after)));
      break;  // after the switch it runs elsewhere
    }
  }
  return gaps;
}

bool LabReport::held() const {
  return std::ranges::all_of(checks, [](const Check& check) { return check.held; });
}

LabReport judge(const LabEvidence& e, TextChecker& checker,
                const std::function<void(std::size_t, std::size_t)>& progress) {
  LabReport report;
  report.name = e.plan.name;
  report.title = e.plan.title;
  report.seed = e.plan.seed;
  report.figures.requests = e.answers.size();
  report.checks.push_back(check_mended(e, report));
  report.checks.push_back(check_complete(e, report));
  report.checks.push_back(check_json(e));
  report.checks.push_back(check_texts(e, checker, report, progress));
  if (!e.undisturbed.empty()) report.checks.push_back(check_equal(e, report));
  report.checks.push_back(check_gaps(e, report));
  if (auto routing = check_routing(e, report)) report.checks.push_back(std::move(*routing));
  if (e.plan.checks.records) report.checks.push_back(check_records(e));
  report.checks.push_back(check_survivors(e));
  report.checks.push_back(check_processes(e));
  return report;
}

}  // namespace perigee::lab
