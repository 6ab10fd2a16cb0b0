#include "worker/node/agent/command_reader.h"

namespace ft::agent {

CommandReader::CommandReader(Client& client, std::string session_id,
                             std::function<void(CommandReader*, const wpb::Command&)> on_command,
                             std::function<void(const CommandReader*, const Status&)> on_end)
    : client_(client),
      session_id_(std::move(session_id)),
      on_command_(std::move(on_command)),
      on_end_(std::move(on_end)) {}

void CommandReader::Start() {
  client_.stub().async()->CommandStream(&context_, this);
  // Acknowledgements start writes from outside reactions; the hold keeps the call until its reads have ended.
  AddHold();
  {
    std::lock_guard lock(mutex_);
    acks_.emplace_back().set_session_id(session_id_);
  }
  WriteNext();
  StartRead(&command_);
  StartCall();
}

void CommandReader::Acknowledge(int64_t command_id, const std::string& error) {
  {
    std::lock_guard lock(mutex_);
    wpb::CommandAck& ack = acks_.emplace_back();
    ack.set_session_id(session_id_);
    ack.set_command_id(command_id);
    ack.set_error(error);
  }
  WriteNext();
}

void CommandReader::WriteNext() {
  std::lock_guard lock(mutex_);
  if (writing_ || broken_ || acks_.empty()) return;
  writing_ = true;
  current_ = std::move(acks_.front());
  acks_.pop_front();
  StartWrite(&current_);
}

void CommandReader::OnReadDone(bool ok) {
  if (!ok) {
    std::lock_guard lock(mutex_);
    broken_ = true;
    RemoveHold();
    return;
  }
  boost::asio::post(client_.context(), [this, command = command_] { on_command_(this, command); });
  StartRead(&command_);
}

void CommandReader::OnWriteDone(bool ok) {
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    broken_ = broken_ || !ok;
  }
  if (ok) WriteNext();
}

void CommandReader::OnDone(const grpc::Status& status) {
  // Behind all commands that were posted before, so that none of them meets a deleted reader.
  boost::asio::post(client_.context(), [this, status = rpc::FromGrpc(status)] {
    on_end_(this, status);
    delete this;
  });
}

}  // namespace ft::agent
