#include "server/state/sqlite_store.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/vfs.h>

#include <cerrno>

#include "core/base/sha256.h"

namespace ft::state {
namespace {

constexpr int kApplicationId = 0x46545431;  // "FTT1"
constexpr int kSchemaVersion = 2;

constexpr char kSchema[] = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE leader (id INTEGER PRIMARY KEY CHECK (id = 1), term INTEGER NOT NULL);
CREATE TABLE jobs (job_id TEXT PRIMARY KEY, namespace_id TEXT NOT NULL, display_name TEXT NOT NULL,
  state TEXT NOT NULL, epoch INTEGER NOT NULL, revision INTEGER NOT NULL, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE attempts (job_id TEXT NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  row BLOB NOT NULL, PRIMARY KEY (job_id, epoch)) WITHOUT ROWID;
CREATE TABLE configs (job_id TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes (node_id TEXT PRIMARY KEY, state TEXT NOT NULL, incarnation TEXT NOT NULL, row BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE checkpoints (job_id TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, row BLOB NOT NULL,
  PRIMARY KEY (job_id, epoch, step)) WITHOUT ROWID;
CREATE TABLE events (revision INTEGER PRIMARY KEY, subject TEXT NOT NULL, type TEXT NOT NULL, row BLOB NOT NULL);
CREATE INDEX events_by_subject ON events (subject, revision);
CREATE INDEX deletions ON events (revision) WHERE type = 'JOB_DELETED';
CREATE TABLE requests (request_id TEXT PRIMARY KEY, method TEXT NOT NULL, row BLOB NOT NULL) WITHOUT ROWID;
)sql";

std::string RandomHex() {
  unsigned char bytes[16];
  RAND_bytes(bytes, sizeof(bytes));
  return Hex(Sha256Of(std::string_view(reinterpret_cast<char*>(bytes), sizeof(bytes)))).substr(0, 32);
}

// WAL needs shared memory between the file's users; network file systems do not give it.
Status RefuseNetworkFileSystem(const std::filesystem::path& dir) {
  struct statfs info {};
  if (::statfs(dir.c_str(), &info) != 0) return ErrnoStatus("statfs", dir, errno);
  constexpr uint32_t kNfs = 0x6969, kSmb = 0xFF534D42, kCifs = 0xFE534D42;
  const auto type = static_cast<uint32_t>(info.f_type);
  if (type == kNfs || type == kSmb || type == kCifs) {
    return absl::FailedPreconditionError(
        StrCat("data folder ", dir.string(), " is on a network file system: choose a local one with --data"));
  }
  return absl::OkStatus();
}

StatusOr<UniqueFd> LockFolder(const std::filesystem::path& dir) {
  const std::filesystem::path path = dir / "coordinator.lock";
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) return ErrnoStatus("open", path, errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        StrCat("data folder ", dir.string(),
               " is in use by another coordinator: stop it or choose another folder "
               "with --data"));
  }
  return fd;
}

}  // namespace

// Binds in order and steps; resets itself.
class SqliteStore::Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  ~Statement() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  Statement& Bind(const std::string& text) {
    sqlite3_bind_text(statement_, ++index_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
    return *this;
  }
  Statement& Bind(int64_t value) {
    sqlite3_bind_int64(statement_, ++index_, value);
    return *this;
  }
  Statement& BindRow(const google::protobuf::MessageLite& row) {
    const std::string bytes = row.SerializeAsString();
    sqlite3_bind_blob(statement_, ++index_, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
    return *this;
  }
  bool Done() { return sqlite3_step(statement_) == SQLITE_DONE; }
  bool Next() { return sqlite3_step(statement_) == SQLITE_ROW; }
  std::string Text(int column) {
    const void* data = sqlite3_column_blob(statement_, column);
    return std::string(static_cast<const char*>(data),
                       data == nullptr ? 0 : sqlite3_column_bytes(statement_, column));
  }
  int64_t Int(int column) { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_;
  int index_ = 0;
};

StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::filesystem::path& dir) {
  RETURN_IF_ERROR(MakeDirectories(dir));
  RETURN_IF_ERROR(RefuseNetworkFileSystem(dir));
  ASSIGN_OR_RETURN(UniqueFd lock, LockFolder(dir));
  sqlite3* db = nullptr;
  const std::string path = (dir / "coordinator.db").string();
  const int rc = sqlite3_open_v2(path.c_str(), &db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  auto store = std::unique_ptr<SqliteStore>(new SqliteStore(std::move(lock), db));
  if (rc != SQLITE_OK) return store->Error(StrCat("open ", path));
  sqlite3_busy_timeout(db, 1000);
  for (const char* pragma : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL",
                             "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON"}) {
    RETURN_IF_ERROR(store->Execute(pragma));
  }
  RETURN_IF_ERROR(WithContext(store->CreateSchema(path), path));
  return store;
}

SqliteStore::~SqliteStore() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(db_);
}

Status SqliteStore::Error(std::string_view what) {
  const int code = sqlite3_errcode(db_);
  const std::string text = StrCat("store: ", what, ": ", sqlite3_errmsg(db_));
  if ((code & 0xff) == SQLITE_FULL) return absl::ResourceExhaustedError(text);
  return absl::DataLossError(text);
}

Status SqliteStore::Execute(const char* sql) {
  if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return Error(sql);
  return absl::OkStatus();
}

StatusOr<sqlite3_stmt*> SqliteStore::Prepared(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr && sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK)
    return Error(sql);
  return statement;
}

