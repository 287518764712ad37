// ScenarioFile: commands and their expected output as text (after etcd-io/raft's interaction
// tests):
//
//   # a comment, kept
//   command with=arguments
//   another
//   ----
//   what they print
//
// A block is commands, `----`, output up to a blank line. Output that differs is a failed test, or,
// when rewriting, the new expectation, to be reviewed as a diff.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace perigee::scenarios {

// Answers one command line; "" when it has nothing to say. Throws std::runtime_error on a command
// that it does not understand, which fails the scenario.
using Interpreter = std::function<std::string(std::string_view line)>;

struct Mismatch {
  std::size_t line;  // of the block's first command
  std::string commands;
  std::string expected;
  std::string actual;
};

struct Outcome {
  std::vector<Mismatch> mismatches;
  std::string rewritten;  // the file with actual output
  std::size_t blocks = 0;
};

Outcome play(std::string_view text, const Interpreter& interpreter);

}  // namespace perigee::scenarios
