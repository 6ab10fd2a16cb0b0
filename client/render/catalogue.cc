#include "client/render/catalogue.h"

#include <iterator>

#include "core/base/check.h"

namespace ft::client {
namespace {

constexpr Sentence kCatalogue[] = {
    {Text::kUnreachable, "cannot reach the coordinator at {0} ({1}); `ftctl up` starts one on this machine",
     "无法连接协调器 {0}（{1}）；可用 `ftctl up` 在本机启动"},
    {Text::kNotStarted, "{0} did not become ready within {1} seconds; its log is {2}",
     "{0} 在 {1} 秒内未就绪；日志见 {2}"},
    {Text::kContactLost, "contact with the coordinator is lost ({0}); trying again, the job goes on",
     "与协调器失去联系（{0}）；正在重试，任务仍在继续"},
    {Text::kContactBack, "contact with the coordinator is back", "已重新连上协调器"},
    {Text::kSubmitted, "Submitted {0} as {1}", "已提交 {0}，编号 {1}"},
    {Text::kWatchHint, "Follow it with: ftctl watch {0}", "查看进度：ftctl watch {0}"},
    {Text::kAmbiguous,
     "the answer was lost, so the job may or may not exist; repeat the same command with --request-id {0}: "
     "it cannot "
     "create a second one",
     "未收到答复，任务可能已创建；请用 --request-id {0} 重复同一命令，不会重复创建"},
    {Text::kWatchLeft, "Stopped watching; {0} goes on. Look again with: ftctl watch {0}",
     "已停止查看；{0} 仍在运行。再次查看：ftctl watch {0}"},
    {Text::kStillRunning, "{0} is {1} now", "{0} 当前状态：{1}"},
    {Text::kState, "{0}: {1}", "{0}：{1}"},
    {Text::kSucceeded, "{0} succeeded: step {1}, loss {2}, in {3}",
     "{0} 已完成：第 {1} 步，损失 {2}，用时 {3}"},
    {Text::kFailed, "{0} failed ({1}): {2}", "{0} 失败（{1}）：{2}"},
    {Text::kCancelled, "{0} was cancelled", "{0} 已取消"},
    {Text::kPaused, "{0} is paused at step {1}; `ftctl resume {0}` goes on",
     "{0} 已在第 {1} 步暂停；`ftctl resume {0}` 继续"},
    {Text::kPausing, "Pausing {0}: taking a checkpoint (Ctrl-C again leaves at once)",
     "正在暂停 {0}：保存检查点（再按 Ctrl-C 立即离开）"},
    {Text::kResuming, "Resuming {0} from step {1}", "从第 {1} 步继续 {0}"},
    {Text::kPausedElsewise,
     "{0} is paused and was started with other settings; `ftctl resume {0}` goes on with those, `ftctl "
     "cancel {0}` "
     "ends it, or give this one another --name",
     "{0} 已暂停，且其设置与本次不同；`ftctl resume {0}` 按原设置继续，`ftctl cancel {0}` 结束它，或用 "
     "--name 另取名字"},
    {Text::kRunInterrupted, "{0} is saved at step {1}", "{0} 已保存在第 {1} 步"},
    {Text::kRunAgain, "The same command goes on from there.", "重复同一命令即可从该处继续。"},
    {Text::kDaemonsGone,
     "the private coordinator has stopped, and {0} with it; `ftctl up` and then `ftctl watch {0}` go on from "
     "its last "
     "checkpoint, and so does the command that began it",
     "私有协调器已停止，{0} 也随之停下；先 `ftctl up` 再 `ftctl watch "
     "{0}`，或重复开始它的命令，即可从最近的检查点继续"},
    {Text::kLeftRunning, "The private coordinator and worker stay up, for {0}; `ftctl down` stops them",
     "私有协调器和工作进程保持运行（{0} 仍需要）；`ftctl down` 可停止"},
    {Text::kAnotherRun, "another ftctl run", "另一个 ftctl run"},
    {Text::kDiskFullLeave,
     "The disk is full, so {0} cannot be brought to an end; make room, then the same command goes on",
     "磁盘已满，{0} 无法收尾；请腾出空间，再重复同一命令即可继续"},
    {Text::kDataChanged,
     "{1} has changed since {0} began: the job goes on with what it read then; `ftctl cancel {0}` and the "
     "same command "
     "begin anew with the file as it is now",
     "{1} 在 {0} 开始之后被改过：任务仍用当时读到的内容继续；若要用现在的文件重新开始，请先 `ftctl cancel "
     "{0}` 再重复同一命令"},
    {Text::kNext, "Next: ftctl chat {0}   ftctl export {0} DIR   ftctl merge {0} DIR",
     "接下来：ftctl chat {0}   ftctl export {0} 目录   ftctl merge {0} 目录"},
    {Text::kStarting, "Starting a private coordinator and worker in {0}",
     "正在 {0} 启动私有协调器和工作进程"},
    {Text::kStarted, "Coordinator and worker are up ({0})", "协调器和工作进程已启动（{0}）"},
    {Text::kAlreadyUp, "A coordinator already answers at {0}", "{0} 上已有协调器在运行"},
    {Text::kNeedsUncordon,
     "Node {0} was cordoned or drained and takes nothing new: `ftctl uncordon {0}` lets jobs start there "
     "again",
     "节点 {0} 此前被 cordon 或 drain，不接受新任务：运行 `ftctl uncordon {0}` 后任务即可在其上启动"},
    {Text::kStopped, "Stopped {0}", "已停止 {0}"},
    {Text::kNothingRuns, "Nothing of this user's is running", "没有正在运行的进程"},
    {Text::kNoJobs, "No jobs yet; `ftctl submit job.yaml` creates one",
     "还没有任务；`ftctl submit job.yaml` 可创建"},
    {Text::kNoNodes, "No node has joined; `ftctl up` starts a worker on this machine",
     "还没有节点加入；`ftctl up` 可在本机启动工作进程"},
    {Text::kOtherVersion, "ftctl is version {0}, the coordinator {1}, and this call is not in both: {2}",
     "ftctl 版本为 {0}，协调器版本为 {1}，并非两者都有此调用：{2}"},
    {Text::kFtctlOlder, "update ftctl", "请更新 ftctl"},
    {Text::kCoordinatorOlder, "update the coordinator", "请更新协调器"},
    {Text::kNodeRemoved, "Removed node {0}", "已移除节点 {0}"},
    {Text::kStillDraining, "{0} still drains; jobs that run there: {1}",
     "{0} 仍在排空，尚有 {1} 个任务在运行"},
    {Text::kNoCheckpoints, "{0} has no checkpoint yet", "{0} 还没有检查点"},
    {Text::kNoEvents, "No events", "没有事件"},
    {Text::kNoMetrics, "{0} has no training steps yet", "{0} 还没有训练步"},
    {Text::kDeleted, "Deleted {0} and its files", "已删除 {0} 及其文件"},
    {Text::kCancelAsked, "Cancelling {0}", "正在取消 {0}"},
    {Text::kLedgersEqual, "Equal: every digest of every step the same (steps: {0})",
     "相同：{0} 步，全部摘要一致"},
    {Text::kLedgersDiffer, "First difference at step {0}: {1}", "首个差异在第 {0} 步：{1}"},
    {Text::kDifferSamples, "the samples", "样本"},
    {Text::kDifferGradient, "the gradient of {0}", "{0} 的梯度"},
    {Text::kDifferWeights, "the weights of {0}", "{0} 的权重"},
    {Text::kDifferMissing, "only {0} has this step", "只有 {0} 有这一步"},
    {Text::kUploading, "Uploading {0} ({1})", "正在上传 {0}（{1}）"},
    {Text::kQueuePosition, "Position in the queue: {0}", "排队位置：{0}"},
    {Text::kToUnblock, "What would let it run:", "以下做法可让它运行："},
    {Text::kAllWell, "All is well.", "一切正常。"},
    {Text::kProblems, "{0} found", "发现 {0} 个问题"},
    {Text::kLoss, "loss", "损失"},
    {Text::kEta, "left", "剩余"},
    {Text::kTokensPerSecond, "tokens/s", "词元/秒"},
    {Text::kPhase, "phase", "阶段"},
    {Text::kDataReport, "Data: {0}, {1}, {2} of them supervised", "数据：{0}，{1}，其中 {2} 个参与训练"},
    {Text::kOneSample, "{0} sample", "{0} 条样本"},
    {Text::kSamples, "{0} samples", "{0} 条样本"},
    {Text::kOneToken, "{0} token", "{0} 个词元"},
    {Text::kTokens, "{0} tokens", "{0} 个词元"},
    {Text::kEarlierResult, "The newest {0} has no result; an earlier one has: `ftctl get {1}`",
     "最新的 {0} 没有结果；较早的一个有：`ftctl get {1}`"},
    {Text::kOtherResult, "the newest {0} has no result: this is the one of {1}",
     "最新的 {0} 没有结果：所用的是 {1} 的结果"},
    {Text::kFromFiles, "No coordinator runs: this is what the files in {0} show; `ftctl up` shows all",
     "协调器没有运行：以下来自 {0} 中的文件；`ftctl up` 后可看全部"},
    {Text::kNothingToFollow,
     "no coordinator runs, so there is nothing to follow: `ftctl up` starts one; without --follow this shows "
     "what the "
     "files hold",
     "协调器没有运行，无可跟随：`ftctl up` 可启动；不带 --follow 则显示文件中已有的内容"},
    {Text::kField, "{0}:", "{0}："},
    {Text::kNone, "none", "无"},
    {Text::kYes, "yes", "是"},
    {Text::kNo, "no", "否"},
    {Text::kSkipped, "skipped", "跳过"},
    {Text::kAtStep, "step {0}", "第 {0} 步"},
    {Text::kStepOf, "step {0} of {1}", "第 {0} 步，共 {1} 步"},
    {Text::kWithLoss, "{0}, loss {1}", "{0}，损失 {1}"},
    {Text::kWithHeldOutLoss, "{0}, held-out loss {1}", "{0}，留出样本损失 {1}"},
    {Text::kWithPhase, "{0} ({1})", "{0}（{1}）"},
    {Text::kBecause, "{0} - {1}", "{0}，{1}"},
    {Text::kContactIsLost, "lost; training may go on", "已失去；训练可能仍在继续"},
    {Text::kOfRank, "{0} (rank {1} on {2})", "{0}（节点 {2} 上的进程 {1}）"},
    {Text::kStepFigures, "step {0}  loss {1}  lr {2}  {3}", "第 {0} 步  损失 {1}  学习率 {2}  {3}"},
    {Text::kNotReachable, "not reachable", "无法连接"},
    // Titles of tables.
    {Text::kColumnName, "NAME", "名称"},
    {Text::kColumnId, "ID", "编号"},
    {Text::kColumnResult, "RESULT", "结果"},
    {Text::kColumnState, "STATE", "状态"},
    {Text::kColumnStep, "STEP", "步"},
    {Text::kColumnLoss, "LOSS", "损失"},
    {Text::kColumnLeft, "LEFT", "剩余"},
    {Text::kColumnAge, "AGE", "距今"},
    {Text::kColumnNode, "NODE", "节点"},
    {Text::kColumnDevice, "DEVICE", "设备"},
    {Text::kColumnFree, "FREE", "可用"},
    {Text::kColumnMemory, "MEMORY", "内存"},
    {Text::kColumnJobs, "JOBS", "任务"},
    {Text::kColumnSeen, "SEEN", "上次联系"},
    {Text::kColumnAttempt, "ATTEMPT", "尝试"},
    {Text::kColumnSize, "SIZE", "大小"},
    {Text::kColumnManifest, "MANIFEST", "清单"},
    {Text::kColumnPath, "PATH", "路径"},
    {Text::kColumnRate, "RATE", "学习率"},
    {Text::kColumnGradient, "GRADIENT", "梯度范数"},
    {Text::kColumnTokens, "TOKENS", "词元"},
    {Text::kColumnTokensPerSecond, "TOKENS/S", "词元/秒"},
    {Text::kColumnTime, "TIME", "用时"},
    {Text::kColumnPeak, "PEAK", "峰值内存"},
    {Text::kColumnMethod, "METHOD", "方法"},
    {Text::kColumnOffload, "OFFLOAD", "卸载"},
    {Text::kColumnZero0, "ZERO 0", "ZERO 0"},
    {Text::kColumnZero1, "ZERO 1", "ZERO 1"},
    {Text::kColumnZero2, "ZERO 2", "ZERO 2"},
    {Text::kColumnZero3, "ZERO 3", "ZERO 3"},
    // What `ftctl get` shows of a job.
    {Text::kFieldName, "Name", "名称"},
    {Text::kFieldId, "Id", "编号"},
    {Text::kFieldState, "State", "状态"},
    {Text::kFieldWhy, "Why", "原因"},
    {Text::kFieldContact, "Contact", "联系"},
    {Text::kFieldFailure, "Failure", "失败"},
    {Text::kFieldProgress, "Progress", "进度"},
    {Text::kFieldCheckpoint, "Checkpoint", "检查点"},
    {Text::kFieldAttempts, "Attempts", "尝试次数"},
    {Text::kFieldCreated, "Created", "创建于"},
    {Text::kFieldStarted, "Started", "开始于"},
    {Text::kFieldEnded, "Ended", "结束于"},
    {Text::kFieldRunFolder, "Run folder", "运行文件夹"},
    {Text::kFieldAdapter, "Adapter", "适配器"},
    {Text::kFieldSha256, "SHA-256", "SHA-256"},
    {Text::kRecipesEqual, "{0} and {1} differ in nothing but their names", "{0} 与 {1} 除名称外没有差别"},
};

static_assert(std::size(kCatalogue) == static_cast<size_t>(Text::kCount), "a key without its sentence");

}  // namespace

std::span<const Sentence> Catalogue() { return kCatalogue; }

std::string_view Lookup(Language language, Text text) {
  const Sentence& sentence = kCatalogue[static_cast<size_t>(text)];
  FT_CHECK(sentence.key == text) << "catalogue out of order at " << static_cast<int>(text);
  return language == Language::kChinese ? sentence.chinese : sentence.english;
}

}  // namespace ft::client
