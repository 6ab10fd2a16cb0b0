// fake_agent REQUEST_DIR LOG: sends each file of the folder once, in order of names; writes one line a message to the log.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "core/rankhost/channel.h"

namespace fs = std::filesystem;

int main(int, char** argv) {
  ft::rankhost::Channel channel{ft::UniqueFd(3)};
  std::ofstream log(argv[2], std::ios::app);
  log << "agent pid " << ::getpid() << std::endl;
  std::vector<ft::UniqueFd> sockets;
  while (true) {
    std::vector<fs::path> requests;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(argv[1], error)) {
      if (entry.path().extension() == ".json") requests.push_back(entry.path());
    }
    std::sort(requests.begin(), requests.end());
    for (const fs::path& path : requests) {
      const auto message = ft::rankhost::Decode(ft::ReadFile(path).value_or(""));
      if (message.ok() && !channel.Send(*message).ok()) return 1;
      fs::rename(path, path.string() + ".sent", error);
    }
    pollfd readable{channel.fd(), POLLIN, 0};
    ::poll(&readable, 1, 10);
    while (true) {
      auto received = channel.Receive();
      if (!received.ok()) return 1;
      if (!received->has_value()) break;
      log << Encode((*received)->message) << std::endl;
      if (std::holds_alternative<ft::rankhost::ControlSocket>((*received)->message)) {
        if (::write((*received)->fd.get(), "stop\n", 5) != 5) return 1;
      }
      if ((*received)->fd.valid()) sockets.push_back(std::move((*received)->fd));
    }
  }
}
