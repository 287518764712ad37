#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/http_calls.h"
#include "cli/json_fields.h"
#include "cli/output.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr Duration kSiteTimeout = seconds{3};
constexpr double kSilentMs = 2'000;  // four times as long as an engine is asked for its load

struct Options {
  ControlOptions control;
  OutputFormat format = OutputFormat::Table;
};

// A site as registered, and what it says of itself; `fault` when it says nothing.
struct SiteReport {
  std::string name;
  std::string url;
  std::string tier;
  std::string jurisdiction;
  json::value status;
  std::string fault;

  bool reachable() const { return status.is_object(); }
};

std::size_t count_state(const json::array& list, std::string_view state) {
  return static_cast<std::size_t>(std::ranges::count_if(
      list, [state](const json::value& item) { return text_field(item, "state") == state; }));
}

using Names = std::set<std::string>;

Names down_sites(const std::vector<SiteReport>& sites) {
  Names down;
  for (const SiteReport& site : sites) {
    if (!site.reachable()) down.insert(site.name);
  }
  return down;
}

// A site does not suffer from a neighbour that is down, only from one that lives and is not
// reached.
bool cut_off(const json::value& peer, const Names& down) {
  return text_field(peer, "state") != "up" && !down.contains(text_field(peer, "site"));
}

// Ready, and yet it has told nothing of itself for a while.
bool silent(const json::value& engine) {
  return text_field(engine, "state") == "ready" && number_field(engine, "silent_ms") > kSilentMs;
}

bool healthy(const SiteReport& site, const Names& down) {
  if (!site.reachable()) return false;
  const json::array& engines = list_field(site.status, "engines");
  return text_field(site.status, "control") == "connected" &&
         count_state(engines, "ready") == engines.size() && std::ranges::none_of(engines, silent) &&
         list_field(site.status, "breakers").empty() &&
         std::ranges::none_of(list_field(site.status, "peers"),
                              [&](const json::value& peer) { return cut_off(peer, down); });
}

std::string state_of(const SiteReport& site, const Names& down) {
  if (!site.reachable()) return "down";
  if (flag_field(site.status, "stopping")) return "stopping";
  if (flag_field(site.status, "drained")) {
    return number_field(site.status, "running") > 0 ? "draining" : "drained";
  }
  return healthy(site, down) ? "up" : "degraded";
}

// The sites of the directory; when a demo's control does not answer, those that it started.
Result<std::vector<SiteReport>> list_sites(HttpCaller& caller, const Target& control,
                                           std::string& fault) {
  Call call;
  call.path = "/control/v1/sites";
  call.timeout = kSiteTimeout;
  auto listed = call_json(caller, control, call);
  std::vector<SiteReport> sites;
  if (listed) {
    for (const json::value& row : list_field(*listed, "data")) {
      sites.push_back({text_field(row, "name"),
                       text_field(row, "url"),
                       text_field(row, "tier"),
                       text_field(row, "jurisdiction"),
                       {},
                       {}});
    }
    return sites;
  }
  PERIGEE_TRY(demo, read_demo_state());
  const bool of_demo = demo && demo->control_url == control.url;
  if (!of_demo || listed.error().code != Code::Unavailable) return std::move(listed).error();
  fault = listed.error().message;
  for (const DemoSite& site : demo->sites) {
    sites.push_back({site.name, site.url, site.tier, site.jurisdiction, {}, {}});
  }
  return sites;
}

// All at once: those that are down cost their time once.
void ask_all(const Target& control, std::vector<SiteReport>& sites) {
  std::vector<Request> requests;
  for (const SiteReport& site : sites) {
    Request& request = requests.emplace_back();
    request.target = {site.url, control.key, "the directory"};
    request.call.path = "/grid/v1/status";
    request.call.timeout = kSiteTimeout;
  }
  std::vector<Result<json::value>> answers = call_all_json(requests);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    if (answers[i])
      sites[i].status = std::move(*answers[i]);
    else
      sites[i].fault = answers[i].error().message;
  }
}

std::string busy_of(const json::value& status) {
  double slots = 0;
  double busy = 0;
  for (const json::value& engine : list_field(status, "engines")) {
    if (const json::value* load = field(engine, "load")) {
      slots += number_field(*load, "slots");
      busy += number_field(*load, "slots_busy");
    }
  }
  return fmt::format("{:.0f}/{:.0f}", busy, slots);
}

std::string restarts_of(const json::value& status) {
  double restarts = 0;
  for (const json::value& engine : list_field(status, "engines")) {
    restarts += number_field(engine, "restarts");
  }
  return fmt::format("{:.0f}", restarts);
}

Cell state_cell(const SiteReport& site, const Names& down) {
  const std::string state = state_of(site, down);
  const Tone tone = state == "up" ? Tone::Good : state == "down" ? Tone::Bad : Tone::Warning;
  return {state, tone};
}

Table table_of(const std::vector<SiteReport>& sites) {
  using Align = Table::Align;
  Table table{{{"SITE"},
               {"TIER"},
               {"LAW"},
               {"STATE"},
               {"CONTROL"},
               {"ENGINES", Align::Right},
               {"BUSY", Align::Right},
               {"RESTARTS", Align::Right},
               {"PEERS", Align::Right},
               {"REQUESTS", Align::Right},
               {"REVISION", Align::Right},
               {"URL"}}};
  const Names down = down_sites(sites);
  for (const SiteReport& site : sites) {
    if (!site.reachable()) {
      table.add({site.name, site.tier, site.jurisdiction, state_cell(site, down), "-", "-", "-",
                 "-", "-", "-", "-", site.url});
      continue;
    }
    const json::array& engines = list_field(site.status, "engines");
    const json::array& peers = list_field(site.status, "peers");
    table.add({site.name, site.tier, site.jurisdiction, state_cell(site, down),
               text_field(site.status, "control"),
               fmt::format("{}/{}", count_state(engines, "ready"), engines.size()),
               busy_of(site.status), restarts_of(site.status),
               fmt::format("{}/{}", count_state(peers, "up"), peers.size()),
               fmt::format("{:.0f}", number_field(site.status, "requests")),
               fmt::format("{:.0f}", number_field(site.status, "revision")), site.url});
  }
  return table;
}

