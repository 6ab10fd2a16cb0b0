// A rank without a model: deterministic steps of a millisecond, real records, checkpoints and an adapter.
// Labels of the job file steer it: fake_steps, fake_step_ms, fake_crash_at (in epochs up to
// fake_crash_epochs, by rank fake_crash_rank or all), fake_fail_at with fake_fail_class (in epochs up to
// fake_fail_epochs), fake_hang_at (in epochs up to fake_hang_epochs, by rank fake_hang_rank or all),
// fake_deadlock_at (in epochs up to fake_deadlock_epochs: every rank waits for an exchange that nobody ends),
// fake_ignore_term, fake_result_lost (rank 1 dies a while after the last step), fake_flood (bytes a step on stdout),
// fake_die_in_checkpoint (writing | written | recorded, in epochs up to fake_crash_epochs), fake_prepare_ms.
//
// Ranks of a gang step together: each waits at every step until all have done it, as a collective would make
// them, and beats meanwhile as a rank in a collective does. They meet in a folder below the run folder, and a rank of another
// node waits first for the address of rank 0.
//
// With FT_FAKE_HISTORY set, starts and steps are appended to that file, one line of JSON each
// (tests/control/history.h).
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>
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

constexpr int64_t kWaitBeat = 20'000'000;  // Nanoseconds.

int64_t NowNanos() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

struct Run {
  nlohmann::json job;
  fs::path attempt;
  int rank = 0;
  std::string words;  // Heard on the control socket so far.

  std::string Text(const char* key) const { return job["run"].value(key, ""); }
  int64_t Number(const char* key) const { return job["run"].value(key, int64_t{0}); }
  int64_t Label(const char* key, int64_t otherwise) const {
    const auto& labels = job["spec"]["labels"];
    return labels.contains(key) ? std::atoll(labels[key].get<std::string>().c_str()) : otherwise;
  }
  std::string LabelText(const char* key) const { return job["spec"]["labels"].value(key, ""); }
  bool InEpochsOf(const char* key, int64_t otherwise) const {
    return Number("epoch") <= Label(key, otherwise);
  }
  int64_t world() const { return Number("world_size"); }
};

void Must(const ft::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "fake rank: %s\n", std::string(ft::Message(status)).c_str());
  std::exit(3);
}

void Tell(const Run& run, const char* kind, int64_t step, int64_t time = NowNanos()) {
  const char* path = std::getenv("FT_FAKE_HISTORY");
  if (path == nullptr) return;
  const nlohmann::json line = {{"t", time},
                               {"kind", kind},
                               {"job", run.Text("job_id")},
                               {"epoch", run.Number("epoch")},
                               {"rank", run.rank},
                               {"pid", ::getpid()},
                               {"step", step}};
  const std::string text = line.dump() + "\n";
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0 || ::write(fd, text.data(), text.size()) < 0) std::exit(4);
  ::close(fd);
}

void Die(const Run& run, int64_t step) {
  Tell(run, "rank_end", step);
  ::kill(::getpid(), SIGKILL);
}

int Prepare(const Run& run, RecordWriter& records) {
  ::usleep(static_cast<useconds_t>(run.Label("fake_prepare_ms", 0) * 1000));
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
  const std::string dies =
      run.InEpochsOf("fake_crash_epochs", 0) ? run.LabelText("fake_die_in_checkpoint") : "";
  Must(ft::MakeDirectories(dir));
  Must(ft::WriteFileDurably(dir / "shard", std::string(1000, 's')));
  if (dies == "writing") Die(run, step);
  Must(ft::WriteFileDurably(dir / "manifest.json", "{\"step\":" + std::to_string(step) + "}"));
  if (dies == "written") Die(run, step);
  ft::records::Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.path = name;
  checkpoint.manifest_sha256 = std::string(64, '0');
  checkpoint.size_bytes = 10;
  Must(records.Write(checkpoint));
  if (dies == "recorded") Die(run, step);
}

// Hears what came on descriptor 3 since the last look.
void Hear(Run& run) {
  pollfd fd{3, POLLIN, 0};
  if (::poll(&fd, 1, 0) <= 0 || (fd.revents & POLLIN) == 0) return;
  char buffer[256];
  const ssize_t got = ::read(3, buffer, sizeof(buffer));
  if (got > 0) run.words.append(buffer, static_cast<size_t>(got));
}

bool Heard(Run& run, const char* word) {
  Hear(run);
  return run.words.find(word) != std::string::npos;
}

void WriteStep(const Run& run, RecordWriter& records, int64_t step) {
  const int64_t time = NowNanos();  // Before anybody else can know of it.
  ft::records::Step record;
  record.step = step;
  record.loss = 7.0 / static_cast<double>(step) + 0.001 * static_cast<double>(run.rank);
  record.learning_rate = 1e-4;
  record.tokens = 128;
  record.supervised_tokens = 100;
  record.samples_seen = step * 4;
  record.seconds = 0.001;
  if (run.rank == 0) {
    Must(records.Write(record));
  } else {
    Must(records.Write(ft::records::Beat{step, "train"}));
  }
  const std::string padding(static_cast<size_t>(run.Label("fake_flood", 0)), '.');
  std::printf("step %lld%s\n", static_cast<long long>(step), padding.c_str());
  std::fflush(stdout);
  Tell(run, "rank_step", step, time);
}

int End(RecordWriter& records, ft::records::Result result) {
  Must(records.Write(result));
  return result.state == ft::records::ResultState::kFailed ? 1 : 0;
}

ft::records::Result Failed(const std::string& failure_class, const std::string& message) {
  ft::records::Result result;
  result.failure_class = failure_class;
  result.message = message;
  return result;
}

