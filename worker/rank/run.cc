#include "worker/rank/run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "absl/strings/numbers.h"

#include "core/base/read_limits.h"
#include "worker/rank/device.h"
#include "worker/rank/failure.h"
#include "worker/rank/hub_sources.h"
#include "worker/rank/prepare_job.h"
#include "worker/rank/settings.h"
#include "worker/rank/train_job.h"

namespace ft::rank {
namespace {

// False when the parent was gone before the request took effect.
bool DieWithParent() {
  const pid_t parent = ::getppid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ::getppid() == parent;
}

// Sources below the coordinator's roots, and what belongs to the attempt itself.
Status LimitReading(const Attempt& attempt) {
  if (attempt.run.roots == process::AttemptFacts().roots) return absl::OkStatus();
  std::vector<std::filesystem::path> folders = attempt.run.roots;
  folders.insert(folders.end(), attempt.sources.caches.begin(), attempt.sources.caches.end());
  folders.insert(folders.end(), {attempt.dir, attempt.run.run_dir, attempt.run.cache_dir,
                                 attempt.run.prepared_cache.parent_path()});
  return ft::LimitReading(folders);
}

// What the attempt is, its sources on this node, and nothing else readable.
StatusOr<Attempt> OpenAttempt(const std::filesystem::path& dir, Reporter& reporter) {
  StatusOr<Attempt> attempt = ReadAttempt(dir);
  if (!attempt.ok()) return WithClass(attempt.status(), "CONFIG");
  const StatusOr<hub::Access> access = TakeHubAccess();
  if (!access.ok()) return WithClass(access.status(), "CONFIG");
  RETURN_IF_ERROR(FetchSources(*access, *attempt, reporter));
  RETURN_IF_ERROR(WithClass(LimitReading(*attempt), "CONFIG"));
  return attempt;
}

// The one place where LibTorch's exceptions become a result.
records::Result RunGuarded(const Attempt& attempt, int rank, Reporter& reporter, Control& control) {
  records::Result result;
  const Status status = Guarded([&]() -> Status {
    if (attempt.run.kind == "PREPARE") {
      result = RunPrepare(attempt, reporter);
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const at::Device device, WithClass(OpenDevice(attempt.spec.resources.device), "CONFIG"));
    ShareDevice(device, attempt.run.device_slots);
    FixNumerics(attempt.run.threads);
    result = RunTrain(attempt, rank, device, reporter, control);
    return absl::OkStatus();
  });
  return status.ok() ? result : Failed(status);
}

}  // namespace

int Run(const RunOptions& options) {
  if (!DieWithParent()) return 2;
  ::signal(SIGPIPE, SIG_IGN);
  StatusOr<Reporter> reporter =
      Reporter::Open(options.attempt_dir / StrCat("rank", options.rank) / "records.ftr");
  if (!reporter.ok()) {
    std::fprintf(stderr, "ft-rank: %s\n", reporter.status().ToString().c_str());
    return 2;
  }
  Control control(options.control_fd);
  const StatusOr<Attempt> attempt = OpenAttempt(options.attempt_dir, *reporter);
  const records::Result result =
      attempt.ok() ? RunGuarded(*attempt, options.rank, *reporter, control) : Failed(attempt.status());
  if (result.state == records::ResultState::kFailed) {
    std::fprintf(stderr, "ft-rank: %s: %s\n", result.failure_class.c_str(), result.message.c_str());
  }
  if (const Status status = reporter->Write(result); !status.ok()) {
    std::fprintf(stderr, "ft-rank: %s\n", status.ToString().c_str());
    return 2;
  }
  // A device that failed answers no call any more, and what the process holds there cannot be given back.
  if (result.failure_class == "DEVICE_FAULT") std::_Exit(1);
  // A thread may still wait for ranks that do not come (rendezvous.cc).
  if (result.state == records::ResultState::kStopped) std::_Exit(0);
  return result.state == records::ResultState::kFailed ? 1 : 0;
}

int RunVerb(const std::vector<std::string>& arguments) {
  RunOptions options;
  for (size_t i = 0; i + 1 < arguments.size(); i += 2) {
    int number = 0;
    const bool is_number = absl::SimpleAtoi(arguments[i + 1], &number);
    if (arguments[i] == "--attempt")
      options.attempt_dir = arguments[i + 1];
    else if (arguments[i] == "--rank" && is_number)
      options.rank = number;
    else if (arguments[i] == "--control-fd" && is_number)
      options.control_fd = number;
    else
      options.attempt_dir.clear();
  }
  if (options.attempt_dir.empty() || arguments.size() % 2 != 0) {
    std::fprintf(stderr, "ft-rank run: expects --attempt DIR --rank R [--control-fd N]\n");
    return 2;
  }
  return Run(options);
}

}  // namespace ft::rank
