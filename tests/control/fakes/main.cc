// A rank without a model: deterministic steps of a millisecond, real records, checkpoints and an adapter.
// Labels of the job file steer it: fake_steps, fake_step_ms, fake_crash_at (in epochs up to
// fake_crash_epochs), fake_fail_at with fake_fail_class, fake_hang_at, fake_ignore_term.
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/records/record_file.h"
#include "nlohmann/json.hpp"

namespace {

namespace fs = std::filesystem;
using ft::records::RecordWriter;

struct Run {
  nlohmann::json job;
  fs::path attempt;
  int rank = 0;

  std::string Text(const char* key) const { return job["run"].value(key, ""); }
  int64_t Number(const char* key) const { return job["run"].value(key, int64_t{0}); }
  int64_t Label(const char* key, int64_t otherwise) const {
    const auto& labels = job["spec"]["labels"];
    return labels.contains(key) ? std::atoll(labels[key].get<std::string>().c_str()) : otherwise;
  }
  std::string LabelText(const char* key) const { return job["spec"]["labels"].value(key, ""); }
};

void Must(const ft::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "fake rank: %s\n", std::string(ft::Message(status)).c_str());
  std::exit(3);
}

int Prepare(const Run& run, RecordWriter& records) {
  const fs::path cache = fs::path(run.Text("cache_dir")) / "data" / (run.Text("job_id") + ".ftt");
  Must(ft::MakeDirectories(cache.parent_path()));
  Must(ft::WriteFileDurably(cache, "tokens"));
  ft::records::Prepared prepared;
  prepared.cache_path = cache.string();
  prepared.cache_sha256 = ft::Hex(ft::Sha256Of("tokens"));
  prepared.samples = 7;
  prepared.tokens = 70;
  prepared.report = {"7 samples"};
  Must(records.Write(prepared));
  ft::records::Result result;
  result.state = ft::records::ResultState::kSucceeded;
  Must(records.Write(result));
  return 0;
}

void WriteCheckpoint(const Run& run, RecordWriter& records, int64_t step) {
  const std::string name =
      "checkpoints/e" + std::to_string(run.Number("epoch")) + "-s" + std::to_string(step);
  const fs::path dir = fs::path(run.Text("run_dir")) / name;
  Must(ft::MakeDirectories(dir));
  Must(ft::WriteFileDurably(dir / "manifest.json", "{\"step\":" + std::to_string(step) + "}"));
  ft::records::Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.path = name;
  checkpoint.manifest_sha256 = std::string(64, '0');
  checkpoint.size_bytes = 10;
  Must(records.Write(checkpoint));
}

// Words on descriptor 3 since the last look.
std::string ControlWords() {
  pollfd fd{3, POLLIN, 0};
  if (::poll(&fd, 1, 0) <= 0 || (fd.revents & POLLIN) == 0) return "";
  char buffer[256];
  const ssize_t got = ::read(3, buffer, sizeof(buffer));
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : "";
}

void WriteStep(const Run& run, RecordWriter& records, int64_t step) {
  ft::records::Step record;
  record.step = step;
  record.loss = 7.0 / static_cast<double>(step) + 0.001 * static_cast<double>(run.rank);
  record.learning_rate = 1e-4;
  record.tokens = 128;
  record.supervised_tokens = 100;
  record.seconds = 0.001;
  Must(records.Write(record));
  std::printf("step %lld\n", static_cast<long long>(step));
  std::fflush(stdout);
}

int Stop(RecordWriter& records, int64_t step) {
  ft::records::Result result;
  result.state = ft::records::ResultState::kStopped;
  result.step = step;
  Must(records.Write(result));
  return 0;
}

int Succeed(const Run& run, RecordWriter& records, int64_t steps) {
  const std::string name = "attempts/" + std::to_string(run.Number("epoch")) + "/adapter";
  const fs::path dir = fs::path(run.Text("run_dir")) / name;
  Must(ft::MakeDirectories(dir));
  Must(ft::WriteFileDurably(dir / "adapter_model.safetensors", std::string(600'000, 'a')));
  Must(ft::WriteFileDurably(dir / "adapter_config.json", "{}"));
  ft::records::Result result;
  result.state = ft::records::ResultState::kSucceeded;
  result.step = steps;
  result.adapter_path = name;
  result.adapter_sha256 = ft::Hex(ft::Sha256Of(std::string(600'000, 'a')));
  Must(records.Write(result));
  return 0;
}

int Train(const Run& run, RecordWriter& records) {
  const int64_t steps = run.Label("fake_steps", 20);
  const int64_t every = run.job["spec"]["train"]["checkpoint"].value("every_steps", int64_t{500});
  const bool crashes = run.Number("epoch") <= run.Label("fake_crash_epochs", 0);
  ft::records::Plan plan;
  plan.total_steps = steps;
  plan.first_step = run.Number("resume_step") + 1;
  Must(records.Write(plan));
  for (int64_t step = plan.first_step; step <= steps; ++step) {
    ::usleep(static_cast<useconds_t>(run.Label("fake_step_ms", 1) * 1000));
    if (crashes && step == run.Label("fake_crash_at", 0)) ::kill(::getpid(), SIGKILL);
    if (step == run.Label("fake_hang_at", 0)) ::pause();
    if (step == run.Label("fake_fail_at", 0)) {
      ft::records::Result result;
      result.failure_class = run.LabelText("fake_fail_class");
      result.message = "the fake rank fails at step " + std::to_string(step);
      Must(records.Write(result));
      return 1;
    }
    WriteStep(run, records, step);
    const std::string words = ControlWords();
    const bool stop = words.find("stop") != std::string::npos;
    if (stop || step % every == 0 || words.find("checkpoint") != std::string::npos)
      WriteCheckpoint(run, records, step);
    if (stop) return Stop(records, step);
  }
  return Succeed(run, records, steps);
}

}  // namespace

int main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Run run;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--attempt") run.attempt = argv[i + 1];
    if (name == "--rank") run.rank = std::atoi(argv[i + 1]);
  }
  auto text = ft::ReadFile(run.attempt / "job.json", 1 << 20);
  Must(text.status());
  run.job = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (run.Label("fake_ignore_term", 0) != 0) ::signal(SIGTERM, SIG_IGN);
  auto records = RecordWriter::Open(run.attempt / ("rank" + std::to_string(run.rank)) / "records.ftr");
  Must(records.status());
  return run.Text("kind") == "PREPARE" ? Prepare(run, *records) : Train(run, *records);
}
