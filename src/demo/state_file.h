// StateFile: where a running demo says how to reach it (docs/demo.md): DIR/demo.json, mode 0600, in
// a folder of mode 0700 that belongs to this user. Removed when destroyed.
#pragma once

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>

#include "base/result.h"

namespace perigee::demo {

class StateFile {
 public:
  // Makes the folder and takes it for this process. FailedPrecondition when another demo runs there
  // (a lock file says so, not a pid) or when the folder is not private. Removes the state folder of
  // a demo that was killed before it could.
  static Result<std::unique_ptr<StateFile>> claim(const std::string& folder);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  std::string socket_path() const { return folder_ + "/demo.sock"; }
  // Replaces the file at once: a reader sees the old or the new one. Unavailable when the disk
  // won't.
  Result<> write(const boost::json::object& state);

 private:
  StateFile(std::string folder, int lock) : folder_(std::move(folder)), lock_(lock) {}
  std::string folder_;
  int lock_;
};

// A fresh private folder (0700) `TEMP/perigee-demo.XXXXXX`. Unavailable says why not.
Result<std::string> make_fresh_folder(const std::string& temp);
// Writes a file of mode 0600.
Result<> write_private_file(const std::string& path, std::string_view content);

}  // namespace perigee::demo
