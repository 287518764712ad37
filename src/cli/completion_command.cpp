#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/output.h"

namespace perigee::cli {

void add_completion_command(CLI::App& app, int& exit_code) {
  static const std::map<std::string, Shell> shells{
      {"bash", Shell::Bash}, {"zsh", Shell::Zsh}, {"fish", Shell::Fish}};
  CLI::App* command = app.add_subcommand("completion", "Print a completion script for a shell");
  auto shell = std::make_shared<Shell>(Shell::Bash);
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->transform(CLI::CheckedTransformer(shells).description(""))
      ->option_text("bash|zsh|fish");
  command->footer(
      "Examples:\n"
      "  source <(perigee completion bash)\n"
      "  perigee completion fish > ~/.config/fish/completions/perigee.fish");
  command->callback([&app, shell, &exit_code] {
    print(completion_script(app, *shell));
    exit_code = kExitOk;
  });
}

}  // namespace perigee::cli
