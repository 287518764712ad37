#include "directory/sqlite/sqlite_directory.h"

#include <limits>
#include <utility>

#include "sqlite/database.h"

namespace perigee {
namespace {

using sqlite::Database;
using sqlite::Durability;
using sqlite::Statement;
using sqlite::Transaction;

// `row` is the state, `change` its history; `state` has one line.
constexpr Database::Layout kLayout{.application_id = 0x50476469,  // "PGdi"
                                   .schema_version = 1,
                                   .schema = R"(
      CREATE TABLE row (kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL,
                        value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
      CREATE TABLE change (sequence INTEGER PRIMARY KEY, revision INTEGER NOT NULL,
                           kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL);
      CREATE INDEX change_revision ON change (revision);
      CREATE TABLE state (revision INTEGER NOT NULL, compacted INTEGER NOT NULL);
      INSERT INTO state VALUES (0, 0);
    )",
                                   .what = "directory",
                                   .exclusive = true};

Result<std::vector<DirectoryChange>> read_changes(Statement& statement, std::size_t bytes_max) {
  ChangePage page{bytes_max};
  Result<bool> has_row = statement.step();
  while (has_row && *has_row &&
         page.take({static_cast<std::uint64_t>(statement.column_int64(0)),
                    std::string{statement.column_text(1)}, std::string{statement.column_text(2)},
                    std::string{statement.column_text(3)}})) {
    has_row = statement.step();
  }
  statement.reset();
  if (!has_row) return std::move(has_row).error();
  return std::move(page).changes();
}

}  // namespace

struct SqliteDirectory::Store {
  static Result<std::unique_ptr<Store>> open(const std::string& path, DirectoryLimits limits);
  Result<> load_state();
  Result<std::uint64_t> stored_revision(const DirectoryWrite& write);
  Result<> write_row(const DirectoryWrite& write, std::uint64_t at);
  // Forgets whole revisions until the history is within its bound; returns the newest forgotten.
  Result<std::uint64_t> compact();

