// Database and Statement: the little of SQLite that Perigee's stores need, with owners and Results.
//
// One connection is one thread's. Every call may touch the disk. SQLite's own text of an error goes
// into the Error's message behind the path of the file, so that an operator knows which file to
// look at. Codes: Unavailable (locked by another process, disk full: repeat later), DataLoss
// (damaged or not a database: restore it), FailedPrecondition (cannot be opened, wrong schema),
// Internal.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace perigee::sqlite {

// A prepared statement. Bind from 1, step until done, reset to run again. Must not outlive its
// Database. Bound bytes are copied by bind() and used where they are by bind_in_place(): they must
// live until the statement has run.
class Statement {
 public:
  Statement& bind(int position, std::int64_t value);
  Statement& bind(int position, std::string_view value);
  Statement& bind_in_place(int position, std::string_view value);
  Result<bool> step();  // true: a row is there; false: done
  // Runs to its end and resets, for statements without rows.
  Result<> run();
  void reset();

  std::int64_t column_int64(int column) const;     // from 0
  std::string_view column_text(int column) const;  // until the next step or reset

 private:
  friend class Database;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(sqlite3_stmt* statement, std::string path);
  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  std::string path_;
};

// How the file is kept safe. In both modes a crash of the process loses nothing that was committed.
enum class Durability : std::uint8_t {
  Full,    // a commit is on the disk when it returns
  Normal,  // a power failure may lose the last commits, never tear one
};

class Database {
 public:
  // Opens or creates `path` (mode 0600 when new) with a write-ahead log. `application_id` marks the
  // file as ours and `schema_version` as of this layout: a new file runs `schema` once; a file with
  // another mark or version is refused with a message that says so.
  struct Layout {
    std::int32_t application_id = 0;
    std::int32_t schema_version = 0;
    std::string_view schema;
    std::string_view what;          // "directory", for messages
    std::string_view upgrade = {};  // turns the layout before this one into it; empty: none can
    bool exclusive = false;  // no other process may open the file meanwhile: it gets Unavailable
  };
  static Result<Database> open(const std::string& path, Durability durability,
                               const Layout& layout);
  // To read alone: makes, upgrades and repairs nothing. NotFound when there is no file.
  static Result<Database> open_to_read(const std::string& path, const Layout& layout);

  Result<Statement> prepare(std::string_view sql);
  Result<> execute(const char* sql);  // may hold several statements
  const std::string& path() const { return path_; }

 private:
  struct Closer {
    void operator()(sqlite3* handle) const;
  };
  Database(std::unique_ptr<sqlite3, Closer> handle, std::string path);
  static Result<std::unique_ptr<sqlite3, Closer>> connect(const std::string& path, int flags);
  enum class Found : std::uint8_t { Nothing, Older, Same };
  Result<Found> find_layout(const Layout& layout);
  Result<> set_up(Durability durability, const Layout& layout);
  Result<std::int64_t> pragma(const char* sql);
  std::unique_ptr<sqlite3, Closer> handle_;
  std::string path_;
};

// Rolls back when it goes out of scope without commit().
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);  // takes the write lock at once
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Result<> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace perigee::sqlite
