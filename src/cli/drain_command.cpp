#include "cli/drain_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "cli/admin_call.h"
#include "cli/json_fields.h"
#include "control/control_client.h"

namespace perigee::cli {
namespace {

namespace json = boost::json;

constexpr std::chrono::milliseconds kLook{200};
constexpr Duration kSiteTimeout = seconds{3};

struct DrainArguments : AdminOptions {
  std::string name;
  std::string timeout = "10m";
  bool wait = ::isatty(STDERR_FILENO) == 1;
};

void pause() {
  boost::asio::io_context context;
  boost::asio::steady_timer timer{context, kLook};
  timer.async_wait([](boost::system::error_code) {});
  context.run();
}

// What still holds the site; empty: nothing does.
std::string held_by(const json::value& status) {
  if (!flag_field(status, "drained")) return "it has not heard of it yet";
  const double running = number_field(status, "running");
  return running > 0 ? fmt::format("{:.0f} requests run on its engines", running) : std::string{};
}

// Until nothing runs on the site's engines, with a line for each change. A site that does not
// answer runs nothing.
Result<bool> wait_until_empty(const DrainArguments& arguments, const std::string& url) {
  PERIGEE_TRY(control, find_control(arguments.control));
  PERIGEE_TRY(patience, parse_seconds(arguments.timeout, "--timeout"));
  const SystemClock clock;
  const Instant latest = clock.now() + seconds{patience};
  const Target site{url, control.key, "the directory"};
  Call call;
  call.path = "/grid/v1/status";
  call.timeout = kSiteTimeout;
  HttpCaller caller;
  std::string told;
  for (;;) {
    auto status = call_json(caller, site, call);
    if (!status && status.error().code != Code::Unavailable) return std::move(status).error();
    const std::string held = status ? held_by(*status) : std::string{};
    if (held.empty()) return true;
    if (held != told) print_note(fmt::format("{}: {}", arguments.name, held));
    told = held;
    if (clock.now() >= latest) return false;
    pause();
  }
}

int finish(const DrainArguments& arguments, const json::value& site) {
  bool empty = false;
  if (arguments.wait) {
    auto waited = wait_until_empty(arguments, text_field(site, "url"));
    if (!waited) return report(waited.error());
    empty = *waited;
  }
  if (arguments.format == OutputFormat::Json) {
    json::value answer = site;
    if (arguments.wait) answer.as_object()["empty"] = empty;
    print(answer);
  } else if (!arguments.wait) {
    print(fmt::format("Draining {}; perigee status shows when it is empty.\n", arguments.name));
  } else if (empty) {
    print(fmt::format("{} is empty. Next: stop it, or perigee site undrain {}\n", arguments.name,
                      arguments.name));
  }
  if (!arguments.wait || empty) return kExitOk;
  print_note(fmt::format("{} is not empty after {}", arguments.name, arguments.timeout));
  return kExitDegraded;
}

int drain(const DrainArguments& arguments) {
  const auto answer = call_control(
      arguments, {"POST", "sites/" + control::percent_encode(arguments.name) + "/drain", ""});
  return answer ? finish(arguments, *answer) : report(answer.error());
}

}  // namespace

void add_drain_commands(CLI::App& parent, int& exit_code) {
  auto arguments = std::make_shared<DrainArguments>();
  CLI::App* command = add_admin_command(
      parent, "drain", "Give it no new work; what runs there ends, or goes on elsewhere",
      *arguments);
  command->add_option("SITE", arguments->name, "The site's name")->required();
  command->add_flag("--wait,!--no-wait", arguments->wait,
                    "Return when nothing runs on its engines (on a terminal: the default)");
  command->add_option("--timeout", arguments->timeout, "Of --wait; then exit status 3")
      ->type_name("TIME")
      ->capture_default_str();
  command->footer(
      "Running answers may go on for the site's limits.drain_grace_ms, then they go on elsewhere.\n"
      "It stays an ingress: its own clients are served by other sites.\n"
      "Example: perigee site drain metro-berlin --wait --timeout 2m");
  command->callback([arguments, &exit_code] { exit_code = drain(*arguments); });

  auto undrained = std::make_shared<DrainArguments>();
  CLI::App* back = add_admin_command(parent, "undrain", "Give it work again", *undrained);
  back->add_option("SITE", undrained->name, "The site's name")->required();
  back->callback([undrained, &exit_code] {
    exit_code = run_change(
        *undrained, {"POST", "sites/" + control::percent_encode(undrained->name) + "/undrain", ""},
        fmt::format("Giving work again to {}.", undrained->name));
  });
}

}  // namespace perigee::cli
