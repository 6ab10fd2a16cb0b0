#include "worker/supervisor/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>

#include "worker/supervisor/pidfd.h"

extern char** environ;

namespace ft::supervisor {
namespace {

constexpr int kControlFd = 3;

// posix_spawn's two option objects, destroyed together.
struct Attributes {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  Attributes() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~Attributes() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

void SetSignals(posix_spawnattr_t& attributes, bool own_group) {
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  if (own_group) {
    posix_spawnattr_setpgroup(&attributes, 0);
    flags |= POSIX_SPAWN_SETPGROUP;
  }
  posix_spawnattr_setflags(&attributes, flags);
}

}  // namespace

StatusOr<Spawned> Spawn(const SpawnOptions& options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("no program to start");
  Attributes spawn;
  SetSignals(spawn.attributes, options.own_group);
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  posix_spawn_file_actions_addopen(&spawn.actions, 0, "/dev/null", O_RDONLY, 0);
  if (!options.stdout_path.empty()) {
    posix_spawn_file_actions_addopen(&spawn.actions, 1, options.stdout_path.c_str(), kAppend, 0644);
  }
  if (!options.stderr_path.empty()) {
    posix_spawn_file_actions_addopen(&spawn.actions, 2, options.stderr_path.c_str(), kAppend, 0644);
  }
  // The source descriptor is close-on-exec; a copy under another number is not. Same number: dup2 clears the flag too.
  if (options.fd3 >= 0) posix_spawn_file_actions_adddup2(&spawn.actions, options.fd3, kControlFd);
  posix_spawn_file_actions_addclosefrom_np(&spawn.actions, options.fd3 >= 0 ? kControlFd + 1 : kControlFd);
  if (!options.cwd.empty()) posix_spawn_file_actions_addchdir_np(&spawn.actions, options.cwd.c_str());
  std::vector<char*> argv;
  for (const std::string& argument : options.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  Spawned spawned;
  const int error = ::posix_spawn(&spawned.pid, argv[0], &spawn.actions, &spawn.attributes, argv.data(), environ);
  if (error != 0) return ErrnoStatus("start", options.argv[0], error);
  spawned.pidfd = UniqueFd(PidfdOpen(spawned.pid));
  if (!spawned.pidfd.valid()) {
    const int cause = errno;
    ::kill(spawned.pid, SIGKILL);
    ::waitpid(spawned.pid, nullptr, 0);
    return ErrnoStatus("watch", options.argv[0], cause);
  }
  return spawned;
}

}  // namespace ft::supervisor
