// A coordinator and a worker of this user's own: the same binaries as anywhere, on Unix sockets and files in the user's
// data folder. `up`, `down` and `run` start and stop them. A lock makes two ftctl at once take turns.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "client/session/session.h"
#include "core/base/file.h"

namespace ft::client {

// A program that was started and where its traces are.
struct DaemonFiles {
  std::string program;             // finetuned | ft-worker
  std::filesystem::path pid_file;  // "PID START_TIME", so that a reused pid is not mistaken for it.
  std::filesystem::path log;
};

// What the user's data folder holds.
struct PrivateLayout {
  explicit PrivateLayout(const std::filesystem::path& data_dir);
  std::filesystem::path dir;
  std::filesystem::path socket;         // For users. The coordinator makes both in its data folder.
  std::filesystem::path worker_socket;  // For the worker.
  DaemonFiles coordinator;
  DaemonFiles worker;
};

// Where Prometheus may read, HOST:PORT each. Two users of one machine must not meet, so a free port is the default.
struct MetricsAddresses {
  std::string coordinator;
  std::string worker;
};

// The command lines, without the program.
std::vector<std::string> CoordinatorArguments(const PrivateLayout& layout, const std::string& metrics);
std::vector<std::string> WorkerArguments(const PrivateLayout& layout, const std::string& metrics);

struct Started {
  bool coordinator = false;
  bool worker = false;
  MetricsAddresses metrics;  // Where the started programs answer.
  // A node that was cordoned or drained by request and is the only one that is up; empty = there is one that takes work.
  std::string needs_uncordon;
  bool any() const { return coordinator || worker; }
};

// Starts what does not run and waits until the coordinator answers and the worker's node is ready, or up and kept from work
// by an earlier `cordon` or `drain`, which last until `uncordon`. Empty addresses get free ports. UNAVAILABLE names the log of what did not come up; that is stopped again.
StatusOr<Started> StartPrivateDaemons(Session& session, MetricsAddresses metrics);

struct StopOptions {
  bool hurry = false;  // What a worker has not delivered after some seconds waits for the next start.
};

// Stops the worker, then the coordinator; a running job is not lost, it goes on from its last checkpoint at the next
// start. The names of what was stopped.
StatusOr<std::vector<std::string>> StopPrivateDaemons(Session& session, const StopOptions& options = {});

// One `run` that uses the private daemons. Those that a run started, rather than `up`, stop with the last run.
class DaemonUse {
 public:
  // Waits while another run stops them.
  static StatusOr<DaemonUse> Begin(const Session& session);
  // After StartPrivateDaemons: whether this run started any.
  Status Started(const Session& session, const Started& started);
  enum class Ending {
    kLast,   // The daemons are a run's, and no other run uses them; none begins until this is gone.
    kInUse,  // Another run uses them, and will stop them.
    kKept,   // No run started them: `up` did, or somebody else.
  };
  Ending End(const Session& session);

 private:
  explicit DaemonUse(UniqueFd lock) : lock_(std::move(lock)) {}
  UniqueFd lock_;
};

// `up` was asked for: no run stops them any more.
void KeepPrivateDaemons(const Session& session);

// The pid of a daemon that runs now; 0 when it does not.
int RunningPid(const DaemonFiles& files);

}  // namespace ft::client
