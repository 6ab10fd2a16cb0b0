// faulty_finetuned --config FILE --plan FILE [--copies]: the coordinator on a disk that fails as the plan
// says.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "core/rpc/logging.h"
#include "server/coordinator/config.h"
#include "server/coordinator/coordinator.h"
#include "tests/control/faulty/fault_vfs.h"

namespace {

int Fail(const ft::Status& status) {
  std::fprintf(stderr, "faulty_finetuned: %s\n", std::string(ft::Message(status)).c_str());
  return 2;
}

ft::faulty::FaultPlan* MapPlan(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 || ::ftruncate(fd, sizeof(ft::faulty::FaultPlan)) != 0) return nullptr;
  void* at = ::mmap(nullptr, sizeof(ft::faulty::FaultPlan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return at == MAP_FAILED ? nullptr : static_cast<ft::faulty::FaultPlan*>(at);
}

}  // namespace

int main(int argc, char** argv) {
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::string config_file, plan_file;
  bool copies = false;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--config" && i + 1 < argc)
      config_file = argv[++i];
    else if (name == "--plan" && i + 1 < argc)
      plan_file = argv[++i];
    else if (name == "--copies")
      copies = true;
  }
  ft::coordinator::Config config;
  if (const ft::Status read = ft::coordinator::ReadConfigFile(config_file, &config); !read.ok())
    return Fail(read);
  if (const ft::Status complete = config.Complete(); !complete.ok()) return Fail(complete);
  ft::faulty::FaultPlan* plan = MapPlan(plan_file);
  if (plan == nullptr) return Fail(absl::InternalError("the plan cannot be mapped: " + plan_file));
  ft::faulty::InstallFaultVfs(plan, copies);
  ft::rpc::SetUpLogging({"finetuned", false, "info"});
  ft::coordinator::Coordinator coordinator(config);
  if (const ft::Status started = coordinator.Start(); !started.ok()) return Fail(started);
  int received = 0;
  sigwait(&stop_signals, &received);
  coordinator.Stop();
  return 0;
}
