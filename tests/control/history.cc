#include "tests/control/history.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace ft::testing {

void History::Add(nlohmann::json line) const {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  line["t"] = now.tv_sec * 1'000'000'000 + now.tv_nsec;
  const std::string text = line.dump() + "\n";
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) ::close(fd);
  if (written) return;
  std::fprintf(stderr, "history %s cannot be written\n", path_.c_str());
  std::abort();
}

}  // namespace ft::testing
