#include "client/render/templates.h"

namespace ft::client {
namespace {

constexpr Template kTemplates[] = {
    // The command line.
    {"there is no verb '{0}': `ftctl --help` lists them", "没有命令 '{0}'：`ftctl --help` 列出全部命令"},
    {"there is no verb '{0}', did you mean {1}?", "没有命令 '{0}'（是否想用 {1}？）"},
    {"there is no verb '{0}'", "没有命令 '{0}'"},
    {"ftctl --help lists them", "ftctl --help 列出全部命令"},
    {"ftctl --help lists all", "ftctl --help 列出全部命令"},
    {"there is no option {0}, did you mean {1}?", "没有选项 {0}（是否想用 {1}？）"},
    {"there is no option {0}", "没有选项 {0}"},
    {"see ftctl {0} --help", "见 ftctl {0} --help"},
    {"which verb? {0} is no option", "缺少命令，{0} 不是选项"},
    {"which verb? ftctl --help lists all", "缺少命令；ftctl --help 列出全部命令"},
    {"--map {0}: write input=COLUMN,output=COLUMN", "--map {0}：请写成 input=问题列,output=答案列"},
    {"--map {0}: {1} is there twice", "--map {0}：{1} 出现了两次"},
    {"--map {0}: {1} is empty", "--map {0}：{1} 为空"},
    {"write input=COLUMN,output=COLUMN", "请写成 input=问题列,output=答案列"},
    {"give a job file, or --model and --data", "请给出任务文件，或 --model 和 --data"},
    {"give a job file or --model and --data, not both", "请给出任务文件，或 --model 和 --data，不能两者都给"},
    {"give --model DIR and --data FILE, or a job file", "请给出 --model 目录 和 --data 文件，或任务文件"},
    {"this user has no home folder: set HOME, or XDG_DATA_HOME to a folder for jobs and results",
     "该用户没有主目录：请设置 HOME，或用 XDG_DATA_HOME 指定存放任务和结果的文件夹"},
    // Job files.
    {"{0} is a model: give it with --model, and the data with --data",
     "{0} 是模型：请用 --model 给出模型，用 --data 给出数据"},
    {"{0} is a workbook and no job file: give it with {1}", "{0} 是工作簿，不是任务文件：请用 {1} 给出"},
    {"{0} is a model and no job file: give it with {1}", "{0} 是模型，不是任务文件：请用 {1} 给出"},
    {"{0} is a table and no job file: give it with {1}", "{0} 是表格，不是任务文件：请用 {1} 给出"},
    {"{0} is data and no job file: give it with {1}", "{0} 是数据，不是任务文件：请用 {1} 给出"},
    {"{0} is a folder: give the job file inside it", "{0} 是文件夹：请给出其中的任务文件"},
    {"standard input is longer than a job file may be ({0} bytes)", "标准输入超过任务文件的上限（{0} 字节）"},
    {"standard input with --set", "标准输入（含 --set）"},
    {"standard input", "标准输入"},
    {"{0} with --set", "{0}（含 --set）"},
    {"there is nothing at {0}: correct the path, which is relative to {1}",
     "{0} 处没有文件：请更正路径，它相对于 {1}"},
    {"if it is a name on a model hub, write hf://{0} or modelscope://{1}",
     "若它是模型库中的名称，请写 hf://{0} 或 modelscope://{1}"},
    {"models are not uploaded: give the absolute path of '{0}' on the coordinator's machine",
     "模型不会上传：请给出 '{0}' 在协调器所在机器上的绝对路径"},
    {"{0} is a folder and only single files can be uploaded: give its absolute path on the coordinator's "
     "machine",
     "{0} 是文件夹，而只能上传单个文件：请给出它在协调器所在机器上的绝对路径"},
    {"{0} has {#1} bytes and at most {#2} can be uploaded: put it on the coordinator's machine and name it "
     "there",
     "{0} 有 {1} 字节，最多可上传 {2} 字节：请放到协调器所在的机器上，再给出那里的路径"},
    {"the coordinator has {#0} of {#1} bytes", "协调器收到了 {1} 字节中的 {0} 字节"},
    {"upload of {0}", "上传 {0}"},
    // The coordinator, and programs of this machine.
    {"the socket path {0} has {#1} bytes, at most {#2} are possible: give a shorter one with --server",
     "套接字路径 {0} 有 {1} 字节，最多 {2} 字节：请用 --server 给出较短的路径"},
    {"the socket {0} would have a path of {#1} bytes, at most {#2} are possible: set XDG_DATA_HOME to a "
     "shorter "
     "folder",
     "套接字 {0} 的路径将有 {1} 字节，最多 {2} 字节：请用 XDG_DATA_HOME 指定较短的文件夹"},
    {"a token is sent over TLS only: give --ca FILE too", "令牌只经 TLS 发送：请同时给出 --ca 文件"},
    {"--token-file: {0} does not hold one word", "--token-file：{0} 中应恰有一个词"},
    {"{0} does not hold one word", "{0} 中应恰有一个词"},
    {"'{0}' is no address: write HOST:PORT, /path/to/socket or unix:/path/to/socket",
     "'{0}' 不是地址：请写 HOST:PORT、/path/to/socket 或 unix:/path/to/socket"},
    {"'{0}' is another machine and plain text is allowed on this machine only: give --ca FILE if it speaks "
     "TLS, "
     "else forward its port, e.g. ssh -L 7717:localhost:7717 {1}, and use localhost:7717",
     "'{0}' 是另一台机器，而明文只允许在本机使用：若它使用 TLS，请给出 --ca 文件；否则请转发端口，如 "
     "ssh -L 7717:localhost:7717 {1}，再使用 localhost:7717"},
    {"{0} is too long a path", "路径 {0} 过长"},
    {"no such socket", "没有该套接字"},
    {"nobody listens", "无人监听"},
    {"it belongs to another user", "它属于另一用户"},
    {"it does not speak plain text: give --ca FILE", "它不接受明文：请给出 --ca 文件"},
    {"its certificate is not accepted, or it does not speak TLS", "其证书不被接受，或它不使用 TLS"},
    {"there is no program {0} in {1}: install ftctl, finetuned, ft-worker and ft-rank into one folder",
     "{1} 中没有程序 {0}：请把 ftctl、finetuned、ft-worker 和 ft-rank 安装在同一文件夹"},
    {"{0} did not end within {#1} seconds", "{0} 在 {1} 秒内没有结束"},
    {"another ftctl holds {0}: try again when it is done", "另一个 ftctl 占用着 {0}：请待其结束后重试"},
    {"another ftctl still stops the private coordinator: try again in a moment",
     "另一个 ftctl 正在停止私有协调器：请稍后重试"},
    {"{0} does not run", "{0} 没有运行"},
    {"{0} (process {#1}) does not end; its log is {2}", "{0}（进程 {1}）没有结束；日志见 {2}"},
    {"only {#0} files may be open at once here (ulimit -n), and the coordinator needs {#1}: raise the limit",
     "此处同时只能打开 {0} 个文件（ulimit -n），而协调器需要 {1} 个：请调高上限"},
    {"{0} ended at its start; its log is {1}", "{0} 启动后随即结束；日志见 {1}"},
    // Results and their folders.
    {"no job called '{0}' has succeeded", "没有名为 '{0}' 的任务成功完成"},
    {"no job called '{0}' has files in {1}, and <2>", "在 {1} 中没有名为 '{0}' 的任务的文件，且<2>"},
    {"no job called '{0}' has files in {1}", "在 {1} 中没有名为 '{0}' 的任务的文件"},
    {"{0} has no files yet: it has not started to run; `ftctl explain {1}` says why",
     "{0} 还没有文件：它尚未开始运行；`ftctl explain {1}` 说明原因"},
    {"the files of {0} are on another machine, at {1}: `ftctl export {2} DIR` fetches the result",
     "{0} 的文件在另一台机器上，位于 {1}：`ftctl export {2} 目录` 可取回结果"},
    {"there is nothing at {0}", "{0} 处什么也没有"},
    {"{0} is no run folder (attempts/), no adapter (adapter_config.json) and no model (config.json or .gguf)",
     "{0} 不是运行文件夹（attempts/）、适配器（adapter_config.json）或模型（config.json 或 .gguf）"},
    {"{0} is a whole model: there is no adapter to merge or export; `ftctl convert {1} DIR` copies it",
     "{0} 是完整的模型：没有可合并或导出的适配器；`ftctl convert {1} 目录` 可复制它"},
    {"{0} has no result: it appears when the job has succeeded; `ftctl get {1}` shows its state",
     "{0} 没有结果：任务成功后才有；`ftctl get {1}` 显示其状态"},
    {"{0} has no result yet: this is its base model", "{0} 还没有结果：以下是它的基座模型"},
    {"the coordinator sent a file called '{0}'", "协调器发来了名为 '{0}' 的文件"},
    {"{0}: a piece is missing", "{0}：缺少一段"},
    {"a piece is missing", "缺少一段"},
    {"{0} arrived damaged: {#1} of {#2} bytes; try again", "{0} 收到时已损坏：{2} 字节中的 {1} 字节；请重试"},
    {"the coordinator has no adapter of this job", "协调器没有该任务的适配器"},
    {"{0} is not empty: name a new folder", "{0} 不为空：请给出新的文件夹"},
    {"{0} is no job and no run folder, so it has no ledger", "{0} 不是任务，也不是运行文件夹，因此没有账本"},
    {"{0} has no ledger yet: {1} holds no recorded step", "{0} 还没有账本：{1} 中没有已记录的步"},
    {"step {0} of {1} and of {2} were recorded by versions with different digests: run one of them again",
     "{1} 与 {2} 的第 {0} 步由摘要方式不同的版本记录：请重新运行其中之一"},
    {"{0} holds more than {#1} points", "{0} 中的数据点超过 {1} 个"},
};

}  // namespace

std::span<const Template> ClientTemplates() { return kTemplates; }

}  // namespace ft::client
