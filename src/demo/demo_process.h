// DemoProcess: one process of the demo with its folder and its log.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/child_process.h"
#include "net/task.h"

namespace perigee::demo {

class DemoProcess {
 public:
  // `folder` gets the file "log". `ended` is told how the process ended when it was not killed
  // here.
  DemoProcess(std::string name, std::string folder, std::function<void(std::string)> ended)
      : name_(std::move(name)), folder_(std::move(folder)), ended_(std::move(ended)) {}

  // Unavailable when it can't be started.
  Result<> start(Executor executor, std::vector<std::string> arguments,
                 std::vector<std::string> environment = {});
  bool running() const { return child_ != nullptr && child_->running(); }
  int pid() const { return running() ? child_->pid() : 0; }
  void ask_to_end();
  void kill();  // at once, and reaps it
  // "NAME ended (exit status 1). The end of its log, FILE: ..."
  Error failure(std::string_view what) const;
  const std::string& name() const { return name_; }
  const std::string& folder() const { return folder_; }

 private:
  std::string log_path() const { return folder_ + "/log"; }

  std::string name_;
  std::string folder_;
  std::string how_it_ended_;
  std::function<void(std::string)> ended_;
  std::unique_ptr<net::ChildProcess> child_;
};

// The last lines of a file, at most `lines_max` of them and 4 KiB.
std::string tail_of(const std::string& path, std::size_t lines_max);

}  // namespace perigee::demo
