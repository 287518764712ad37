// AuditLog: every change of the directory, in a file of its own, as lines that each name the hash
// of the one before: a line that is changed, removed or put in later shows at that line.
//
//   {"seq":1,"time_us":...,"actor":"key_...","from":"...","action":"put tenant","name":"acme",
//    "revision":12,"writes":[{"kind":"tenant","key":"acme","row":{...}}],"write_count":1,
//    "prev":HASH,"hash":HASH}
//
// `hash` is SHA-256 of the line without `,"hash":"..."`; `prev` of the first line is zeros. A line
// is on the disk before its change is made: a crash in between leaves a line whose revision was
// never reached, or that the next line repeats. Where the directory fails to make the change after
// all, the next line repeats it with "failed":WHY. `writes` shows the first 64, `write_count` says
// how many there were. What is cut off at the end shows to whoever kept
// the last hash (control's log names it with every change). No secret is in it: rows without their
// hashes of keys.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "directory/directory.h"

namespace perigee::control {

struct AuditEntry {
  WallTime time;
  std::string actor;  // a key's id, or that of a join token
  // The other end: "192.0.2.7:51234", "loopback" of what came in the clear, and behind it the
  // member's SPIFFE id, if it is one. Lines from before addresses were known say "network".
  std::string from;
  std::string action;          // "put tenant", "revoke key"
  std::string name;            // what it is done to
  std::uint64_t revision = 0;  // that the change makes
  std::vector<DirectoryWrite> writes;
  std::string failed = {};  // why the change that the line before announced was not made; or empty
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

  // Durable when it returns. Unavailable when the disk fails: the change must not be made. What a
  // failed try has written is cut off again; until that works nothing more is recorded.
  Result<> record(const AuditEntry& entry);
  // Says that the change which was just recorded was not made. If that can't be written either, it
  // is written before whatever is recorded next, and nothing is until it is.
  void record_failure(AuditEntry entry, std::string why);
  const AuditEnd& end() const { return end_; }

 private:
  AuditLog(int fd, std::string path, AuditEnd end, std::uint64_t bytes)
      : fd_(fd), path_(std::move(path)), end_(std::move(end)), bytes_(bytes) {}
  Result<> append(const AuditEntry& entry);
  Result<> write_at_end(std::string_view line);
  Result<> cut_tail();
  int fd_;
  std::string path_;
  AuditEnd end_;
  std::uint64_t bytes_;
  bool has_tail_ = false;  // of a failed try, behind `bytes_`
  std::optional<AuditEntry> unsaid_failure_;
};

}  // namespace perigee::control