StatusOr<int64_t> SqliteStore::Number(const char* pragma) {
  ASSIGN_OR_RETURN(sqlite3_stmt * query, Prepared(pragma));
  Statement statement(query);
  if (!statement.Next()) return Error(pragma);
  return statement.Int(0);
}

Status SqliteStore::CreateSchema(const std::filesystem::path& path) {
  // A statement that is still open would keep VACUUM from copying an older store.
  ASSIGN_OR_RETURN(const int64_t id, Number("PRAGMA application_id"));
  ASSIGN_OR_RETURN(const int64_t version, Number("PRAGMA user_version"));
  if (id == kApplicationId && version == kSchemaVersion) return absl::OkStatus();
  if (id == kApplicationId && version == 1) return MigrateFrom1(path);
  if (id == kApplicationId) {
    return absl::FailedPreconditionError(StrCat("the store has version ", version,
                                                ", this program reads version ", kSchemaVersion,
                                                ": use the program that wrote it"));
  }
  if (id != 0) return absl::FailedPreconditionError("not a store of finetuned");
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(Execute(kSchema));
  RETURN_IF_ERROR(Execute(StrCat("INSERT INTO meta VALUES ('store_id', '", RandomHex(),
                                 "'), ('revision', '0'), ('secret', '", RandomHex(), RandomHex(), "')")
                              .c_str()));
  RETURN_IF_ERROR(Execute("INSERT INTO leader VALUES (1, 0)"));
  RETURN_IF_ERROR(Execute(StrCat("PRAGMA application_id=", kApplicationId).c_str()));
  RETURN_IF_ERROR(Execute(StrCat("PRAGMA user_version=", kSchemaVersion).c_str()));
  return Execute("COMMIT");
}

// What stands in the way of an older program is copied aside whole before anything is changed; then one transaction does all of
// it, so a coordinator that dies at any moment finds either version 1 or version 2.
Status SqliteStore::MigrateFrom1(const std::filesystem::path& path) {
  const std::filesystem::path copy = path.string() + ".version1", beside = copy.string() + ".part";
  std::error_code error;
  std::filesystem::remove(beside, error);
  ASSIGN_OR_RETURN(sqlite3_stmt * vacuum, Prepared("VACUUM INTO ?"));
  {
    Statement into(vacuum);
    into.Bind(beside.string());
    if (!into.Done()) return Error("copy of version 1");
  }
  if (::rename(beside.c_str(), copy.c_str()) != 0) return ErrnoStatus("rename", beside, errno);
  RETURN_IF_ERROR(SyncDirectory(copy.parent_path()));
  RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
  Status status = Execute("CREATE TABLE configs (job_id TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID");
  if (status.ok()) status = MoveConfigs();
  if (status.ok()) status = Execute("DROP TABLE ranks");
  if (status.ok()) status = Execute("CREATE INDEX deletions ON events (revision) WHERE type = 'JOB_DELETED'");
  if (status.ok())
    status = Execute(StrCat("INSERT INTO meta VALUES ('secret', '", RandomHex(), RandomHex(), "')").c_str());
  if (status.ok()) status = Execute(StrCat("PRAGMA user_version=", kSchemaVersion).c_str());
  if (status.ok()) status = Execute("COMMIT");
  if (!status.ok() && sqlite3_get_autocommit(db_) == 0)
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  return status;
}

