// SqliteDirectory: a Directory in one SQLite file. A change is on the disk when apply() returns.
// The file belongs to one process at a time.
#pragma once

#include <memory>
#include <string>

#include "directory/directory.h"

namespace perigee {

class SqliteDirectory final : public Directory {
 public:
  // Opens or creates the file (0600). Unavailable: another process has it; DataLoss: damaged;
  // FailedPrecondition: can't be opened, or of another layout.
  static Result<std::unique_ptr<SqliteDirectory>> open(const std::string& path,
                                                       DirectoryLimits limits = {});
  ~SqliteDirectory() override;
  std::uint64_t revision() const override;
  Result<std::vector<DirectoryChange>> list() const override;
  Result<std::vector<DirectoryChange>> since(std::uint64_t revision,
                                             std::size_t bytes_max) const override;
  std::uint64_t compacted() const override;
  Result<std::uint64_t> apply(const std::vector<DirectoryWrite>& writes) override;

 private:
  struct Store;  // the connection and its statements
  explicit SqliteDirectory(std::unique_ptr<Store> store);
  std::unique_ptr<Store> store_;
};

}  // namespace perigee
