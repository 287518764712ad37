#include "net/vital_task.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/log.h"

namespace perigee::net {
namespace {

constexpr unsigned int kFlushMax_s = 1;

}  // namespace

std::string text_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "not a std::exception";
  }
}

void VitalTask::operator()(const std::exception_ptr& thrown) const noexcept {
  if (thrown == nullptr) return;
  log::error("this process ends: a task of it ended by an exception, a defect",
             {{"task", what}, {"exception", text_of(thrown)}});
  // Whoever reads the log may have stopped: then SIGALRM ends the process.
  std::signal(SIGALRM, SIG_DFL);
  ::alarm(kFlushMax_s);
  log::flush();
  std::abort();
}

}  // namespace perigee::net
