#include <fmt/format.h>

#include <array>
#include <boost/json.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/connection.h"
#include "cli/demo_session.h"
#include "cli/json_fields.h"
#include "cli/output.h"
#include "demo/orders.h"
#include "net/child_process.h"

namespace perigee::cli {
namespace {

struct Options {
  DemoWishes wishes;
  std::string kill;
  std::string start;
  std::string cut;
  std::string slow;
  std::string heal;
  bool one_way = false;
  CLI::Option* heal_option = nullptr;
  bool stop = false;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::size_t from = 0;
  for (std::size_t colon = 0; colon != std::string::npos; from = colon + 1) {
    colon = text.find(':', from);
    parts.push_back(text.substr(from, colon - from));
  }
  return parts;
}

// "A:B" or "A:B:MS".
Result<> read_link(const std::string& flag, const std::string& text, demo::Order& order) {
  const std::vector<std::string> parts = split(text);
  const bool slow = order.kind == demo::OrderKind::Slow;
  const Error wrong{Code::InvalidArgument,
                    fmt::format("{} takes {}, not {}", flag, slow ? "SITE:SITE:MS" : "SITE:SITE",
                                printable(text))};
  if (parts.size() != (slow ? 3U : 2U)) return wrong;
  order.from = SiteId{parts[0]};
  order.to = SiteId{parts[1]};
  if (!slow) return {};
  std::size_t used = 0;
  if (parts[2].empty() || parts[2].find_first_not_of("0123456789.") != std::string::npos) {
    return wrong;
  }
  order.ms = std::stod(parts[2], &used);
  return used == parts[2].size() ? Result<>{} : Result<>{wrong};
}

// What is asked of a running demo; nullopt: start one.
Result<std::optional<demo::Order>> order_of(const Options& options) {
  demo::Order order;
  if (!options.kill.empty()) {
    order.kind = demo::OrderKind::Kill;
    order.site = SiteId{options.kill};
  } else if (!options.start.empty()) {
    order.kind = demo::OrderKind::Start;
    order.site = SiteId{options.start};
  } else if (!options.cut.empty()) {
    order.kind = demo::OrderKind::Cut;
    order.one_way = options.one_way;
    PERIGEE_CHECK(read_link("--cut", options.cut, order));
  } else if (!options.slow.empty()) {
    order.kind = demo::OrderKind::Slow;
    PERIGEE_CHECK(read_link("--slow", options.slow, order));
  } else if (options.heal_option->count() > 0) {
    order.kind = demo::OrderKind::Heal;
    if (!options.heal.empty()) PERIGEE_CHECK(read_link("--heal", options.heal, order));
  } else if (!options.stop) {
    return std::optional<demo::Order>{};
  }
  return std::optional<demo::Order>{std::move(order)};
}

Result<> give(const demo::Order& order, OutputFormat format) {
  PERIGEE_TRY(state, read_demo_state());
  if (!state) {
    return Error{Code::FailedPrecondition, "no demo is running; start one with `perigee demo`"};
  }
  const Target target{"unix:" + state->socket, {}, "the running demo"};
  Call call;
  call.method = "POST";
  call.path = "/orders";
  call.body = demo::to_json(order);
  HttpCaller caller;
  PERIGEE_TRY(answer, call_json(caller, target, call));
  if (format == OutputFormat::Json)
    print(answer);
  else
    print(printable(text_field(answer, "done")) + "\n");
  return {};
}

int run(Options& options) {
  auto order = order_of(options);
  if (!order) {
    report(order.error());
    return kExitUsage;
  }
  if (*order) {
    const auto given = give(**order, options.wishes.format);
    return given ? kExitOk : report(given.error());
  }
  demo::DemoOptions& grid = options.wishes.grid;
  grid.program = net::own_program_path();
  if (grid.model_file.empty()) {
    auto model = find_demo_model(grid.program);
    if (!model) return report(model.error());
    grid.model_file = std::move(*model);
  }
  return run_demo(options.wishes);
}

void add_orders(CLI::App& command, Options& options) {
  const char* group = "Orders to a demo that runs";
  CLI::Option* kill = command.add_option("--kill", options.kill, "A site dies, its engines too")
                          ->type_name("SITE")
                          ->group(group);
  CLI::Option* start = command.add_option("--start", options.start, "A killed site comes back")
                           ->type_name("SITE")
                           ->group(group);
  CLI::Option* cut = command.add_option("--cut", options.cut, "The link between two sites is cut")
                         ->type_name("SITE:SITE")
                         ->group(group);
  command.add_flag("--one-way", options.one_way, "With --cut: only what the first sends is lost")
      ->needs(cut)
      ->group(group);
  CLI::Option* slow =
      command.add_option("--slow", options.slow, "The round trip takes MS milliseconds longer")
          ->type_name("SITE:SITE:MS")
          ->group(group);
  options.heal_option =
      command.add_option("--heal", options.heal, "That link, or without a name all links, as new")
          ->type_name("[SITE:SITE]")
          ->expected(0, 1)
          ->group(group);
  CLI::Option* stop = command.add_flag("--stop", options.stop, "It stops")->group(group);
  const std::array orders{kill, start, cut, slow, options.heal_option, stop};
  for (std::size_t i = 0; i < orders.size(); ++i) {  // one is given at a time
    for (std::size_t j = i + 1; j < orders.size(); ++j) orders.at(i)->excludes(orders.at(j));
  }
}

}  // namespace

void add_demo_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("demo", "Run a whole grid on this machine");
  auto options = std::make_shared<Options>();
  demo::DemoOptions& grid = options->wishes.grid;
  grid.tls = true;
  command->add_option("--sites", grid.sites, "How many sites, 3 to 24")
      ->check(CLI::Range(demo::kSitesMin, demo::kSitesMax))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--seed", grid.seed, "Decides the jitter of the links")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53))
      ->type_name("N")
      ->capture_default_str();
  command
      ->add_option("--ports", grid.ports,
                   "Control listens here, the sites on the ports that follow (0: any)")
      ->capture_default_str();
  command->add_option("--model", grid.model_file, "A GGUF file instead of the model that ships")
      ->type_name("FILE");
  command->add_flag_callback(
      "--plain", [&grid] { grid.tls = false; },
      "Without TLS between sites and control: everything is on loopback");
  command->add_flag("--once", options->wishes.once,
                    "Start, take a tour that checks itself, stop; exit 0 if all held");
  add_output_option(*command, options->wishes.format);
  add_orders(*command, *options);
  command->footer(
      "Sites, links and the state file are described in docs/demo.md.\n"
      "Examples:\n"
      "  perigee demo\n"
      "  perigee demo --once -o json\n"
      "  perigee demo --kill regional-frankfurt\n"
      "  perigee demo --cut metro-berlin:metro-paris --one-way");
  command->callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace perigee::cli
