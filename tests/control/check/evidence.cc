#include "tests/control/check/evidence.h"

#include <sqlite3.h>

#include <sstream>

#include "core/base/file.h"
#include "core/records/record_file.h"
#include "server/state/sqlite_store.h"

namespace ft::check {

namespace {

// SQLite's own word on the file.
Status CheckIntegrity(const std::filesystem::path& path) {
  sqlite3* db = nullptr;
  std::string verdict;
  const auto keep = [](void* out, int, char** values, char**) {
    static_cast<std::string*>(out)->append(values[0]).append("\n");
    return 0;
  };
  bool read = sqlite3_open(path.c_str(), &db) == SQLITE_OK;
  read = read && sqlite3_exec(db, "PRAGMA integrity_check", keep, &verdict, nullptr) == SQLITE_OK;
  sqlite3_close(db);
  if (read && verdict == "ok\n") return absl::OkStatus();
  return absl::DataLossError(StrCat(path.string(), ": integrity check: ", verdict));
}

}  // namespace

StatusOr<Evidence> Collect(const std::filesystem::path& coordinator,
                           const std::vector<std::filesystem::path>& workers,
                           const std::filesystem::path& history) {
  Evidence evidence{coordinator, workers, {}, {}, {}};
  ASSIGN_OR_RETURN(const std::string text, ReadFile(history, uint64_t{1} << 30));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json parsed = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    // A rank killed while it appends may leave half a line.
    if (parsed.is_object()) evidence.history.push_back(std::move(parsed));
  }
  RETURN_IF_ERROR(CheckIntegrity(coordinator / "coordinator.db"));
  ASSIGN_OR_RETURN(const auto store, state::SqliteStore::Open(coordinator));
  ASSIGN_OR_RETURN(evidence.state, store->Load());
  state::EventQuery query;
  query.limit = 1000;
  while (true) {
    ASSIGN_OR_RETURN(std::vector<state::pb::Event> page, store->ReadEvents(query));
    if (page.empty()) return evidence;
    query.after_revision = page.back().revision();
    evidence.events.insert(evidence.events.end(), page.begin(), page.end());
  }
}

StatusOr<std::vector<records::Record>> KeptRecords(const Evidence& evidence, const std::string& job,
                                                   int64_t epoch, int rank) {
  return records::ReadRecords(evidence.coordinator / "jobs" / job / StrCat("e", epoch) /
                              StrCat("rank", rank) / "records.ftr");
}

}  // namespace ft::check
