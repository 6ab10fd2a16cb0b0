// A Unix socket that passes bytes to another one, and misbehaves when told. Stands between an agent and its
// coordinator. One thread of its own.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "core/base/file.h"

namespace ft::testing {

enum class Wire {
  kPass,
  kSilent,    // Nothing passes, nothing is closed; what was sent arrives when it passes again.
  kToServer,  // Only what goes to the server passes.
  kToClient,  // Only what comes from the server passes.
  kCut,       // Connections are closed, and new ones at once.
};

class Proxy {
 public:
  Proxy(std::string path, std::string target);
  ~Proxy();
  void Set(Wire wire) { wire_ = wire; }
  // Closes the connections of now; new ones pass. Answers that were on their way are lost.
  void Reset() { reset_ = true; }
  const std::string& path() const { return path_; }

 private:
  struct Way {
    UniqueFd client, server;
    std::string to_server, to_client;
  };
  void Main();
  void Accept();
  bool Pump(Way& way);

  const std::string path_, target_;
  UniqueFd listener_;
  std::atomic<Wire> wire_{Wire::kPass};
  std::atomic<bool> reset_{false};
  std::atomic<bool> stop_{false};
  std::map<int, Way> ways_;  // By the client's descriptor.
  std::thread thread_;
};

}  // namespace ft::testing
