// What supervisor and agent say to each other. One message is one packet of JSON; both ends are the same build.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/base/status.h"

namespace ft::rankhost {

// A rank process, for ever: no two processes share one.
struct RankKey {
  std::string job_id;
  int64_t epoch = 0;
  int rank = 0;
  auto operator<=>(const RankKey&) const = default;
};

// ---- Agent to supervisor.

// Starts a process in a group of its own; its fd 3 is the rank's end of the control socket. A key that is known already
// is answered with Started or Exited again, and nothing is started.
struct Start {
  RankKey key;
  std::vector<std::string> argv;  // argv[0] is the program's path.
  std::string cwd;
  std::string stdout_path;        // Opened for appending.
  std::string stderr_path;
};

// Sends a signal to the rank's whole process group.
struct Signal {
  RankKey key;
  int signal = 0;
};

// Drops an exited rank and its state file.
struct Forget {
  RankKey key;
};

// ---- Supervisor to agent.

struct RankInfo {
  RankKey key;
  int64_t pid = 0;
  bool exited = false;
  int wait_status = 0;  // As waitpid gives it, once exited.
};

// The first message every agent gets.
struct Inventory {
  std::string incarnation;  // Random, once per supervisor.
  std::string boot_id;
  std::vector<RankInfo> ranks;
};

// With the agent's end of the control socket.
struct Started {
  RankKey key;
  int64_t pid = 0;
};

struct StartFailed {
  RankKey key;
  std::string message;
};

// Durable before it is said.
struct Exited {
  RankKey key;
  int wait_status = 0;
};

// The agent's end of the control socket of a rank that an earlier agent started.
struct ControlSocket {
  RankKey key;
};

using Message = std::variant<Start, Signal, Forget, Inventory, Started, StartFailed, Exited, ControlSocket>;

std::string Encode(const Message& message);
StatusOr<Message> Decode(std::string_view text);

}  // namespace ft::rankhost
