#include "control/audit_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/secret.h"
#include "directory/json_text.h"

namespace perigee::control {
namespace {

namespace json = boost::json;

constexpr std::size_t kHashDigits = 64;
constexpr std::string_view kHashField = ",\"hash\":\"";
constexpr std::size_t kWritesShown = 64;
constexpr std::size_t kLineBytesMax = std::size_t{1024} * 1024;

std::string no_hash() { return std::string(kHashDigits, '0'); }

// A row without what only identity needs.
std::string shown_row(const std::string& row) {
  boost::system::error_code error;
  json::value value = json::parse(row, error);
  if (error || !value.is_object()) return "null";
  for (const char* const hidden : {"hash", "key_hash"}) value.get_object().erase(hidden);
  return json::serialize(value);
}

std::vector<std::string> shown_writes(const std::vector<DirectoryWrite>& writes) {
  std::vector<std::string> shown;
  for (const DirectoryWrite& write : writes) {
    if (shown.size() == kWritesShown) break;
    JsonObject object;
    object.add("kind", write.kind).add("key", write.key);
    if (write.value.empty())
      object.add("removed", true);
    else
      object.add_raw("row", shown_row(write.value));
    shown.push_back(object.take());
  }
  return shown;
}

Error failure(Code code, const std::string& path) {
  return {code, path + ": " + std::strerror(errno)};
}

Error tampered(std::uint64_t line, std::string_view what) {
  return {Code::DataLoss,
          "tampered audit log: line " + std::to_string(line) + " " + std::string{what}};
}

}  // namespace

std::string audit_line(const AuditEntry& entry, const AuditEnd& before) {
  const std::string prev = before.lines == 0 ? no_hash() : before.hash;
  JsonObject object;
  object.add("seq", before.lines + 1)
      .add("time_us", entry.time.micros)
      .add("actor", entry.actor)
      .add("from", entry.from)
      .add("action", entry.action)
      .add("name", entry.name)
      .add("revision", entry.revision);
  if (!entry.failed.empty()) object.add("failed", entry.failed);
  object.add_list("writes", shown_writes(entry.writes))
      .add("write_count", entry.writes.size())
      .add("prev", prev);
  std::string line = object.take();
  const std::string hash = to_hex(sha256(line));
  line.pop_back();
  return line.append(kHashField).append(hash).append("\"}\n");
}

Result<> check_audit_line(std::string_view line, AuditEnd& end) {
  const std::uint64_t number = end.lines + 1;
  const std::size_t at = line.rfind(kHashField);
  constexpr std::string_view kEnd = "\"}";
  if (at == std::string_view::npos ||
      line.size() != at + kHashField.size() + kHashDigits + kEnd.size() || !line.ends_with(kEnd)) {
    return tampered(number, "is no line of it");
  }
  const std::string_view hash = line.substr(at + kHashField.size(), kHashDigits);
  const std::string hashed = std::string{line.substr(0, at)} + "}";
  if (to_hex(sha256(hashed)) != hash) return tampered(number, "was changed");
  boost::system::error_code error;
  const json::value value = json::parse(hashed, error);
  const json::value* prev = value.is_object() ? value.get_object().if_contains("prev") : nullptr;
  const json::value* seq = value.is_object() ? value.get_object().if_contains("seq") : nullptr;
  const std::string expected = end.lines == 0 ? no_hash() : end.hash;
  if (error || prev == nullptr || !prev->is_string() || prev->get_string() != expected) {
    return tampered(number, "does not follow the line before it: one was removed or put in");
  }
  if (seq == nullptr || !seq->is_int64() || seq->get_int64() != static_cast<std::int64_t>(number)) {
    return tampered(number, "has another number");
  }
  end = {number, std::string{hash}};
  return {};
}

Result<AuditEnd> check_audit_file(const std::string& path,
                                  const std::function<void(std::string_view)>& each) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return Error{Code::NotFound, "can't read " + path};
  AuditEnd end{0, no_hash()};
  std::string line;
  while (std::getline(file, line)) {
    if (line.size() > kLineBytesMax) return tampered(end.lines + 1, "is too long");
    if (file.eof()) return tampered(end.lines + 1, "is torn: control mends it when it starts");
    PERIGEE_CHECK(check_audit_line(line, end));
    if (each) each(line);
  }
  return end;
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd < 0) return failure(Code::FailedPrecondition, path);
  std::unique_ptr<AuditLog> log{new AuditLog{fd, path, AuditEnd{0, no_hash()}, 0}};
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    return Error{Code::FailedPrecondition, path + ": another process writes it"};
  }
  std::ifstream file{path, std::ios::binary};
  std::string line;
  while (std::getline(file, line) && !file.eof()) {
    if (auto good = check_audit_line(line, log->end_); !good) {
      return Error{Code::DataLoss, path + ": " + good.error().message +
                                       "; keep it as evidence, move it away, and start anew"};
    }
    log->bytes_ += line.size() + 1;
  }
  if (::ftruncate(fd, static_cast<off_t>(log->bytes_)) != 0) {
    return failure(Code::Unavailable, path);
  }
  return log;
}

AuditLog::~AuditLog() { ::close(fd_); }

Result<> AuditLog::record(const AuditEntry& entry) {
  if (unsaid_failure_) {
    PERIGEE_CHECK(append(*unsaid_failure_));
    unsaid_failure_.reset();
  }
  return append(entry);
}

void AuditLog::record_failure(AuditEntry entry, std::string why) {
  entry.failed = std::move(why);
  if (!append(entry)) unsaid_failure_ = std::move(entry);
}

Result<> AuditLog::append(const AuditEntry& entry) {
  if (has_tail_) PERIGEE_CHECK(cut_tail());
  const std::string line = audit_line(entry, end_);
  if (auto written = write_at_end(line); !written) {
    has_tail_ = true;
    (void)cut_tail();  // else before the next line
    return written;
  }
  bytes_ += line.size();
  return check_audit_line(std::string_view{line}.substr(0, line.size() - 1), end_);
}

Result<> AuditLog::write_at_end(std::string_view line) {
  for (std::size_t done = 0; done < line.size();) {
    const ssize_t written =
        ::pwrite(fd_, line.data() + done, line.size() - done, static_cast<off_t>(bytes_ + done));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return failure(Code::Unavailable, path_);
    done += static_cast<std::size_t>(written);
  }
  if (::fdatasync(fd_) != 0) return failure(Code::Unavailable, path_);
  return {};
}

// A longer line that was not recorded would show behind a shorter one, as if tampered with.
Result<> AuditLog::cut_tail() {
  if (::ftruncate(fd_, static_cast<off_t>(bytes_)) != 0) return failure(Code::Unavailable, path_);
  has_tail_ = false;
  return {};
}

}  // namespace perigee::control
