#include "worker/rank/reporter.h"

#include <cstdio>

#include "absl/strings/str_format.h"
#include "core/base/counted.h"

namespace ft::rank {
namespace {

constexpr auto kBeatInterval = std::chrono::milliseconds(100);
constexpr auto kWaitInterval = std::chrono::milliseconds(500);
constexpr const char* kWait = "wait";

// The line of a record; empty for those that people do not read.
struct LogLine {
  std::string operator()(const records::Plan& p) {
    return absl::StrFormat("steps %d to %d, %d of %d weights are trained; %s", p.first_step, p.total_steps,
                           p.trainable_parameters, p.parameters, p.numeric_fingerprint);
  }
  std::string operator()(const records::Step& s) {
    return absl::StrFormat("step %d: loss %.6f, gradient norm %.4f, rate %.3g, %s, %.2f s%s", s.step, s.loss,
                           s.gradient_norm, s.learning_rate, Counted(s.tokens, "token"), s.seconds,
                           s.skipped ? ", skipped" : "");
  }
  std::string operator()(const records::Eval& e) {
    return absl::StrFormat("step %d: %s loss %.6f over %s", e.step, e.name, e.loss,
                           Counted(e.supervised_tokens, "token"));
  }
  std::string operator()(const records::Score& s) {
    return absl::StrFormat("step %d: %s: %.1f %% on average over %s", s.step, s.name, s.average,
                           Counted(s.questions, "question"));
  }
  std::string operator()(const records::Checkpoint& c) {
    return absl::StrFormat("step %d: checkpoint %s, %s", c.step, c.path, Counted(c.size_bytes, "byte"));
  }
  std::string operator()(const records::Sample& s) {
    return absl::StrFormat("step %d: \"%s\" -> \"%s\"", s.step, s.prompt, s.text);
  }
  std::string operator()(const records::Note& n) {
    return StrCat(n.severity, " ", n.reason, ": ", n.message);
  }
  std::string operator()(const records::Prepared& p) {
    return absl::StrFormat("prepared %s, %s, %d %s loss: %s", Counted(p.samples, "sample"),
                           Counted(p.tokens, "token"), p.supervised_tokens,
                           p.supervised_tokens == 1 ? "carries" : "carry", p.cache_path);
  }
  std::string operator()(const records::Result& r) {
    switch (r.state) {
      case records::ResultState::kSucceeded:
        return StrCat("succeeded after step ", r.step, " ", r.adapter_path);
      case records::ResultState::kStopped: return StrCat("stopped after step ", r.step, " as asked");
      case records::ResultState::kFailed: return StrCat("failed: ", r.failure_class, ": ", r.message);
    }
    return "";
  }
  std::string operator()(const records::Beat&) { return ""; }
  std::string operator()(const records::Rendezvous& r) { return StrCat("peers meet at ", r.address); }
};

}  // namespace

StatusOr<Reporter> Reporter::Open(const std::filesystem::path& path) {
  RETURN_IF_ERROR(MakeDirectories(path.parent_path()));
  ASSIGN_OR_RETURN(records::RecordWriter writer, records::RecordWriter::Open(path));
  return Reporter(std::move(writer));
}

Status Reporter::Write(decltype(records::Record::body) body) {
  // A log that cannot be written stops nothing: the record is what counts.
  if (const std::string line = std::visit(LogLine{}, body); !line.empty()) {
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }
  return writer_.Write(std::move(body));
}

void Reporter::Beat(std::string_view phase) {
  ++beats_;
  Send({.count = beats_, .phase = std::string(phase)}, kBeatInterval);
}

void Reporter::Wrote(std::string_view phase, int64_t bytes) {
  ++beats_;
  Send({.count = beats_, .phase = std::string(phase), .bytes = bytes}, kBeatInterval);
}

void Reporter::Downloaded(int64_t bytes, int64_t total_bytes) {
  ++beats_;
  Send({.count = beats_, .phase = "download", .bytes = bytes, .total_bytes = total_bytes}, kBeatInterval);
}

void Reporter::Wait(records::Wait wait) {
  const bool another = phase_ != kWait || wait_ != wait;
  wait_ = wait;
  Send({.count = beats_, .phase = kWait, .wait = std::move(wait)}, another ? kBeatInterval : kWaitInterval);
}

void Reporter::Send(records::Beat beat, std::chrono::milliseconds interval) {
  const auto now = std::chrono::steady_clock::now();
  if (beat.phase == phase_ && now - last_beat_ < interval) return;
  phase_ = beat.phase;
  last_beat_ = now;
  writer_.Write(std::move(beat)).IgnoreError();
}

void Reporter::Note(std::string severity, std::string reason, std::string message) {
  Write(records::Note{std::move(severity), std::move(reason), std::move(message)}).IgnoreError();
}

}  // namespace ft::rank
