#include "control/directory_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "base/secret.h"
#include "control/history.h"
#include "directory/records_json.h"

namespace perigee::control {
namespace {

constexpr std::size_t kRecentEventsMax = 1024;
constexpr std::size_t kEpochChars = 16;
constexpr std::size_t kGenerationChars = 8;
constexpr std::size_t kGenerationsMax = 10'000;         // older ones are forgotten
constexpr std::string_view kGeneration = "generation";  // a row's kind: control only

Error other_history() {
  return {
      Code::FailedPrecondition,
      "this control's directory is an older copy than what this site has: it was restored from a "
      "backup, or is not the one that the site followed; docs/directory.md (Histories) says what "
      "to do",
      "history"};
}

std::string row_name(std::string_view kind, std::string_view key) {
  return std::string{kind} + " " + std::string{key};
}

}  // namespace

DirectoryTable::DirectoryTable(std::unique_ptr<Directory> directory, const Clock& clock)
    : directory_(std::move(directory)), keys_(clock) {}

Result<std::unique_ptr<DirectoryTable>> DirectoryTable::load(std::unique_ptr<Directory> directory,
                                                             const Clock& clock,
                                                             std::string_view grid, bool restored,
                                                             AuditLog* audit) {
  std::unique_ptr<DirectoryTable> table{new DirectoryTable{std::move(directory), clock}};
  PERIGEE_CHECK(table->read_all());
  PERIGEE_CHECK(table->name_grid(grid));
  PERIGEE_CHECK(table->begin_generation(restored, clock.wall(), audit));
  return table;
}

Result<> DirectoryTable::read_all() {
  PERIGEE_TRY(rows, directory_->list());
  for (const DirectoryChange& row : rows) PERIGEE_CHECK(take(row));
  snapshot_.revision = directory_->revision();
  keys_.update(snapshot_);
  return {};
}

Result<> DirectoryTable::name_grid(std::string_view grid) {
  if (!snapshot_.grid.empty()) {
    if (grid.empty() || grid == snapshot_.grid) return {};
    return Error{Code::FailedPrecondition, "this directory belongs to grid " + snapshot_.grid +
                                               ", not " + std::string{grid} +
                                               ": leave --grid out, have no authority of another "
                                               "grid there, or use another --state-dir"};
  }
  const std::string name{grid.empty() ? "perigee" : grid};
  if (!valid_name(name)) {
    return Error{Code::InvalidArgument,
                 "a grid's name has lower-case letters, digits, '.', '_' and '-' only", "grid"};
  }
  const std::string kind{row_kind::kMeta};
  PERIGEE_CHECK(apply({{kind, "grid", meta_row(name), kAnyRevision},
                       {kind, "epoch", meta_row(random_base62(kEpochChars)), kAnyRevision}}));
  return {};
}

Result<> DirectoryTable::begin_generation(bool restored, WallTime now, AuditLog* audit) {
  std::string epoch{epoch_of(snapshot_.epoch)};
  if (restored) epoch = random_base62(kEpochChars);
  const std::string generation = random_base62(kGenerationChars);
  const std::string kind{kGeneration};
  std::vector<DirectoryWrite> writes{
      {std::string{row_kind::kMeta}, "epoch", meta_row(epoch + "/" + generation), kAnyRevision},
      {kind, generation, meta_row(generation), kAnyRevision}};
  while (!generations_.empty() && (restored || generations_.size() >= kGenerationsMax)) {
    writes.push_back({kind, generations_.begin()->second, "", kAnyRevision});
    generations_.erase(generations_.begin());
  }
  if (restored) {
    PERIGEE_CHECK(record_and_apply({.time = now,
                                    .actor = "control",
                                    .from = "--restored",
                                    .action = "restore directory",
                                    .name = snapshot_.grid,
                                    .writes = std::move(writes)},
                                   audit));
    return {};
  }
  PERIGEE_CHECK(apply(writes));
  return {};
}

Result<std::uint64_t> DirectoryTable::record_and_apply(AuditEntry entry, AuditLog* audit) {
  PERIGEE_CHECK(check(entry.writes));
  entry.revision = snapshot_.revision + 1;
  if (audit != nullptr) PERIGEE_CHECK(audit->record(entry));
  auto revision = apply(entry.writes);
  if (!revision) {
    if (audit != nullptr) audit->record_failure(std::move(entry), revision.error().message);
    return revision;
  }
  log::info("directory changed", {{"what", entry.action},
                                  {"name", entry.name},
                                  {"by", entry.actor},
                                  {"revision", *revision},
                                  {"audit", audit == nullptr ? "none" : audit->end().hash}});
  return revision;
}

Result<> DirectoryTable::knows(std::string_view epoch, std::uint64_t revision) const {
  if (epoch_of(epoch) != epoch_of(snapshot_.epoch)) {
    return Error{Code::FailedPrecondition,
                 "the directory was made anew since that snapshot: take a new one", "epoch"};
  }
  if (revision > snapshot_.revision) return other_history();
  const std::string_view generation = generation_of(epoch);
  if (generation.empty()) return {};  // a site before generations
  const auto found = std::ranges::find_if(
      generations_, [generation](const auto& entry) { return entry.second == generation; });
  if (found == generations_.end()) return other_history();
  const auto next = std::next(found);
  if (next != generations_.end() && revision >= next->first) return other_history();
  return {};
}

Result<> DirectoryTable::take(const DirectoryChange& change) {
  if (change.kind == kGeneration) {
    std::erase_if(generations_, [&](const auto& entry) { return entry.second == change.key; });
    if (!change.value.empty()) generations_.insert_or_assign(change.revision, change.key);
    return {};
  }
  if (change.kind == row_kind::kJoinToken) {
    if (change.value.empty()) {
      join_tokens_.erase(change.key);
    } else {
      PERIGEE_TRY(token, join_token_from_row(change.value));
      join_tokens_.insert_or_assign(change.key, std::move(token));
    }
  } else {
    PERIGEE_CHECK(apply_change(snapshot_, change));
  }
  if (change.value.empty())
    row_revisions_.erase(row_name(change.kind, change.key));
  else
    row_revisions_[row_name(change.kind, change.key)] = change.revision;
  return {};
}

std::shared_ptr<const std::string> DirectoryTable::snapshot_json() {
  if (!snapshot_json_) snapshot_json_ = std::make_shared<const std::string>(to_json(snapshot_));
  return snapshot_json_;
}

std::uint64_t DirectoryTable::row_revision(std::string_view kind, std::string_view key) const {
  const auto found = row_revisions_.find(row_name(kind, key));
  return found == row_revisions_.end() ? 0 : found->second;
}

DirectoryTable::NumberedEvent DirectoryTable::event_of(std::uint64_t revision,
                                                       std::vector<DirectoryChange> rows) {
  std::erase_if(rows, [](const DirectoryChange& row) {
    return row.kind == row_kind::kJoinToken || row.kind == kGeneration;
  });
  return {revision, std::make_shared<const std::string>(to_event(revision, rows))};
}

Result<> DirectoryTable::check(const std::vector<DirectoryWrite>& writes) const {
  PERIGEE_CHECK(check_writes(writes));
  for (const DirectoryWrite& write : writes) {
    PERIGEE_CHECK(check_expected(write, row_revision(write.kind, write.key)));
  }
  return {};
}

Result<std::uint64_t> DirectoryTable::apply(const std::vector<DirectoryWrite>& writes) {
  PERIGEE_TRY(revision, directory_->apply(writes));
  std::vector<DirectoryChange> rows;
  rows.reserve(writes.size());
  for (const DirectoryWrite& write : writes) {
    rows.push_back({revision, write.kind, write.key, write.value});
    const Result<> taken = take(rows.back());
    PERIGEE_ASSERT(taken.has_value());  // we wrote it
  }
  snapshot_.revision = revision;
  snapshot_json_.reset();
  keys_.update(snapshot_);
  recent_.push_back(event_of(revision, std::move(rows)));
  if (recent_.size() > kRecentEventsMax) recent_.pop_front();
  if (on_change_) on_change_();
  return revision;
}

bool DirectoryTable::is_recent(std::uint64_t from) const {
  return !recent_.empty() && recent_.front().revision <= from + 1 && from < snapshot_.revision;
}

Result<> DirectoryTable::check_since(std::uint64_t from) const {
  if (is_recent(from)) return {};
  return check_history(from, directory_->compacted(), snapshot_.revision);
}

Result<std::vector<DirectoryTable::NumberedEvent>> DirectoryTable::events_since(
    std::uint64_t from, std::size_t bytes_max) const {
  std::vector<NumberedEvent> events;
  if (from == snapshot_.revision) return events;
  if (is_recent(from)) {
    auto event = std::ranges::upper_bound(recent_, from, {}, &NumberedEvent::revision);
    std::size_t bytes = 0;
    do {
      bytes += event->text->size();
      events.push_back(*event);
    } while (++event != recent_.end() && bytes < bytes_max);
    return events;
  }
  PERIGEE_TRY(changes, directory_->since(from, bytes_max));
  for (auto row = changes.begin(); row != changes.end();) {
    const auto end = std::find_if(row, changes.end(), [&row](const DirectoryChange& change) {
      return change.revision != row->revision;
    });
    events.push_back(event_of(row->revision, {row, end}));
    row = end;
  }
  return events;
}

}  // namespace perigee::control