  Database database;
  Statement list;
  Statement since;
  Statement find;
  Statement put;
  Statement remove;
  Statement remember;
  Statement oldest_kept;
  Statement forget;
  Statement save_state;
  DirectoryLimits limits;
  std::uint64_t revision = 0;
  std::uint64_t compacted = 0;
};

Result<std::unique_ptr<SqliteDirectory::Store>> SqliteDirectory::Store::open(
    const std::string& path, DirectoryLimits limits) {
  PERIGEE_TRY(database, Database::open(path, Durability::Full, kLayout));
  PERIGEE_TRY(list, database.prepare("SELECT revision, kind, key, value FROM row"));
  // In the order of its index: a page reads no more rows than it gives.
  PERIGEE_TRY(since, database.prepare("SELECT revision, kind, key, value FROM change "
                                      "WHERE revision > ?1 ORDER BY revision, sequence"));
  PERIGEE_TRY(find, database.prepare("SELECT revision FROM row WHERE kind = ?1 AND key = ?2"));
  PERIGEE_TRY(put, database.prepare("INSERT OR REPLACE INTO row VALUES (?1, ?2, ?3, ?4)"));
  PERIGEE_TRY(remove, database.prepare("DELETE FROM row WHERE kind = ?1 AND key = ?2"));
  PERIGEE_TRY(remember, database.prepare("INSERT INTO change (kind, key, revision, value) "
                                         "VALUES (?1, ?2, ?3, ?4)"));
  PERIGEE_TRY(oldest_kept, database.prepare("SELECT revision FROM change "
                                            "ORDER BY sequence DESC LIMIT 1 OFFSET ?1"));
  PERIGEE_TRY(forget, database.prepare("DELETE FROM change WHERE revision <= ?1"));
  PERIGEE_TRY(save_state, database.prepare("UPDATE state SET revision = ?1, compacted = ?2"));
  auto store = std::make_unique<Store>(Store{std::move(database), std::move(list), std::move(since),
                                             std::move(find), std::move(put), std::move(remove),
                                             std::move(remember), std::move(oldest_kept),
                                             std::move(forget), std::move(save_state), limits});
  PERIGEE_CHECK(store->load_state());
  return store;
}

Result<> SqliteDirectory::Store::load_state() {
  PERIGEE_TRY(check, database.prepare("PRAGMA quick_check(1)"));
  PERIGEE_TRY(checked, check.step());
  if (!checked || check.column_text(0) != "ok") {
    return Error{Code::DataLoss, database.path() + ": damaged (" +
                                     std::string{check.column_text(0)} +
                                     "): restore it from a backup"};
  }
  PERIGEE_TRY(select, database.prepare("SELECT revision, compacted FROM state"));
  PERIGEE_TRY(has_row, select.step());
  if (!has_row) return Error{Code::DataLoss, database.path() + ": damaged: its state is missing"};
  revision = static_cast<std::uint64_t>(select.column_int64(0));
  compacted = static_cast<std::uint64_t>(select.column_int64(1));
  return {};
}

Result<std::uint64_t> SqliteDirectory::Store::stored_revision(const DirectoryWrite& write) {
  Result<bool> has_row = find.bind(1, write.kind).bind(2, write.key).step();
  const std::uint64_t found =
      has_row && *has_row ? static_cast<std::uint64_t>(find.column_int64(0)) : 0;
  find.reset();
  if (!has_row) return std::move(has_row).error();
  return found;
}

Result<> SqliteDirectory::Store::write_row(const DirectoryWrite& write, std::uint64_t at) {
  const auto revision_value = static_cast<std::int64_t>(at);
  if (write.value.empty()) {
    PERIGEE_CHECK(remove.bind(1, write.kind).bind(2, write.key).run());
  } else {
    put.bind(1, write.kind).bind(2, write.key).bind(3, revision_value).bind(4, write.value);
    PERIGEE_CHECK(put.run());
  }
  remember.bind(1, write.kind).bind(2, write.key).bind(3, revision_value).bind(4, write.value);
  return remember.run();
}

Result<std::uint64_t> SqliteDirectory::Store::compact() {
  oldest_kept.bind(1, static_cast<std::int64_t>(limits.history_max));
  Result<bool> beyond = oldest_kept.step();
  const auto last = beyond && *beyond ? oldest_kept.column_int64(0) : 0;
  oldest_kept.reset();
  if (!beyond) return std::move(beyond).error();
  if (!*beyond) return compacted;
  PERIGEE_CHECK(forget.bind(1, last).run());
  return static_cast<std::uint64_t>(last);
}

SqliteDirectory::SqliteDirectory(std::unique_ptr<Store> store) : store_(std::move(store)) {}
SqliteDirectory::~SqliteDirectory() = default;

Result<std::unique_ptr<SqliteDirectory>> SqliteDirectory::open(const std::string& path,
                                                               DirectoryLimits limits) {
  PERIGEE_TRY(store, Store::open(path, limits));
  return std::unique_ptr<SqliteDirectory>{new SqliteDirectory{std::move(store)}};
}

std::uint64_t SqliteDirectory::revision() const { return store_->revision; }

Result<std::vector<DirectoryChange>> SqliteDirectory::list() const {
  return read_changes(store_->list, std::numeric_limits<std::size_t>::max());
}

Result<std::vector<DirectoryChange>> SqliteDirectory::since(std::uint64_t revision,
                                                            std::size_t bytes_max) const {
  PERIGEE_CHECK(check_history(revision, store_->compacted, store_->revision));
  store_->since.bind(1, static_cast<std::int64_t>(revision));
  return read_changes(store_->since, bytes_max);
}

std::uint64_t SqliteDirectory::compacted() const { return store_->compacted; }

Result<std::uint64_t> SqliteDirectory::apply(const std::vector<DirectoryWrite>& writes) {
  PERIGEE_CHECK(check_writes(writes));
  Store& store = *store_;
  PERIGEE_TRY(transaction, Transaction::begin(store.database));
  const std::uint64_t next = store.revision + 1;
  for (const DirectoryWrite& write : writes) {
    PERIGEE_TRY(stored, store.stored_revision(write));
    PERIGEE_CHECK(check_expected(write, stored));
  }
  for (const DirectoryWrite& write : writes) PERIGEE_CHECK(store.write_row(write, next));
  PERIGEE_TRY(compacted, store.compact());
  store.save_state.bind(1, static_cast<std::int64_t>(next));
  PERIGEE_CHECK(store.save_state.bind(2, static_cast<std::int64_t>(compacted)).run());
  PERIGEE_CHECK(transaction.commit());
  store.revision = next;
  store.compacted = compacted;
  return next;
}

}  // namespace perigee
