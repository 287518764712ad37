#include "directory/memory/memory_directory.h"

#include <algorithm>

namespace perigee {

Result<std::vector<DirectoryChange>> MemoryDirectory::list() const {
  std::vector<DirectoryChange> rows;
  rows.reserve(rows_.size());
  for (const auto& [key, row] : rows_) rows.push_back(row);
  return rows;
}

Result<std::vector<DirectoryChange>> MemoryDirectory::since(std::uint64_t revision,
                                                            std::size_t bytes_max) const {
  PERIGEE_CHECK(check_history(revision, compacted_, revision_));
  ChangePage page{bytes_max};
  auto change = std::ranges::upper_bound(history_, revision, {}, &DirectoryChange::revision);
  while (change != history_.end() && page.take(*change)) ++change;
  return std::move(page).changes();
}

Result<> MemoryDirectory::check(const DirectoryWrite& write) const {
  const auto row = rows_.find({write.kind, write.key});
  return check_expected(write, row == rows_.end() ? 0 : row->second.revision);
}

Result<std::uint64_t> MemoryDirectory::apply(const std::vector<DirectoryWrite>& writes) {
  PERIGEE_CHECK(check_writes(writes));
  for (const DirectoryWrite& write : writes) PERIGEE_CHECK(check(write));
  ++revision_;
  for (const DirectoryWrite& write : writes) {
    DirectoryChange change{revision_, write.kind, write.key, write.value};
    if (write.value.empty())
      rows_.erase({write.kind, write.key});
    else
      rows_.insert_or_assign({write.kind, write.key}, change);
    history_.push_back(std::move(change));
  }
  while (history_.size() > limits_.history_max) {  // whole revisions only
    compacted_ = history_.front().revision;
    while (!history_.empty() && history_.front().revision == compacted_) history_.pop_front();
  }
  return revision_;
}

}  // namespace perigee
