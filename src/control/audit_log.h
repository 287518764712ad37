// AuditLog: every change of the directory, in a file of its own, as lines that each name the hash
// of the one before: a line that is changed, removed or put in later shows at that line.
//
//   {"seq":1,"time_us":...,"actor":"key_...","from":"...","action":"put tenant","name":"acme",
//    "revision":12,"writes":[{"kind":"tenant","key":"acme","row":{...}}],"prev":HASH,"hash":HASH}
//
// `hash` is SHA-256 of the line without `,"hash":"..."`; `prev` of the first line is zeros. A line
// is on the disk before its change is made: a crash in between leaves a line whose revision was
// never reached, or that the next line repeats. What is cut off at the end shows to whoever kept
// the last hash (control's log names it with every change). No secret is in it: rows without their
// hashes of keys.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "directory/directory.h"

namespace perigee::control {

struct AuditEntry {
  WallTime time;
  std::string actor;           // a key's id, or that of a join token
  std::string from;            // the other end of the connection, as far as it is known
  std::string action;          // "put tenant", "revoke key"
  std::string name;            // what it is done to
  std::uint64_t revision = 0;  // that the change makes
  std::vector<DirectoryWrite> writes;
};

// What stands at the end of a file that was read.
struct AuditEnd {
  std::uint64_t lines = 0;
  std::string hash;  // of the last one; zeros for none
};

// The entry as a line after `before`, with its line feed.
std::string audit_line(const AuditEntry& entry, const AuditEnd& before);
// Checks one line, without its line feed, and moves `end` on. DataLoss says what is wrong.
Result<> check_audit_line(std::string_view line, AuditEnd& end);
// Checks a whole file; `each` is given its good lines. DataLoss names the first line that is not.
Result<AuditEnd> check_audit_file(const std::string& path,
                                  const std::function<void(std::string_view)>& each = {});

// One thread's.
class AuditLog {
 public:
  // Opens or begins the file (0600); a torn last line, of a crash, is cut off. DataLoss when the
  // file was tampered with: it says at which line.
  static Result<std::unique_ptr<AuditLog>> open(const std::string& path);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Durable when it returns. Unavailable when the disk fails: the change must not be made.
  Result<> record(const AuditEntry& entry);
  const AuditEnd& end() const { return end_; }

 private:
  AuditLog(int fd, std::string path, AuditEnd end, std::uint64_t bytes)
      : fd_(fd), path_(std::move(path)), end_(std::move(end)), bytes_(bytes) {}
  int fd_;
  std::string path_;
  AuditEnd end_;
  std::uint64_t bytes_;
};

}  // namespace perigee::control
