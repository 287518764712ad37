#include "demo/demo_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace perigee::demo {
namespace {

constexpr std::size_t kTailLines = 12;
constexpr std::streamoff kTailBytesMax = 4096;

}  // namespace

Result<> DemoProcess::start(Executor executor, std::vector<std::string> arguments,
                            std::vector<std::string> environment) {
  net::ChildOptions options;
  options.arguments = std::move(arguments);
  options.environment = std::move(environment);
  options.log_path = log_path();
  options.own_group = true;  // Ctrl-C is for the demo, which then asks them to end
  how_it_ended_.clear();
  PERIGEE_TRY(child, net::ChildProcess::spawn(executor, options, [this](const net::ChildExit& how) {
                how_it_ended_ = how.to_string();
                ended_(how_it_ended_);
              }));
  child_ = std::move(child);
  return {};
}

void DemoProcess::ask_to_end() {
  if (running()) child_->terminate();
}

void DemoProcess::kill() {
  if (child_ == nullptr) return;
  child_.reset();
  how_it_ended_ = "killed";
}

Error DemoProcess::failure(std::string_view what) const {
  const std::string ending = how_it_ended_.empty() ? "" : " (" + how_it_ended_ + ")";
  return Error{Code::Unavailable, fmt::format("{} {}{}. The end of its log, {}:\n{}", name_, what,
                                              ending, log_path(), tail_of(log_path(), kTailLines))};
}

std::string tail_of(const std::string& path, std::size_t lines_max) {
  std::ifstream file{path, std::ios::binary | std::ios::ate};
  if (!file) return "(there is none)\n";
  const std::streamoff size = file.tellg();
  const std::streamoff from = std::max<std::streamoff>(0, size - kTailBytesMax);
  file.seekg(from);
  std::string text(static_cast<std::size_t>(size - from), '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  std::size_t at = text.size();
  for (std::size_t lines = 0; lines <= lines_max && at > 0; ++lines) {
    const std::size_t newline = text.rfind('\n', at - 1);
    if (newline == std::string::npos) return text;
    at = newline;
  }
  return text.substr(std::min(text.size(), at + 1));
}

}  // namespace perigee::demo