Status SqliteStore::MoveConfigs() {
  std::vector<spb::StoredJob> jobs;
  {
    ASSIGN_OR_RETURN(sqlite3_stmt * select, Prepared("SELECT row FROM jobs"));
    Statement rows(select);
    while (rows.Next()) {
      if (!jobs.emplace_back().ParseFromString(rows.Text(0)))
        return absl::DataLossError("store: a row of jobs does not parse");
    }
    RETURN_IF_ERROR(CheckDone("SELECT row FROM jobs"));
  }
  Changes changes;
  for (spb::StoredJob& row : jobs) {
    auto config = std::make_shared<spb::StoredConfig>();
    config->set_job_id(row.job_id());
    config->set_config_yaml(row.job().config_yaml());
    config->set_resolved_config_json(row.job().resolved_config_json());
    *config->mutable_report() = row.job().prepared().report();
    row.mutable_job()->clear_config_yaml();
    row.mutable_job()->clear_resolved_config_json();
    if (row.job().has_prepared()) row.mutable_job()->mutable_prepared()->clear_report();
    changes.configs.push_back(std::move(config));
    changes.jobs.push_back(std::make_shared<spb::StoredJob>(std::move(row)));
  }
  return WriteRows(changes);
}

Status SqliteStore::CheckDone(const char* sql) {
  const int code = sqlite3_errcode(db_);
  return code == SQLITE_DONE || code == SQLITE_OK ? absl::OkStatus() : Error(sql);
}

StatusOr<ClusterState> SqliteStore::Load() {
  RETURN_IF_ERROR(Execute("UPDATE leader SET term = term + 1"));
  ClusterState state;
  const auto query = [&](const char* sql, auto visit) -> Status {
    ASSIGN_OR_RETURN(sqlite3_stmt * prepared, Prepared(sql));
    Statement rows(prepared);
    while (rows.Next()) visit(rows);
    return CheckDone(sql);
  };
  Status broken;
  const auto parsed = [&](auto row, const std::string& bytes, const char* table) {
    if (!row->ParseFromString(bytes))
      broken = absl::DataLossError(StrCat("store: a row of ", table, " does not parse"));
    return row;
  };
  Changes all;
  RETURN_IF_ERROR(query("SELECT term FROM leader", [&](Statement& row) { state.term = row.Int(0); }));
  RETURN_IF_ERROR(query("SELECT value FROM meta WHERE key='store_id'",
                        [&](Statement& row) { state.store_id = row.Text(0); }));
  RETURN_IF_ERROR(query("SELECT CAST(value AS INTEGER) FROM meta WHERE key='revision'",
                        [&](Statement& row) { all.revision = row.Int(0); }));
  RETURN_IF_ERROR(query("SELECT CAST(value AS INTEGER) FROM meta WHERE key='revision_limit'",
                        [&](Statement& row) { all.revision = std::max(all.revision, row.Int(0)); }));
  RETURN_IF_ERROR(query("SELECT value FROM meta WHERE key='secret'",
                        [&](Statement& row) { state.secret = row.Text(0); }));
  RETURN_IF_ERROR(query("SELECT row FROM jobs", [&](Statement& row) {
    all.jobs.push_back(parsed(std::make_shared<spb::StoredJob>(), row.Text(0), "jobs"));
  }));
  RETURN_IF_ERROR(query("SELECT row FROM configs", [&](Statement& row) {
    all.configs.push_back(parsed(std::make_shared<spb::StoredConfig>(), row.Text(0), "configs"));
  }));
  RETURN_IF_ERROR(query("SELECT row FROM attempts", [&](Statement& row) {
    all.attempts.push_back(parsed(std::make_shared<spb::StoredAttempt>(), row.Text(0), "attempts"));
  }));
  RETURN_IF_ERROR(query("SELECT row FROM nodes", [&](Statement& row) {
    all.nodes.push_back(parsed(std::make_shared<spb::StoredNode>(), row.Text(0), "nodes"));
  }));
  RETURN_IF_ERROR(query("SELECT row FROM checkpoints", [&](Statement& row) {
    all.checkpoints.push_back(parsed(std::make_shared<spb::StoredCheckpoint>(), row.Text(0), "checkpoints"));
  }));
  RETURN_IF_ERROR(query("SELECT row FROM requests", [&](Statement& row) {
    all.requests.push_back(parsed(std::make_shared<spb::StoredRequest>(), row.Text(0), "requests"));
  }));
  RETURN_IF_ERROR(broken);
  Install(all, state);
  return state;
}

