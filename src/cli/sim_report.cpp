#include "cli/sim_report.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "sim/policy.h"

namespace perigee::cli {

Result<Sweep> parse_sweep(std::string_view text) {
  constexpr std::size_t kValuesMax = 100;
  Sweep sweep;
  if (text.empty()) return sweep;
  const Error wrong{Code::InvalidArgument,
                    "--sweep: expected KEY=VALUE,VALUE,... with up to 100 values"};
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return wrong;
  sweep.key = text.substr(0, equals);
  std::string value;
  int depth = 0;
  bool quoted = false;
  for (const char c : text.substr(equals + 1)) {
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == '[' || c == '{')) ++depth;
    if (!quoted && (c == ']' || c == '}')) --depth;
    if (c != ',' || quoted || depth > 0) {
      value.push_back(c);
      continue;
    }
    sweep.values.push_back(std::move(value));
    value.clear();
  }
  sweep.values.push_back(std::move(value));
  const bool empty = std::ranges::any_of(sweep.values, [](const auto& v) { return v.empty(); });
  if (empty || sweep.values.size() > kValuesMax) return wrong;
  return sweep;
}

std::vector<sim::ReportPolicy> explain_policies(const sim::RunResult& run) {
  std::vector<sim::ReportPolicy> all;
  for (const sim::PolicyResult& policy : run.policies) {
    const sim::PolicyEntry* entry = sim::find_policy(policy.policy);
    if (entry != nullptr) all.push_back({policy.policy, std::string{entry->summary}});
  }
  return all;
}

Result<> write_report(sim::Report report, const std::string& path) {
  namespace fs = std::filesystem;
  report.version = PERIGEE_VERSION;
  const fs::path part = path + ".part";
  const auto failed = [&] {
    std::error_code ignored;
    fs::remove(part, ignored);
    return Error{Code::InvalidArgument, "--report: cannot write '" + path + "'"};
  };
  std::ofstream file{part, std::ios::binary | std::ios::trunc};
  const std::string page = sim::render_report(report);
  file.write(page.data(), static_cast<std::streamsize>(page.size()));
  file.close();
  if (!file) return failed();
  std::error_code wrong;
  fs::rename(part, path, wrong);
  if (wrong) return failed();
  return {};
}

}  // namespace perigee::cli
