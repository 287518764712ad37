#include "cli/admin_call.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <ctime>

namespace perigee::cli {
namespace {

constexpr Duration kControlTimeout = seconds{15};
constexpr std::int64_t kSecondsMax = std::int64_t{10} * 365 * 86'400;

std::int64_t seconds_in(char unit) {
  switch (unit) {
    case 's': return 1;
    case 'm': return 60;
    case 'h': return 3'600;
    case 'd': return 86'400;
    default: return 0;
  }
}

}  // namespace

void add_admin_options(CLI::App& command, AdminOptions& options) {
  add_control_options(command, options.control);
  add_output_option(command, options.format);
}

CLI::App* add_admin_command(CLI::App& parent, const std::string& name, const std::string& help,
                            AdminOptions& options) {
  CLI::App* command = parent.add_subcommand(name, help);
  add_admin_options(*command, options);
  return command;
}

Result<boost::json::value> call_control(const AdminOptions& options, const AdminCall& call) {
  PERIGEE_TRY(target, find_control(options.control));
  HttpCaller caller;
  Call request;
  request.method = call.method;
  request.path = "/control/v1/" + call.path;
  request.body = call.body;
  request.timeout = kControlTimeout;
  return call_json(caller, target, request);
}

int run_admin(const AdminOptions& options, const AdminCall& call, const Show& show) {
  Result<boost::json::value> answer = call_control(options, call);
  if (!answer) return report(answer.error());
  if (options.format == OutputFormat::Json)
    print(*answer);
  else
    show(*answer);
  return kExitOk;
}

int run_change(const AdminOptions& options, const AdminCall& call, const std::string& done) {
  return run_admin(options, call, [&done](const boost::json::value&) { print(done + "\n"); });
}

Result<std::int64_t> parse_seconds(std::string_view text, std::string_view flag) {
  std::int64_t count = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), count);
  const bool one_unit = read.ec == std::errc{} && read.ptr + 1 == text.data() + text.size();
  const std::int64_t unit = one_unit ? seconds_in(text.back()) : 0;
  if (unit == 0 || count < 1 || count > kSecondsMax / unit) {
    return Error{
        Code::InvalidArgument,
        fmt::format("{} must be a time such as 90s, 15m, 12h or 30d, at most ten years", flag)};
  }
  return count * unit;
}

std::string format_time(double micros) {
  if (micros <= 0) return "never";
  const auto whole = static_cast<std::time_t>(micros / 1'000'000);
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::gmtime(whole));
}

}  // namespace perigee::cli
