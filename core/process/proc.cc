#include "core/process/proc.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace ft::process {
namespace {

constexpr size_t kMaxBytes = 4 << 20;

}  // namespace

std::string ReadProc(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  char block[4096];
  while (text.size() < kMaxBytes && (file.read(block, sizeof(block)) || file.gcount() > 0)) {
    text.append(block, static_cast<size_t>(file.gcount()));
  }
  return text;
}

std::optional<uint64_t> StartTicks(pid_t pid) {
  const std::string text = ReadProc("/proc/" + std::to_string(pid) + "/stat");
  // The name in parentheses may hold anything; fields are counted after its end. Start time is field 22.
  const size_t close = text.rfind(')');
  if (close == std::string::npos) return std::nullopt;
  std::istringstream rest(text.substr(close + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) rest >> field;
  return std::strtoull(field.c_str(), nullptr, 10);
}

std::string BootId() {
  std::string text = ReadProc("/proc/sys/kernel/random/boot_id");
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

}  // namespace ft::process
