#include "scenario_file.h"

#include <sstream>

namespace perigee::scenarios {
namespace {

constexpr std::string_view kSeparator = "----";

std::string answer(const std::vector<std::string>& commands, const Interpreter& interpreter) {
  std::string output;
  for (const std::string& command : commands) {
    std::string said = interpreter(command);
    if (!said.empty() && said.back() != '\n') said += '\n';
    output += said;
  }
  return output.empty() ? "ok\n" : output;
}

}  // namespace

Outcome play(std::string_view text, const Interpreter& interpreter) {
  Outcome outcome;
  std::istringstream lines{std::string{text}};
  std::vector<std::string> commands;
  std::size_t number = 0;
  std::size_t first = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line != kSeparator) {
      outcome.rewritten += line + '\n';
      if (line.empty() || line.front() == '#') continue;
      if (commands.empty()) first = number;
      commands.push_back(line);
      continue;
    }
    std::string expected;
    while (std::getline(lines, line) && !line.empty()) {
      ++number;
      expected += line + '\n';
    }
    ++number;
    const std::string actual = answer(commands, interpreter);
    outcome.rewritten += std::string{kSeparator} + '\n' + actual + (lines ? "\n" : "");
    ++outcome.blocks;
    if (actual != expected) {
      std::string told;
      for (const std::string& command : commands) told += command + '\n';
      outcome.mismatches.push_back(
          {.line = first, .commands = told, .expected = expected, .actual = actual});
    }
    commands.clear();
  }
  return outcome;
}

}  // namespace perigee::scenarios
