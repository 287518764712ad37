// scenarios [--rewrite] FILE...: plays scenario files; 0 when all output is as expected.
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>

#include "router_world.h"
#include "scenario_file.h"

namespace {

using namespace perigee::scenarios;

bool play_file(const std::string& path, bool rewrite) {
  std::ifstream in{path};
  if (!in) throw std::runtime_error("cannot be read");
  const std::string text{std::istreambuf_iterator<char>{in}, {}};
  RouterWorld world;
  const Outcome outcome = play(text, [&](std::string_view line) { return world.run(line); });
  if (rewrite) {
    if (outcome.rewritten != text) std::ofstream{path} << outcome.rewritten;
    return true;
  }
  for (const Mismatch& mismatch : outcome.mismatches) {
    std::cerr << path << ":" << mismatch.line << ":\n"
              << mismatch.commands << "---- expected\n"
              << mismatch.expected << "---- actual\n"
              << mismatch.actual << "\n";
  }
  if (outcome.blocks == 0) std::cerr << path << ": holds no block\n";
  return outcome.mismatches.empty() && outcome.blocks > 0;
}

}  // namespace

int main(int argc, char** argv) {
  bool rewrite = false;
  bool good = argc > 1;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--rewrite") {
      rewrite = true;
      continue;
    }
    try {
      good = play_file(argument, rewrite) && good;
    } catch (const std::exception& error) {
      std::cerr << argument << ": " << error.what() << "\n";
      good = false;
    }
  }
  if (argc <= 1) std::cerr << "usage: scenarios [--rewrite] FILE...\n";
  return good ? 0 : 1;
}
