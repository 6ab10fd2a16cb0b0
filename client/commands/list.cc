// ftctl list: all jobs, newest first.
#include <algorithm>
#include <limits>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/session/output.h"
#include "client/stored/stored_job.h"

namespace ft::client {
namespace {

struct ListOptions {
  int limit = 50;
  std::string name_space;
};

std::string StepOf(const v1::Job& job) {
  if (job.progress().total_steps() == 0) return "-";
  return StrCat(job.progress().step(), "/", job.progress().total_steps());
}

StatusOr<v1::ListJobsResponse> FetchJobs(const ListOptions& options, Session& session) {
  v1::ListJobsResponse all;
  v1::ListJobsRequest request;
  if (!options.name_space.empty()) request.set_parent(StrCat("namespaces/", options.name_space));
  while (all.jobs_size() < options.limit) {
    request.set_page_size(std::min(options.limit - all.jobs_size(), 1000));
    ASSIGN_OR_RETURN(v1::ListJobsResponse page, session.Call(&v1::JobService::Stub::ListJobs, request));
    for (v1::Job& job : *page.mutable_jobs()) *all.add_jobs() = std::move(job);
    all.set_next_page_token(page.next_page_token());
    if (page.next_page_token().empty() || page.jobs().empty()) break;
    request.set_page_token(page.next_page_token());
  }
  return all;
}

// Where no terminal is, nothing need be cut to fit one.
Terminal Unlimited(Terminal terminal) {
  if (!terminal.interactive) terminal.columns = std::numeric_limits<int>::max();
  return terminal;
}

std::string LossOf(const v1::Job& job) {
  return job.progress().step() > 0 ? FormatLoss(job.progress().loss()) : "-";
}

// What the files of this user's own jobs show while no coordinator runs; `why` where there are none.
StatusOr<int> ListFiles(const ListOptions& options, Session& session, const Status& why) {
  std::vector<RunFolder> runs = FilesMayAnswer(session, why) ? AllRuns(session) : std::vector<RunFolder>();
  if (runs.empty()) return why;
  runs.resize(std::min(runs.size(), static_cast<size_t>(options.limit)));
  PrintNotice(session.Localized(Text::kFromFiles, PrivateRuns(session).string()));
  v1::ListJobsResponse all;
  Table table({{.title = "NAME", .may_cut = true},
               {.title = "ID"},
               {.title = "RESULT"},
               {.title = "STEP", .align = Align::kRight},
               {.title = "LOSS", .align = Align::kRight},
               {.title = "AGE", .align = Align::kRight}});
  for (const RunFolder& run : runs) {
    const v1::Job& job = *all.add_jobs() = StoredJob(run, /*full=*/false);
    table.AddRow({run.name, JobId(job), run.adapter.empty() ? "-" : "yes", StepOf(job), LossOf(job),
                  AgeOf(job.create_time())});
  }
  Print(session.json() ? ToJsonText(all) : table.Render(Unlimited(session.terminal)));
  return kExitOk;
}

StatusOr<int> List(const ListOptions& options, Session& session) {
  const StatusOr<v1::ListJobsResponse> fetched = FetchJobs(options, session);
  if (!fetched.ok()) return ListFiles(options, session, fetched.status());
  const v1::ListJobsResponse& jobs = *fetched;
  if (session.json()) {
    Print(ToJsonText(jobs));
    return kExitOk;
  }
  if (jobs.jobs().empty()) {
    PrintNotice(session.Localized(Text::kNoJobs));
    return kExitOk;
  }
  Table table({{.title = "NAME", .may_cut = true},
               {.title = "ID"},  // Never cut: it is there to be copied.
               {.title = "STATE"},
               {.title = "STEP", .align = Align::kRight},
               {.title = "LOSS", .align = Align::kRight},
               {.title = "LEFT", .align = Align::kRight},
               {.title = "AGE", .align = Align::kRight}});
  for (const v1::Job& job : jobs.jobs()) {
    const bool is_moving = job.state() == v1::RUNNING && job.progress().has_eta();
    table.AddRow({CallName(job), JobId(job), StrCat(StateName(job.state()), job.contact_lost() ? "?" : ""),
                  StepOf(job), LossOf(job), is_moving ? FormatDuration(SecondsOf(job.progress().eta())) : "-",
                  AgeOf(job.create_time())});
  }
  Print(table.Render(Unlimited(session.terminal)));
  return kExitOk;
}

}  // namespace

void AddList(CLI::App& root, Session& session) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* verb = root.add_subcommand("list", "All jobs, newest first")->group(kGroupLook);
  verb->add_option("--limit", options->limit, "At most so many jobs (50)")
      ->type_name("N")
      ->check(CLI::Range(1, 100000));
  verb->add_option("--namespace", options->name_space, "Of this namespace (default)")->type_name("NAME");
  verb->footer(
      "A state with '?' is the last one known: its node is out of contact.\nExample: ftctl list -o json");
  SetAction(verb, options, session, List);
}

}  // namespace ft::client