Status SqliteStore::WriteGroup(std::span<const Changes* const> group, int64_t revision_limit) {
  Status status = Execute("BEGIN IMMEDIATE");
  for (const Changes* changes : group) {
    if (status.ok()) status = WriteChanges(*changes);
    if (status.ok()) status = WriteDeletions(*changes);
  }
  if (status.ok())
    status = Execute(
        StrCat("INSERT OR REPLACE INTO meta VALUES ('revision_limit', '", revision_limit, "')").c_str());
  if (status.ok()) status = Execute("COMMIT");
  if (!status.ok() && sqlite3_get_autocommit(db_) == 0)
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  return status;
}

Status SqliteStore::WriteRows(const Changes& changes) {
  const auto put = [&](const char* sql, auto bind) -> Status {
    ASSIGN_OR_RETURN(sqlite3_stmt * prepared, Prepared(sql));
    Statement statement(prepared);
    bind(statement);
    return statement.Done() ? absl::OkStatus() : Error(sql);
  };
  for (const JobPtr& job : changes.jobs) {
    RETURN_IF_ERROR(put("INSERT OR REPLACE INTO jobs VALUES (?,?,?,?,?,?,?)", [&](Statement& s) {
      s.Bind(job->job_id()).Bind(job->namespace_id()).Bind(job->job().display_name());
      s.Bind(pb::JobState_Name(job->job().state()))
          .Bind(job->job().epoch())
          .Bind(job->revision())
          .BindRow(*job);
    }));
  }
  for (const ConfigPtr& config : changes.configs) {
    RETURN_IF_ERROR(put("INSERT OR REPLACE INTO configs VALUES (?,?)",
                        [&](Statement& s) { s.Bind(config->job_id()).BindRow(*config); }));
  }
  for (const AttemptPtr& attempt : changes.attempts) {
    RETURN_IF_ERROR(put("INSERT OR REPLACE INTO attempts VALUES (?,?,?,?,?)", [&](Statement& s) {
      s.Bind(attempt->job_id()).Bind(attempt->epoch()).Bind(wpb::AttemptKind_Name(attempt->kind()));
      s.Bind(spb::StoredAttempt::State_Name(attempt->state())).BindRow(*attempt);
    }));
  }
  for (const NodePtr& node : changes.nodes) {
    RETURN_IF_ERROR(put("INSERT OR REPLACE INTO nodes VALUES (?,?,?,?)", [&](Statement& s) {
      s.Bind(node->node_id())
          .Bind(pb::NodeState_Name(node->state()))
          .Bind(node->incarnation())
          .BindRow(*node);
    }));
  }
  for (const CheckpointPtr& row : changes.checkpoints) {
    RETURN_IF_ERROR(put("INSERT INTO checkpoints VALUES (?,?,?,?)", [&](Statement& s) {
      s.Bind(row->job_id()).Bind(row->checkpoint().epoch()).Bind(row->checkpoint().step()).BindRow(*row);
    }));
  }
  for (const RequestPtr& row : changes.requests) {
    RETURN_IF_ERROR(put("INSERT INTO requests VALUES (?,?,?)",
                        [&](Statement& s) { s.Bind(row->request_id()).Bind(row->method()).BindRow(*row); }));
  }
  for (const pb::Event& event : changes.events) {
    RETURN_IF_ERROR(put("INSERT INTO events VALUES (?,?,?,?)", [&](Statement& s) {
      s.Bind(event.revision()).Bind(event.subject()).Bind(event.type()).BindRow(event);
    }));
  }
  return absl::OkStatus();
}

