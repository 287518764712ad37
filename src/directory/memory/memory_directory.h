// MemoryDirectory: a Directory that forgets at the end of the process. For tests and the simulator.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <utility>

#include "directory/directory.h"

namespace perigee {

class MemoryDirectory final : public Directory {
 public:
  explicit MemoryDirectory(DirectoryLimits limits = {}) : limits_(limits) {}
  std::uint64_t revision() const override { return revision_; }
  Result<std::vector<DirectoryChange>> list() const override;
  Result<std::vector<DirectoryChange>> since(std::uint64_t revision,
                                             std::size_t bytes_max) const override;
  std::uint64_t compacted() const override { return compacted_; }
  Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes) override;

 private:
  using RowKey = std::pair<std::string, std::string>;  // kind, key
  Result<> check(const DirectoryWrite& write) const;
  DirectoryLimits limits_;
  std::uint64_t revision_ = 0;
  std::uint64_t compacted_ = 0;  // history up to this revision is forgotten
  std::map<RowKey, DirectoryChange> rows_;
  std::deque<DirectoryChange> history_;
};

}  // namespace perigee
