#include <fmt/format.h>

#include <boost/json.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/output.h"
#ifdef PERIGEE_HAS_ENGINE
#include <algorithm>
#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/co_spawn.hpp>
#include <csignal>
#include <exception>
#include <filesystem>

#include "cli/demo_session.h"
#include "cli/environment.h"
#include "cli/lab_view.h"
#include "lab/lab_run.h"
#include "net/child_process.h"
#endif

namespace perigee::cli {
namespace {

struct LabArguments {
  std::string file;
  std::int64_t seed = -1;
  bool list = false;
  bool keep = false;
  OutputFormat format = OutputFormat::Table;
};

#ifdef PERIGEE_HAS_ENGINE
namespace fs = std::filesystem;

// Where the shipped labs are: beside an installed program, or in the source tree.
std::vector<fs::path> shipped_labs() {
  const fs::path program = net::own_program_path();
  std::vector<fs::path> files;
  for (const fs::path& folder :
       {program.parent_path() / "../share/perigee/lab", fs::path{PERIGEE_SOURCE_LABS}}) {
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator(folder, failed)) {
      if (entry.path().extension() == ".toml") files.push_back(entry.path());
    }
    if (!files.empty()) break;
  }
  std::ranges::sort(files);
  return files;
}

// A path, or the name of a shipped lab.
std::string find_lab(const std::string& given) {
  std::error_code failed;
  if (fs::exists(given, failed)) return given;
  for (const fs::path& file : shipped_labs()) {
    if (file.stem() == given) return file.string();
  }
  return given;
}

int list_labs(OutputFormat format) {
  Table table{{{"LAB"}, {"WHAT IT SHOWS"}}};
  boost::json::array all;
  for (const fs::path& file : shipped_labs()) {
    const auto plan = lab::load_lab(file.string());
    if (!plan) return report(plan.error());
    table.add({Cell{plan->name, Tone::Strong}, plan->title});
    all.push_back(boost::json::object{
        {"name", plan->name}, {"title", plan->title}, {"file", file.lexically_normal().string()}});
  }
  if (format == OutputFormat::Json) {
    print(boost::json::value(std::move(all)));
  } else {
    print(table);
  }
  return kExitOk;
}

int hold_lab(lab::LabPlan plan, const lab::LabOptions& options, OutputFormat format) {
  const SystemClock clock;
  const Instant began = clock.now();
  asio::io_context context{1};
  lab::LabRun lab{
      context.get_executor(), clock, std::move(plan), options, [&](const std::string& line) {
        print_note(fmt::format("[{:6.2f} s] {}", to_seconds(clock.now() - began), line));
      }};
  asio::basic_signal_set<Executor> signals{context.get_executor(), SIGINT, SIGTERM, SIGHUP};
  signals.async_wait([&](boost::system::error_code error, int) {
    if (!error) context.stop();  // what runs is killed with the lab
  });
  int status = 128 + SIGINT;
  const auto ended = [&](const std::exception_ptr& thrown, Result<lab::LabReport> found) {
    context.stop();
    if (thrown) std::rethrow_exception(thrown);
    if (!found) {
      status = report(found.error());
      return;
    }
    if (format == OutputFormat::Json) {
      print(boost::json::value(lab_json(*found)));
    } else {
      print_lab(*found);
    }
    status = found->held() ? kExitOk : kExitError;
  };
  asio::co_spawn(context, lab.run(), ended);
  context.run();
  return status;
}

int run(const LabArguments& arguments) {
  if (arguments.list) return list_labs(arguments.format);
  if (arguments.file.empty()) {
    print_note("perigee: name a FILE, or see `perigee lab --list`");
    return kExitUsage;
  }
  auto plan = lab::load_lab(find_lab(arguments.file));
  if (!plan) {
    report(plan.error());
    return kExitUsage;
  }
  if (arguments.seed >= 0) plan->seed = static_cast<std::uint64_t>(arguments.seed);
  lab::LabOptions options;
  options.program = net::own_program_path();
  options.keep_folder = arguments.keep;
  auto model = find_demo_model(options.program);
  if (!model) return report(model.error());
  options.model_file = std::move(*model);
  forget_perigee_environment();
  lab::prepare_process();
  return hold_lab(std::move(*plan), options, arguments.format);
}
#else
int run(const LabArguments&) {
  return report(Error{Code::FailedPrecondition,
                      "this perigee was built without llama.cpp, which the lab serves and checks "
                      "with; build it with -DPERIGEE_LLAMA=prebuilt"});
}
#endif

}  // namespace

void add_lab_command(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand(
      "lab", "Break a grid of real processes on purpose and check what it promises");
  auto arguments = std::make_shared<LabArguments>();
  command->add_option("FILE", arguments->file, "A TOML file, or a shipped lab's name");
  command->add_option("--seed", arguments->seed, "Instead of the file's: of all chance in the lab")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 53))
      ->type_name("N");
  command->add_flag("--list", arguments->list, "Name the shipped labs");
  command->add_flag("--keep", arguments->keep, "Leave configurations, logs and ledgers for a look");
  add_output_option(*command, arguments->format);
  command->callback([arguments, &exit_code] { exit_code = run(*arguments); });
  command->footer(
      "Exit status 0 only if every check held. The file is described in docs/lab.md.\n"
      "Examples:\n"
      "  perigee lab --list\n"
      "  perigee lab kill-storm\n"
      "  perigee lab my-faults.toml --seed 7 -o json");
}

}  // namespace perigee::cli
