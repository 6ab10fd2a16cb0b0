#include "tests/control/faulty/fault_vfs.h"

#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <new>
#include <thread>

namespace ft::faulty {
namespace {

FaultPlan* g_plan = nullptr;
bool g_keep_copies = false;
sqlite3_vfs* g_system = nullptr;

struct File {
  sqlite3_file base;
  std::string* path;
  bool is_log;
  bool dirty;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }

Fault Asked() { return static_cast<Fault>(g_plan->fault.load()); }

void KillNow() { ::kill(::getpid(), SIGKILL); }

int Write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 offset) {
  File* self = Of(file);
  if (Asked() == Fault::kFull) return SQLITE_FULL;
  const bool due = self->is_log && g_plan->transactions.load() + 1 == g_plan->at.load();
  if (self->is_log && !self->dirty && due && Asked() == Fault::kKillBefore) KillNow();
  const bool first = !self->dirty;
  self->dirty = true;
  const int rc = self->inner()->pMethods->xWrite(self->inner(), data, amount, offset);
  if (first && due && Asked() == Fault::kKillWithin) KillNow();
  return rc;
}

int Sync(sqlite3_file* file, int flags) {
  File* self = Of(file);
  if (Asked() == Fault::kSyncFailsOnce) {
    g_plan->fault = static_cast<uint32_t>(Fault::kNone);
    return SQLITE_IOERR_FSYNC;
  }
  if (Asked() == Fault::kSlow) ::usleep(500'000);
  const int rc = self->inner()->pMethods->xSync(self->inner(), flags);
  self->dirty = false;
  if (g_keep_copies) {
    std::error_code ignored;
    std::filesystem::copy_file(*self->path, *self->path + ".copying",
                               std::filesystem::copy_options::overwrite_existing, ignored);
    std::filesystem::rename(*self->path + ".copying", *self->path + ".synced", ignored);
  }
  if (!self->is_log) return rc;
  const bool due = g_plan->transactions.fetch_add(1) + 1 == g_plan->at.load();
  if (due && Asked() == Fault::kKillCommitted) KillNow();
  if (due && Asked() == Fault::kKillReplied) {
    std::thread([] {
      ::usleep(1500);
      KillNow();
    }).detach();
  }
  return rc;
}

int Close(sqlite3_file* file) {
  File* self = Of(file);
  const int rc = self->inner()->pMethods->xClose(self->inner());
  delete self->path;
  return rc;
}
int Read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  return Of(file)->inner()->pMethods->xRead(Of(file)->inner(), out, amount, offset);
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return Of(file)->inner()->pMethods->xTruncate(Of(file)->inner(), size);
}
int Size(sqlite3_file* file, sqlite3_int64* size) {
  return Of(file)->inner()->pMethods->xFileSize(Of(file)->inner(), size);
}
int Lock(sqlite3_file* file, int level) {
  return Of(file)->inner()->pMethods->xLock(Of(file)->inner(), level);
}
int Unlock(sqlite3_file* file, int level) {
  return Of(file)->inner()->pMethods->xUnlock(Of(file)->inner(), level);
}
int Reserved(sqlite3_file* file, int* out) {
  return Of(file)->inner()->pMethods->xCheckReservedLock(Of(file)->inner(), out);
}
int Control(sqlite3_file* file, int op, void* argument) {
  return Of(file)->inner()->pMethods->xFileControl(Of(file)->inner(), op, argument);
}
int SectorSize(sqlite3_file* file) { return Of(file)->inner()->pMethods->xSectorSize(Of(file)->inner()); }
int Characteristics(sqlite3_file* file) {
  return Of(file)->inner()->pMethods->xDeviceCharacteristics(Of(file)->inner());
}

// Version 1: no shared memory, which exclusive locking does without, and no memory map, which would bypass
// Read.
const sqlite3_io_methods kMethods = {1,    Close,  Read,     Write,   Truncate,   Sync,           Size,
                                     Lock, Unlock, Reserved, Control, SectorSize, Characteristics};

int Open(sqlite3_vfs*, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
  File* self = Of(file);
  std::memset(self, 0, sizeof(File));
  const int rc = g_system->xOpen(g_system, name, self->inner(), flags, out_flags);
  if (rc != SQLITE_OK) return rc;
  self->path = new std::string(name == nullptr ? "" : name);
  self->is_log = (flags & SQLITE_OPEN_WAL) != 0;
  self->base.pMethods = &kMethods;
  return rc;
}

}  // namespace

void InstallFaultVfs(FaultPlan* plan, bool keep_synced_copies) {
  g_plan = plan;
  g_keep_copies = keep_synced_copies;
  g_system = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs = *g_system;
  vfs.zName = "faulty";
  vfs.pNext = nullptr;
  vfs.szOsFile = static_cast<int>(sizeof(File)) + g_system->szOsFile;
  vfs.xOpen = Open;
  sqlite3_vfs_register(&vfs, /*makeDflt=*/1);
}

}  // namespace ft::faulty
