// SpareSpace: room on a disk that is held while there is some, for the last writes before a stop.
// Internal to ledger/sqlite.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace perigee {

// A file of its own, which stays between runs. One thread; milliseconds.
class SpareSpace {
 public:
  explicit SpareSpace(std::string file) : file_(std::move(file)) {}
  // Makes the file (0600) and has the disk set so many bytes aside for it, where it has not yet;
  // what an earlier run held beyond them is freed. 0: no file stays.
  // Unavailable: there is no room, or less than as much again would stay free; and no file either.
  Result<> hold(std::uint64_t bytes);
  // Removes it, so that others may write as much. False: there was none.
  bool give_up();

 private:
  std::string file_;
  bool held_ = false;
};

}  // namespace perigee
