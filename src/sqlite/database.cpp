#include "sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace perigee::sqlite {
namespace {

constexpr int kBusyTimeoutMs = 2000;

Error error_of(sqlite3* handle, int status, const std::string& path) {
  const std::string text = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(status);
  switch (status & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::Unavailable,
              path + ": locked by another process (" + text + "): stop the other one first"};
    case SQLITE_FULL:
    case SQLITE_IOERR: return {Code::Unavailable, path + ": " + text + ": check the disk"};
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {Code::DataLoss, path + ": damaged (" + text + "): restore it from a backup"};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return {Code::FailedPrecondition,
              path + ": " + text + ": check that the folder exists and is writable"};
    default: return {Code::Internal, path + ": " + text};
  }
}

// Empty text is text: of a null pointer SQLite makes NULL.
const char* text_of(std::string_view value) { return value.data() == nullptr ? "" : value.data(); }

std::string pragma_with(const char* name, std::int64_t value) {
  return std::string{"PRAGMA "} + name + " = " + std::to_string(value);
}

}  // namespace

void Statement::Finalizer::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement::Statement(sqlite3_stmt* statement, std::string path)
    : statement_(statement), path_(std::move(path)) {}

Statement& Statement::bind(int position, std::int64_t value) {
  const int status = sqlite3_bind_int64(statement_.get(), position, value);
  PERIGEE_ASSERT(status == SQLITE_OK);
  return *this;
}

Statement& Statement::bind(int position, std::string_view value) {
  const int status = sqlite3_bind_text64(statement_.get(), position, text_of(value), value.size(),
                                         SQLITE_TRANSIENT, SQLITE_UTF8);
  PERIGEE_ASSERT(status == SQLITE_OK);
  return *this;
}

Statement& Statement::bind_in_place(int position, std::string_view value) {
  const int status = sqlite3_bind_text64(statement_.get(), position, text_of(value), value.size(),
                                         SQLITE_STATIC, SQLITE_UTF8);
  PERIGEE_ASSERT(status == SQLITE_OK);
  return *this;
}

Result<bool> Statement::step() {
  const int status = sqlite3_step(statement_.get());
  if (status == SQLITE_ROW) return true;
  if (status == SQLITE_DONE) return false;
  return error_of(sqlite3_db_handle(statement_.get()), status, path_);
}

Result<> Statement::run() {
  Result<bool> stepped = step();
  reset();
  if (!stepped) return std::move(stepped).error();
  return {};
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

std::int64_t Statement::column_int64(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view Statement::column_text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

void Database::Closer::operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }

Database::Database(std::unique_ptr<sqlite3, Closer> handle, std::string path)
    : handle_(std::move(handle)), path_(std::move(path)) {}

Result<std::unique_ptr<sqlite3, Database::Closer>> Database::connect(const std::string& path,
                                                                     int flags) {
  sqlite3* raw = nullptr;
  const int status = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<sqlite3, Closer> handle{raw};
  if (status != SQLITE_OK) return error_of(raw, status, path);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeoutMs);
  return handle;
}

Result<Database> Database::open(const std::string& path, Durability durability,
                                const Layout& layout) {
  // Made here, so that nobody else can read it even for an instant.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return Error{Code::FailedPrecondition, path + ": " + std::strerror(errno) +
                                               ": check that the folder exists and is writable"};
  }
  ::close(file);
  PERIGEE_TRY(handle, connect(path, SQLITE_OPEN_READWRITE));
  Database database{std::move(handle), path};
  PERIGEE_CHECK(database.set_up(durability, layout));
  return database;
}

Result<Database> Database::open_to_read(const std::string& path, const Layout& layout) {
  if (::access(path.c_str(), F_OK) != 0) {
    return Error{Code::NotFound, path + ": there is no " + std::string{layout.what}};
  }
  PERIGEE_TRY(handle, connect(path, SQLITE_OPEN_READONLY));
  Database database{std::move(handle), path};
  PERIGEE_TRY(found, database.find_layout(layout));
  if (found == Found::Same) return database;
  return Error{Code::FailedPrecondition,
               path + ": of an older layout, or empty: the program that writes it upgrades it"};
}

Result<Database::Found> Database::find_layout(const Layout& layout) {
  PERIGEE_TRY(mark, pragma("PRAGMA application_id"));
  PERIGEE_TRY(version, pragma("PRAGMA user_version"));
  PERIGEE_TRY(tables, pragma("SELECT count(*) FROM sqlite_schema"));
  if (tables == 0 && mark == 0 && version == 0) return Found::Nothing;
  if (mark != layout.application_id) {
    return Error{Code::FailedPrecondition, path_ + ": not a Perigee " + std::string{layout.what} +
                                               ": move it away or choose another folder"};
  }
  if (version == layout.schema_version) return Found::Same;
  if (!layout.upgrade.empty() && version + 1 == layout.schema_version) return Found::Older;
  return Error{Code::FailedPrecondition,
               path_ + ": written in layout " + std::to_string(version) + ", this program reads " +
                   std::to_string(layout.schema_version) + ": use the matching perigee"};
}

Result<> Database::set_up(Durability durability, const Layout& layout) {
  if (layout.exclusive) PERIGEE_CHECK(execute("PRAGMA locking_mode = EXCLUSIVE"));
  PERIGEE_TRY(found, find_layout(layout));
  PERIGEE_CHECK(execute("PRAGMA journal_mode = WAL"));
  PERIGEE_CHECK(execute(durability == Durability::Full ? "PRAGMA synchronous = FULL"
                                                       : "PRAGMA synchronous = NORMAL"));
  if (found == Found::Same) return {};
  PERIGEE_TRY(transaction, Transaction::begin(*this));
  PERIGEE_CHECK(
      execute(std::string{found == Found::Nothing ? layout.schema : layout.upgrade}.c_str()));
  PERIGEE_CHECK(execute(pragma_with("application_id", layout.application_id).c_str()));
  PERIGEE_CHECK(execute(pragma_with("user_version", layout.schema_version).c_str()));
  return transaction.commit();
}

Result<std::int64_t> Database::pragma(const char* sql) {
  PERIGEE_TRY(statement, prepare(sql));
  PERIGEE_TRY(has_row, statement.step());
  return has_row ? statement.column_int64(0) : 0;
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int status = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (status != SQLITE_OK) return error_of(handle_.get(), status, path_);
  return Statement{statement, path_};
}

Result<> Database::execute(const char* sql) {
  const int status = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return error_of(handle_.get(), status, path_);
  return {};
}

Result<Transaction> Transaction::begin(Database& database) {
  PERIGEE_CHECK(database.execute("BEGIN IMMEDIATE"));
  return Transaction{database};
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
  if (database_ != nullptr) (void)database_->execute("ROLLBACK");
}

Result<> Transaction::commit() {
  PERIGEE_CHECK(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace perigee::sqlite