Status SqliteStore::WriteChanges(const Changes& changes) {
  RETURN_IF_ERROR(WriteRows(changes));
  ASSIGN_OR_RETURN(sqlite3_stmt * prepared, Prepared("UPDATE meta SET value=? WHERE key='revision'"));
  Statement statement(prepared);
  statement.Bind(changes.revision);
  return statement.Done() ? absl::OkStatus() : Error("revision");
}

Status SqliteStore::WriteDeletions(const Changes& changes) {
  const auto run = [&](const char* sql, const std::string& key) -> Status {
    ASSIGN_OR_RETURN(sqlite3_stmt * prepared, Prepared(sql));
    Statement statement(prepared);
    statement.Bind(key);
    return statement.Done() ? absl::OkStatus() : Error(sql);
  };
  for (const JobPtr& job : changes.deleted_jobs) {
    RETURN_IF_ERROR(run("DELETE FROM jobs WHERE job_id=?", job->job_id()));
    RETURN_IF_ERROR(run("DELETE FROM attempts WHERE job_id=?", job->job_id()));
    RETURN_IF_ERROR(run("DELETE FROM configs WHERE job_id=?", job->job_id()));
    RETURN_IF_ERROR(run("DELETE FROM checkpoints WHERE job_id=?", job->job_id()));
  }
  for (const std::string& id : changes.deleted_requests) {
    RETURN_IF_ERROR(run("DELETE FROM requests WHERE request_id=?", id));
  }
  for (const std::string& id : changes.deleted_nodes) {
    RETURN_IF_ERROR(run("DELETE FROM nodes WHERE node_id=?", id));
  }
  static constexpr char kDrop[] = "DELETE FROM checkpoints WHERE job_id=? AND epoch=? AND step=?";
  for (const CheckpointPtr& row : changes.deleted_checkpoints) {
    ASSIGN_OR_RETURN(sqlite3_stmt * prepared, Prepared(kDrop));
    Statement statement(prepared);
    statement.Bind(row->job_id()).Bind(row->checkpoint().epoch()).Bind(row->checkpoint().step());
    if (!statement.Done()) return Error(kDrop);
  }
  return absl::OkStatus();
}

StatusOr<std::vector<pb::Event>> SqliteStore::ReadEvents(const EventQuery& query) {
  // Each goes by an index of its own.
  static constexpr char kAll[] = "SELECT row FROM events WHERE revision>?1 ORDER BY revision LIMIT ?2";
  static constexpr char kOfSubject[] =
      "SELECT row FROM events WHERE revision>?1 AND subject=?3 ORDER BY revision LIMIT ?2";
  static constexpr char kDeletions[] =
      "SELECT row FROM events WHERE revision>?1 AND type='JOB_DELETED' ORDER BY revision LIMIT ?2";
  const char* sql = query.only_deletions ? kDeletions : query.subject.empty() ? kAll : kOfSubject;
  ASSIGN_OR_RETURN(sqlite3_stmt * prepared, Prepared(sql));
  Statement statement(prepared);
  statement.Bind(query.after_revision).Bind(int64_t{query.limit});
  if (sql == kOfSubject) statement.Bind(query.subject);
  std::vector<pb::Event> events;
  while (statement.Next()) {
    if (!events.emplace_back().ParseFromString(statement.Text(0))) {
      return absl::DataLossError("store: a row of events does not parse");
    }
  }
  RETURN_IF_ERROR(CheckDone(sql));
  return events;
}

StatusOr<int64_t> SqliteStore::OldestRevision() {
  ASSIGN_OR_RETURN(sqlite3_stmt * prepared,
                   Prepared("SELECT CAST(value AS INTEGER) FROM meta WHERE key='trimmed'"));
  Statement statement(prepared);
  return statement.Next() ? statement.Int(0) : int64_t{0};
}

Status SqliteStore::TrimEvents(int64_t up_to_revision) {
  Status status = Execute("BEGIN IMMEDIATE");
  if (status.ok()) status = Execute(StrCat("DELETE FROM events WHERE revision<=", up_to_revision).c_str());
  if (status.ok())
    status = Execute(StrCat("INSERT OR REPLACE INTO meta VALUES ('trimmed', ", up_to_revision, ")").c_str());
  if (status.ok()) status = Execute("COMMIT");
  if (!status.ok() && sqlite3_get_autocommit(db_) == 0)
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  return status;
}

}  // namespace ft::state
