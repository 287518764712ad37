#include "directory/directory.h"

#include <set>
#include <utility>

#include "base/assert.h"

namespace perigee {

Result<> check_expected(const DirectoryWrite& write, std::uint64_t stored_revision) {
  if (write.expected_revision == kAnyRevision || write.expected_revision == stored_revision) {
    return {};
  }
  const std::string row = write.kind + " " + write.key;
  if (write.expected_revision == 0) return Error{Code::AlreadyExists, row + " exists already"};
  if (stored_revision == 0) return Error{Code::NotFound, row + " does not exist (any more)"};
  return Error{Code::FailedPrecondition,
               row + " was changed meanwhile: read it again, then repeat"};
}

Result<> check_writes(const std::vector<DirectoryWrite>& writes) {
  std::set<std::pair<std::string_view, std::string_view>> named;
  for (const DirectoryWrite& write : writes) {
    PERIGEE_ASSERT(!write.kind.empty() && !write.key.empty());
    if (!named.insert({write.kind, write.key}).second) {
      return Error{Code::InvalidArgument,
                   write.kind + " " + write.key + " is written twice at once"};
    }
  }
  if (writes.empty()) return Error{Code::InvalidArgument, "nothing to write"};
  return {};
}

Result<> check_history(std::uint64_t from, std::uint64_t compacted, std::uint64_t newest) {
  if (from < compacted) {
    return Error{Code::FailedPrecondition,
                 "changes after revision " + std::to_string(from) + " are compacted (kept: after " +
                     std::to_string(compacted) + "): take a new snapshot"};
  }
  if (from > newest) {
    return Error{Code::FailedPrecondition, "revision " + std::to_string(from) +
                                               " is ahead of the directory (" +
                                               std::to_string(newest) + "): take a new snapshot"};
  }
  return {};
}

bool ChangePage::take(DirectoryChange change) {
  if (bytes_ >= bytes_max_ && !changes_.empty() && changes_.back().revision != change.revision) {
    return false;
  }
  bytes_ += change.kind.size() + change.key.size() + change.value.size();
  changes_.push_back(std::move(change));
  return true;
}

}  // namespace perigee