std::string seconds_of(const json::value& item, std::string_view name) {
  return fmt::format("{:.1f} s", number_field(item, name) / 1000);
}

void add_engine_faults(const SiteReport& site, std::vector<std::string>& faults) {
  for (const json::value& engine : list_field(site.status, "engines")) {
    const std::string state = text_field(engine, "state");
    const std::string name = text_field(engine, "name");
    if (silent(engine)) {
      faults.push_back(fmt::format("{}: engine {} has been silent for {}", site.name, name,
                                   seconds_of(engine, "silent_ms")));
    } else if (state != "ready") {
      faults.push_back(fmt::format("{}: engine {} is {} {}", site.name, name, state,
                                   text_field(engine, "last_fault")));
    }
  }
}

void add_breaker_faults(const SiteReport& site, std::vector<std::string>& faults) {
  for (const json::value& breaker : list_field(site.status, "breakers")) {
    const std::string engine = text_field(breaker, "engine");
    faults.push_back(fmt::format("{}: sends {} to {}{}{} for {} ({}): it failed, see its log",
                                 site.name,
                                 text_field(breaker, "state") == "open" ? "nothing" : "one try",
                                 text_field(breaker, "site"), engine.empty() ? "" : "/", engine,
                                 text_field(breaker, "model"), seconds_of(breaker, "since_ms")));
  }
}

void add_peer_faults(const SiteReport& site, const Names& down, std::vector<std::string>& faults) {
  for (const json::value& peer : list_field(site.status, "peers")) {
    if (!cut_off(peer, down)) continue;
    faults.push_back(fmt::format("{}: peer {} is {} from here for {}: {}", site.name,
                                 text_field(peer, "site"), text_field(peer, "state"),
                                 seconds_of(peer, "since_ms"), text_field(peer, "fault")));
  }
}

// What is wrong, one line each.
std::vector<std::string> faults_of(const std::vector<SiteReport>& sites) {
  std::vector<std::string> faults;
  const Names down = down_sites(sites);
  for (const SiteReport& site : sites) {
    if (!site.fault.empty()) faults.push_back(fmt::format("{}: {}", site.name, site.fault));
    if (!site.reachable()) continue;
    if (text_field(site.status, "control") != "connected") {
      faults.push_back(fmt::format("{}: cut off from control (island): {}", site.name,
                                   text_field(site.status, "control_fault")));
    }
    add_engine_faults(site, faults);
    add_breaker_faults(site, faults);
    add_peer_faults(site, down, faults);
    const json::value* usage = field(site.status, "usage");
    if (usage != nullptr && !text_field(*usage, "fault").empty()) {
      faults.push_back(fmt::format("{}: {:.0f} usage records wait for control: {}", site.name,
                                   number_field(*usage, "waiting"), text_field(*usage, "fault")));
    }
  }
  return faults;
}

bool faulty(const std::vector<SiteReport>& sites) {
  const Names down = down_sites(sites);
  return !std::ranges::all_of(sites, [&](const SiteReport& site) { return healthy(site, down); });
}

json::value json_of(const std::vector<SiteReport>& sites, bool degraded) {
  json::array rows;
  const Names down = down_sites(sites);
  for (const SiteReport& site : sites) {
    json::object row{{"name", site.name},
                     {"url", site.url},
                     {"tier", site.tier},
                     {"jurisdiction", site.jurisdiction},
                     {"state", state_of(site, down)},
                     {"status", site.status}};
    if (!site.fault.empty()) row["fault"] = site.fault;
    rows.push_back(std::move(row));
  }
  return json::object{{"degraded", degraded}, {"sites", std::move(rows)}};
}

Result<int> show_status(const Options& options) {
  PERIGEE_TRY(control, find_control(options.control));
  HttpCaller caller;
  std::string control_fault;
  PERIGEE_TRY(sites, list_sites(caller, control, control_fault));
  ask_all(control, sites);
  const bool degraded = !control_fault.empty() || faulty(sites);
  if (options.format == OutputFormat::Json) {
    print(json_of(sites, degraded));
  } else {
    print(table_of(sites));
    if (!control_fault.empty()) print("control: " + printable(control_fault) + "\n");
    for (const std::string& fault : faults_of(sites)) print(printable(fault) + "\n");
  }
  return degraded ? kExitDegraded : kExitOk;
}

}  // namespace

void add_status_command(CLI::App& app, int& exit_code) {
  CLI::App* command =
      app.add_subcommand("status", "Show every site: its state, engines, load and peers");
  auto options = std::make_shared<Options>();
  add_control_options(*command, options->control);
  add_output_option(*command, options->format);
  command->footer(
      "Exits 3 when a site is down, cut off from control or from a peer that is up, has an engine "
      "that is not ready\nor silent, or sends nothing to one that failed (breaker).\nExamples:\n"
      "  perigee status\n"
      "  perigee status -o json | jq '.sites[] | select(.state != \"up\")'");
  command->callback([options, &exit_code] {
    const auto outcome = show_status(*options);
    exit_code = outcome ? *outcome : report(outcome.error());
  });
}

}  // namespace perigee::cli
