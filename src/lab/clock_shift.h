// ClockShift: moves the calendar clock of one process while it runs, without root and without a
// hook in the product: a small library (clock_shim.cpp), loaded before the C library, adds to
// CLOCK_REALTIME what a file says that both map. Monotonic time is left alone, as when a real clock
// is set.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace perigee::lab {

class ClockShift {
 public:
  // Makes `path` (8 bytes). `shim`: the library. NotFound when that is not there.
  static Result<std::unique_ptr<ClockShift>> create(const std::string& path,
                                                    const std::string& shim);
  ~ClockShift();
  ClockShift(const ClockShift&) = delete;
  ClockShift& operator=(const ClockShift&) = delete;
  // What a process needs in its environment to be shifted.
  std::vector<std::string> environment() const;
  // From now on; replaces what was set before.
  void set(double seconds);

 private:
  ClockShift(std::string path, std::string shim, void* mapped)
      : path_(std::move(path)), shim_(std::move(shim)), mapped_(mapped) {}
  std::string path_;
  std::string shim_;
  void* mapped_;
};

}  // namespace perigee::lab