int Succeed(const Run& run, RecordWriter& records, int64_t steps) {
  ft::records::Result result;
  result.state = ft::records::ResultState::kSucceeded;
  result.step = steps;
  if (run.rank != 0) return End(records, result);
  const std::string name = "attempts/" + std::to_string(run.Number("epoch")) + "/adapter";
  const fs::path dir = run.attempt / "adapter";
  Must(ft::MakeDirectories(dir));
  Must(ft::WriteFileDurably(dir / "adapter_model.safetensors", std::string(600'000, 'a')));
  Must(ft::WriteFileDurably(dir / "adapter_config.json", "{}"));
  result.adapter_path = name;
  result.adapter_sha256 = ft::Hex(ft::Sha256Of(std::string(600'000, 'a')));
  return End(records, result);
}

fs::path Meeting(const Run& run, int64_t rank) {
  return fs::path(run.Text("run_dir")) / "meeting" / std::to_string(run.Number("epoch")) /
         ("rank" + std::to_string(rank));
}

void WaitBeat(RecordWriter& records, int64_t step, int64_t peer) {
  ft::records::Beat beat{step, "wait"};
  beat.wait = {"all_reduce", step, static_cast<int32_t>(peer)};
  Must(records.Write(beat));
}

// Waits until every rank has done `step`, or the word "stop" is heard, or a peer stays away: false.
bool MeetAt(Run& run, RecordWriter& records, int64_t step) {
  if (run.world() == 1) return true;
  Must(ft::WriteFileDurably(Meeting(run, run.rank), std::to_string(step)));
  const int64_t deadline = NowNanos() + run.Label("fake_peer_ms", 60'000) * 1'000'000;
  int64_t beat_at = NowNanos() + kWaitBeat;
  for (int64_t peer = 0; peer < run.world();) {
    auto text = ft::ReadFile(Meeting(run, peer), 64);
    if (text.ok() && std::atoll(text->c_str()) >= step) {
      ++peer;
      continue;
    }
    if (NowNanos() > deadline) return false;
    if (Heard(run, "stop")) return true;
    if (NowNanos() >= beat_at) {
      WaitBeat(records, step, peer);
      beat_at = NowNanos() + kWaitBeat;
    }
    ::usleep(500);
  }
  return true;
}

// As ranks do that wait for each other, and for ever.
void Deadlock(const Run& run, RecordWriter& records, int64_t step) {
  Tell(run, "rank_end", step);
  while (true) {
    WaitBeat(records, step, (run.rank + 1) % run.world());
    ::usleep(kWaitBeat / 1000);
  }
}

// Rank 0 of a gang over several nodes tells where it listens; the others wait for it.
void Rendezvous(Run& run, RecordWriter& records) {
  const auto& meeting = run.job["run"].value("rendezvous", nlohmann::json::object());
  if (run.world() > 1) Must(ft::MakeDirectories(Meeting(run, 0).parent_path()));
  if (meeting.value("store", "") != "tcp") return;
  if (run.rank == 0) {
    Must(records.Write(ft::records::Rendezvous{meeting.value("host", "") + ":4711"}));
    return;
  }
  while (!Heard(run, ":4711\n")) ::usleep(1000);
  std::printf("%s", run.words.c_str());
}

int Train(Run& run, RecordWriter& records) {
  const int64_t steps = run.Label("fake_steps", 20);
  const int64_t every = run.job["spec"]["train"]["checkpoint"].value("every_steps", int64_t{500});
  const int64_t crash_rank = run.Label("fake_crash_rank", run.rank);
  const bool crashes = run.InEpochsOf("fake_crash_epochs", 0) && crash_rank == run.rank;
  Rendezvous(run, records);
  ft::records::Plan plan;
  plan.total_steps = steps;
  plan.first_step = run.Number("resume_step") + 1;
  Must(records.Write(plan));
  for (int64_t step = plan.first_step; step <= steps; ++step) {
    ::usleep(static_cast<useconds_t>(run.Label("fake_step_ms", 1) * 1000));
    if (crashes && step == run.Label("fake_crash_at", 0)) Die(run, step);
    if (step == run.Label("fake_deadlock_at", 0) && run.InEpochsOf("fake_deadlock_epochs", 1000))
      Deadlock(run, records, step);
    const bool hangs = run.Label("fake_hang_rank", run.rank) == run.rank;
    if (hangs && step == run.Label("fake_hang_at", 0) && run.InEpochsOf("fake_hang_epochs", 1000)) {
      Tell(run, "rank_end", step);
      ::pause();
    }
    if (step == run.Label("fake_fail_at", 0) && run.InEpochsOf("fake_fail_epochs", 1000)) {
      Tell(run, "rank_end", step);
      return End(records, Failed(run.LabelText("fake_fail_class"),
                                 "the fake rank fails at step " + std::to_string(step)));
    }
    if (!MeetAt(run, records, step)) return End(records, Failed("NETWORK", "a peer stays away"));
    WriteStep(run, records, step);
    const bool stop = Heard(run, "stop");
    if (run.rank == 0 && (stop || step % every == 0 || Heard(run, "checkpoint")))
      WriteCheckpoint(run, records, step);
    if (stop) return End(records, {.state = ft::records::ResultState::kStopped, .step = step});
    if (const size_t word = run.words.find("checkpoint"); word != std::string::npos)
      run.words.erase(word, 10);
  }
  if (run.rank == 1 && run.Label("fake_result_lost", 0) != 0) {
    ::usleep(300'000);
    Die(run, steps);
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
  Tell(run, "rank_start", run.Number("resume_step"));
  auto records = RecordWriter::Open(run.attempt / ("rank" + std::to_string(run.rank)) / "records.ftr");
  Must(records.status());
  return run.Text("kind") == "PREPARE" ? Prepare(run, *records) : Train(run, *records);
}
