// ftctl checkpoints: the committed checkpoints of a job.
#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/render/units.h"
#include "client/session/output.h"
#include "finetune/v1/artifacts.grpc.pb.h"

namespace ft::client {
namespace {

struct CheckpointsOptions {
  std::string job;
};

StatusOr<int> Checkpoints(const CheckpointsOptions& options, Session& session) {
  ASSIGN_OR_RETURN(const v1::Job job, session.GetJob(options.job));
  v1::ListCheckpointsRequest request;
  request.set_job(job.name());
  ASSIGN_OR_RETURN(const v1::ListCheckpointsResponse list,
                   session.Call(&v1::ArtifactService::Stub::ListCheckpoints, request));
  if (session.json()) {
    Print(ToJsonText(list));
    return kExitOk;
  }
  if (list.checkpoints().empty()) {
    PrintNotice(session.Localized(Text::kNoCheckpoints, CallName(job)));
    return kExitOk;
  }
  Table table({{.title = "STEP", .align = Align::kRight},
               {.title = "ATTEMPT", .align = Align::kRight},
               {.title = "SIZE", .align = Align::kRight},
               {.title = "AGE", .align = Align::kRight},
               {.title = "MANIFEST"},
               {.title = "PATH", .may_cut = true, .min_width = 16}});
  for (const v1::Checkpoint& checkpoint : list.checkpoints()) {
    table.AddRow({StrCat(checkpoint.step()), StrCat(checkpoint.epoch()), FormatBytes(checkpoint.size_bytes()),
                  AgeOf(checkpoint.commit_time()), checkpoint.manifest_sha256().substr(0, 12),
                  checkpoint.path()});
  }
  Print(table.Render(session.terminal));
  return kExitOk;
}

}  // namespace

void AddCheckpoints(CLI::App& root, Session& session) {
  auto options = std::make_shared<CheckpointsOptions>();
  CLI::App* verb = root.add_subcommand("checkpoints", "Committed checkpoints of a job")->group(kGroupLook);
  AddJobArgument(verb, options->job);
  SetAction(verb, options, session, Checkpoints);
}

}  // namespace ft::client
