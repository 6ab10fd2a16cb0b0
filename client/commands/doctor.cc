// ftctl doctor: what this machine lacks, and what to do about it.
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <utility>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/daemons/launch.h"
#include "client/daemons/private_daemons.h"
#include "client/render/table.h"
#include "client/render/templates.h"
#include "client/render/units.h"
#include "client/render/width.h"
#include "client/session/output.h"
#include "core/base/file.h"
#include "core/base/free_space.h"
#include "finetune/v1/nodes.grpc.pb.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLittleDisk = int64_t{5} << 30;
constexpr int64_t kLittleMemory = int64_t{2} << 30;
constexpr std::chrono::seconds kProgramTimeout{20};

struct DoctorOptions {};

enum class Verdict { kOk, kNote, kProblem };

struct Check {
  Verdict verdict;
  std::string what;
  std::string found;
  std::string advice;  // Empty when all is well.
};

Check DataFolder(const Session& session) {
  const std::string shown = session.data_dir.string();
  const fs::path probe = session.data_dir / ".doctor";
  Status status = MakeDirectories(session.data_dir);
  if (status.ok()) status = WriteFileDurably(probe, "x");
  std::error_code error;
  fs::remove(probe, error);
  if (status.ok()) return {Verdict::kOk, "data folder", shown, ""};
  return {Verdict::kProblem, "data folder", std::string(Message(status)),
          "make it writable, or set XDG_DATA_HOME to a folder that is"};
}

Check Disk(const Session& session) {
  const StatusOr<uint64_t> asked = FreeBytes(session.data_dir);
  if (!asked.ok())
    return {Verdict::kProblem, "free disk", std::string(Message(asked.status())),
            "see the data folder above"};
  const auto free = static_cast<int64_t>(*asked);
  if (free >= kLittleDisk) return {Verdict::kOk, "free disk", FormatBytes(free), ""};
  return {Verdict::kProblem, "free disk", FormatBytes(free),
          StrCat("free some: checkpoints and caches want ", FormatBytes(kLittleDisk), " or more")};
}

