// Store in one SQLite file: WAL, synchronous=FULL, exclusive locking, exactly one connection (SQLite
// before 3.51.3 can corrupt a WAL that two connections reset). A lock file of its own keeps a second
// coordinator out of the folder.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <map>
#include <memory>

#include "core/base/file.h"
#include "server/state/store.h"

namespace ft::state {

class SqliteStore : public Store {
 public:
  // Creates or opens `<dir>/coordinator.db`. FAILED_PRECONDITION when another coordinator holds the folder,
  // or the file is not ours or from a newer version.
  static StatusOr<std::unique_ptr<SqliteStore>> Open(const std::filesystem::path& dir);
  ~SqliteStore() override;

  StatusOr<ClusterState> Load() override;
  Status WriteGroup(std::span<const Changes* const> group, int64_t revision_limit) override;
  StatusOr<std::vector<pb::Event>> ReadEvents(const EventQuery& query) override;
  StatusOr<int64_t> OldestRevision() override;
  Status TrimEvents(int64_t up_to_revision) override;

 private:
  class Statement;
  SqliteStore(UniqueFd lock, sqlite3* db) : lock_(std::move(lock)), db_(db) {}

  Status Execute(const char* sql);
  // A prepared statement, kept for the next time.
  StatusOr<sqlite3_stmt*> Prepared(const char* sql);
  // The number that a PRAGMA answers.
  StatusOr<int64_t> Number(const char* pragma);
  // Makes a new store, or brings an older one up to date, in one transaction.
  Status CreateSchema(const std::filesystem::path& path);
  // From version 1, which is copied aside first.
  Status MigrateFrom1(const std::filesystem::path& path);
  Status MoveConfigs();
  Status WriteChanges(const Changes& changes);
  Status WriteRows(const Changes& changes);
  // After the last row: whether there are no more, or there was an error.
  Status CheckDone(const char* sql);
  Status WriteDeletions(const Changes& changes);
  Status Error(std::string_view what);

  UniqueFd lock_;
  sqlite3* db_;
  std::map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace ft::state
