// The agent's end of the command stream. Created with new; deletes itself when the call has ended. Commands
// and the end arrive on the agent's loop.
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <string>

#include "worker/node/agent/client.h"

namespace ft::agent {

class CommandReader : public grpc::ClientBidiReactor<wpb::CommandAck, wpb::Command> {
 public:
  CommandReader(Client& client, std::string session_id,
                std::function<void(CommandReader*, const wpb::Command&)> on_command,
                std::function<void(const CommandReader*, const Status&)> on_end);
  void Start();
  // Any thread.
  void Acknowledge(int64_t command_id, const std::string& error);
  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  void WriteNext();

  Client& client_;
  const std::string session_id_;
  std::function<void(CommandReader*, const wpb::Command&)> on_command_;
  std::function<void(const CommandReader*, const Status&)> on_end_;
  grpc::ClientContext context_;
  wpb::Command command_;
  std::recursive_mutex mutex_;  // Guards all below. gRPC may run a reaction inside a call.
  std::deque<wpb::CommandAck> acks_;
  wpb::CommandAck current_;
  bool writing_ = false;
  bool broken_ = false;
};

}  // namespace ft::agent
