// One line a message on stderr, as text or JSON. Call once, first in main.
#pragma once

#include <string>

namespace ft::rpc {

struct LoggingOptions {
  std::string program;
  bool json = false;
  std::string level = "info";
};

void SetUpLogging(const LoggingOptions& options);

}  // namespace ft::rpc