int64_t AvailableMemory() {
  // Read as a stream: files of /proc tell no size.
  UniqueFd fd(::open("/proc/meminfo", O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t got = fd.valid() ? ::read(fd.get(), text.data(), text.size()) : -1;
  if (got <= 0) return -1;
  std::istringstream lines(text.substr(0, static_cast<size_t>(got)));
  std::string key, unit;
  int64_t kibibytes = 0;
  while (lines >> key >> kibibytes) {
    if (key == "MemAvailable:") return kibibytes << 10;
    std::getline(lines, unit);
  }
  return -1;
}

Check Memory() {
  const int64_t free = AvailableMemory();
  if (free < 0)
    return {Verdict::kNote, "free memory", "cannot be read from /proc/meminfo", "check it with free -h"};
  if (free >= kLittleMemory) return {Verdict::kOk, "free memory", FormatBytes(free), ""};
  return {Verdict::kProblem, "free memory", FormatBytes(free),
          "close other programs: a 135M model wants about 2 GiB, a 7B model about 8 GiB"};
}

Check Cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return {Verdict::kNote, "cores", "not known", ""};
  return {Verdict::kOk, "cores", StrCat(CPU_COUNT(&cores)), ""};
}

Check Gpu() {
  std::error_code error;
  if (fs::exists("/proc/driver/nvidia/version", error)) return {Verdict::kOk, "NVIDIA driver", "loaded", ""};
  return {Verdict::kNote, "NVIDIA driver", "none", "jobs run on the CPU"};
}

Check Program(const Session& session, const char* name) {
  const StatusOr<fs::path> program = ProgramBeside(session, name);
  if (program.ok()) return {Verdict::kOk, name, program->string(), ""};
  return {Verdict::kProblem, name, "is not there", std::string(Message(program.status()))};
}

// Starting it shows whether its libraries are found.
Check Rank(const Session& session) {
  const StatusOr<fs::path> program = ProgramBeside(session, "ft-rank");
  if (!program.ok()) return Program(session, "ft-rank");
  const StatusOr<Output> output = OutputOf(*program, {"version"}, kProgramTimeout);
  if (!output.ok()) {
    return {Verdict::kProblem, "ft-rank", std::string(Message(output.status())),
            "see whether the machine is overloaded"};
  }
  const std::string first = Printable(output->text.substr(0, output->text.find('\n')));
  if (output->exit_status == 0) return {Verdict::kOk, "ft-rank", first, ""};
  return {Verdict::kProblem, "ft-rank", StrCat("ended with status ", output->exit_status, ": ", first),
          "a library is missing: install again with make install"};
}

Check Locale(const Session& session) {
  if (session.terminal.utf8) return {Verdict::kOk, "locale", "UTF-8", ""};
  return {Verdict::kNote, "locale", "not UTF-8", "set LANG=C.UTF-8 (or zh_CN.UTF-8) to see bars and Chinese"};
}

// Cards that take no job, with what is the matter.
void AddDevices(const Session& session, const v1::ListNodesResponse& nodes, std::vector<Check>& checks) {
  for (const v1::Node& node : nodes.nodes()) {
    for (const v1::Device& device : node.devices()) {
      if (!device.problem().empty())
        checks.push_back({Verdict::kProblem, "device", StrCat(node.node_id(), " ", device.uuid()),
                          session.InLanguage(device.problem())});
    }
  }
}

std::vector<Check> Coordinator(Session& session) {
  const StatusOr<Address> address = session.ServerAddress();
  if (!address.ok()) {
    return {{Verdict::kProblem, "address", std::string(Message(address.status())),
             "correct --server or FTCTL_SERVER"}};
  }
  const std::string shown = address->local() ? address->socket.string() : address->target;
  const auto info = session.Call(&v1::NodeService::Stub::GetServerInfo, v1::GetServerInfoRequest());
  if (!info.ok()) {
    const bool asked_for = !session.server.empty();
    return {{asked_for ? Verdict::kProblem : Verdict::kNote, "coordinator",
             StrCat("not reachable at ", shown),
             asked_for ? "start it, or correct --server" : "`ftctl up` starts one; `ftctl run` needs none"}};
  }
  std::vector<Check> checks = {{Verdict::kOk, "coordinator", StrCat(info->version(), " at ", shown), ""}};
  const auto nodes = session.Call(&v1::NodeService::Stub::ListNodes, v1::ListNodesRequest());
  int ready = 0;
  std::string closed;  // A node that is up and takes nothing, since somebody asked for that.
  for (int i = 0; nodes.ok() && i < nodes->nodes_size(); ++i) {
    if (nodes->nodes(i).state() == v1::READY) ++ready;
    if (nodes->nodes(i).needs_uncordon()) closed = nodes->nodes(i).node_id();
  }
  if (ready > 0) {
    checks.push_back({Verdict::kOk, "nodes", StrCat(ready, " ready"), ""});
  } else if (!closed.empty()) {
    checks.push_back({Verdict::kProblem, "nodes", StrCat(closed, " was cordoned or drained"),
                      StrCat("ftctl uncordon ", closed, " lets jobs start there again")});
  } else {
    checks.push_back(
        {Verdict::kProblem, "nodes", "none is ready", "see ftctl nodes and the log of ft-worker"});
  }
  if (nodes.ok()) AddDevices(session, *nodes, checks);
  return checks;
}

std::vector<Check> AllChecks(Session& session) {
  std::vector<Check> checks = {DataFolder(session),
                               Disk(session),
                               Memory(),
                               Cores(),
                               Gpu(),
                               Program(session, "finetuned"),
                               Program(session, "ft-worker"),
                               Rank(session),
                               Locale(session)};
  for (Check& check : Coordinator(session)) checks.push_back(std::move(check));
  return checks;
}

const char* VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "ok";
    case Verdict::kNote: return "note";
    case Verdict::kProblem: return "PROBLEM";
  }
  return "";
}

void PrintJson(const std::vector<Check>& checks) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Check& check : checks) {
    nlohmann::ordered_json item;
    item["check"] = check.what;
    item["verdict"] = VerdictName(check.verdict);
    item["found"] = check.found;
    item["advice"] = check.advice;
    list.push_back(std::move(item));
  }
  PrintLine(list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

StatusOr<int> Doctor(const DoctorOptions&, Session& session) {
  const std::vector<Check> checks = AllChecks(session);
  int problems = 0;
  for (const Check& check : checks) problems += check.verdict == Verdict::kProblem ? 1 : 0;
  if (session.json()) {
    PrintJson(checks);
    return problems == 0 ? kExitOk : kExitFailed;
  }
  const auto said = [&session](std::string_view text) {
    return Printable(PhraseInLanguage(session.terminal, DoctorTemplates(), text));
  };
  for (const Check& check : checks) {
    PrintLine(Wrap(StrCat(PadRight(said(VerdictName(check.verdict)), 9), PadRight(said(check.what), 15),
                          said(check.found)),
                   session.terminal.columns, 24));
    if (!check.advice.empty()) {
      PrintLine(Wrap(StrCat(PadRight("", 24), "-> ", said(check.advice)), session.terminal.columns, 27));
    }
  }
  PrintLine(problems == 0 ? session.Localized(Text::kAllWell) : session.Localized(Text::kProblems, problems));
  return problems == 0 ? kExitOk : kExitFailed;
}

}  // namespace

void AddDoctor(CLI::App& root, Session& session) {
  auto options = std::make_shared<DoctorOptions>();
  CLI::App* verb =
      root.add_subcommand("doctor", "What this machine lacks, and what to do")->group(kGroupMachine);
  verb->footer("Exit status: 0 no problem, 1 some. Notes are no problems.");
  SetAction(verb, options, session, Doctor);
}

}  // namespace ft::client
