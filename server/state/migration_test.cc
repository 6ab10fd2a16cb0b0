// A store of version 1 opens, and keeps everything, whenever the coordinator that migrates it dies.
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "server/state/sqlite_store.h"
#include "tests/support/temp_dir.h"

namespace ft::state {
namespace {

// As version 1 made it.
constexpr char kSchema1[] = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE leader (id INTEGER PRIMARY KEY CHECK (id = 1), term INTEGER NOT NULL);
CREATE TABLE jobs (job_id TEXT PRIMARY KEY, namespace_id TEXT NOT NULL, display_name TEXT NOT NULL,
  state TEXT NOT NULL, epoch INTEGER NOT NULL, revision INTEGER NOT NULL, row BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE attempts (job_id TEXT NOT NULL, epoch INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  row BLOB NOT NULL, PRIMARY KEY (job_id, epoch)) WITHOUT ROWID;
CREATE TABLE ranks (job_id TEXT NOT NULL, epoch INTEGER NOT NULL, rank INTEGER NOT NULL, node_id TEXT NOT NULL,
  state TEXT NOT NULL, PRIMARY KEY (job_id, epoch, rank)) WITHOUT ROWID;
CREATE TABLE nodes (node_id TEXT PRIMARY KEY, state TEXT NOT NULL, incarnation TEXT NOT NULL, row BLOB NOT NULL)
  WITHOUT ROWID;
CREATE TABLE checkpoints (job_id TEXT NOT NULL, epoch INTEGER NOT NULL, step INTEGER NOT NULL, row BLOB NOT NULL,
  PRIMARY KEY (job_id, epoch, step)) WITHOUT ROWID;
CREATE TABLE events (revision INTEGER PRIMARY KEY, subject TEXT NOT NULL, type TEXT NOT NULL, row BLOB NOT NULL);
CREATE INDEX events_by_subject ON events (subject, revision);
CREATE TABLE requests (request_id TEXT PRIMARY KEY, method TEXT NOT NULL, row BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('store_id', '0123456789abcdef0123456789abcdef'), ('revision', '700');
INSERT INTO leader VALUES (1, 4);
INSERT INTO ranks VALUES ('j0', 1, 0, 'a', 'RANK_EXITED');
PRAGMA application_id=1179931697;
PRAGMA user_version=1;
)sql";

constexpr int kJobs = 300;
constexpr int kKills = 20;

std::string Id(int job) { return StrCat("j", job); }

void MakeVersion1(const std::filesystem::path& dir) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((dir / "coordinator.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA journal_mode=WAL; BEGIN", nullptr, nullptr, nullptr), SQLITE_OK);
  char* why = nullptr;
  ASSERT_EQ(sqlite3_exec(db, kSchema1, nullptr, nullptr, &why), SQLITE_OK) << why;
  sqlite3_stmt* insert = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(db, "INSERT INTO jobs VALUES (?,'default','name','SUCCEEDED',1,1,?)", -1,
                               &insert, nullptr),
            SQLITE_OK);
  for (int i = 0; i < kJobs; ++i) {
    spb::StoredJob row;
    row.set_job_id(Id(i));
    row.set_namespace_id("default");
    row.set_order(i + 1);
    row.mutable_job()->set_name(JobName("default", Id(i)));
    row.mutable_job()->set_state(pb::SUCCEEDED);
    row.mutable_job()->set_config_yaml(StrCat("name: ", Id(i), "\n", std::string(2000, '#')));
    row.mutable_job()->set_resolved_config_json("{}");
    row.mutable_job()->mutable_prepared()->set_samples(i);
    row.mutable_job()->mutable_prepared()->add_report("a line");
    const std::string id = Id(i), bytes = row.SerializeAsString();
    sqlite3_bind_text(insert, 1, id.data(), static_cast<int>(id.size()), SQLITE_TRANSIENT);
    sqlite3_bind_blob(insert, 2, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
    ASSERT_EQ(sqlite3_step(insert), SQLITE_DONE);
    sqlite3_reset(insert);
  }
  sqlite3_finalize(insert);
  ASSERT_EQ(sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
}

void ExpectWhole(const std::filesystem::path& dir) {
  auto store = SqliteStore::Open(dir);
  ASSERT_TRUE(store.ok()) << store.status();
  const auto state = (*store)->Load();
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(state->store_id, "0123456789abcdef0123456789abcdef");
  EXPECT_EQ(state->secret.size(), 64u);
  EXPECT_GE(state->revision, 700);
  EXPECT_GT(state->term, 4);
  ASSERT_EQ(state->jobs.size(), static_cast<size_t>(kJobs));
  EXPECT_EQ(state->waiting.size(), 0u);
  for (int i = 0; i < kJobs; ++i) {
    const JobPtr row = state->jobs.Find(Id(i));
    ASSERT_NE(row, nullptr);
    EXPECT_TRUE(row->job().config_yaml().empty());
    const pb::Job full = FullJob(*state, *row);
    EXPECT_EQ(full.config_yaml(), StrCat("name: ", Id(i), "\n", std::string(2000, '#')));
    EXPECT_EQ(full.resolved_config_json(), "{}");
    EXPECT_EQ(full.prepared().samples(), i);
    ASSERT_EQ(full.prepared().report_size(), 1);
  }
}

TEST(OrdinaryMigration, AVersion1StoreIsCopiedAsideAndKeepsEverything) {
  testing::TempDir dir;
  ASSERT_NO_FATAL_FAILURE(MakeVersion1(dir.path()));
  ExpectWhole(dir.path());
  ExpectWhole(dir.path());  // Now as version 2.
  // The copy is a store of version 1 that opens by itself.
  testing::TempDir older;
  std::filesystem::copy_file(dir / "coordinator.db.version1", older / "coordinator.db");
  ExpectWhole(older.path());
}

// Opens the store in a process of its own and kills that after `micros`.
void KillWhileItMigrates(const std::filesystem::path& dir, int64_t micros) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = SqliteStore::Open(dir);
    ::_exit(store.ok() ? 0 : 1);
  }
  ::usleep(static_cast<useconds_t>(micros));
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_FALSE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << "it could not be opened";
}

TEST(OrdinaryMigration, KilledAtRandomMomentsItLosesNothing) {
  std::mt19937_64 random(20261128);
  // As long as a migration takes here, and a bit.
  testing::TempDir timed;
  ASSERT_NO_FATAL_FAILURE(MakeVersion1(timed.path()));
  const auto start = std::chrono::steady_clock::now();
  ExpectWhole(timed.path());
  const auto took =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  for (int kill = 0; kill < kKills; ++kill) {
    testing::TempDir dir;
    ASSERT_NO_FATAL_FAILURE(MakeVersion1(dir.path()));
    KillWhileItMigrates(dir.path(), static_cast<int64_t>(random() % static_cast<uint64_t>(took)));
    KillWhileItMigrates(dir.path(), static_cast<int64_t>(random() % static_cast<uint64_t>(took)));
    ExpectWhole(dir.path());
  }
}

}  // namespace
}  // namespace ft::state
