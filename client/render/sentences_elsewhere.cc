#include "client/render/templates.h"

namespace ft::client {
namespace {

// What the system says of files, and libraries of what they read.
constexpr Template kLibraries[] = {
    {"No space left on device", "设备上没有空间"},
    {"No such file or directory", "没有该文件或目录"},
    {"Permission denied", "没有权限"},
    {"Is a directory", "是文件夹"},
    {"Not a directory", "不是文件夹"},
    {"Too many open files", "打开的文件过多"},
    {"Read-only file system", "文件系统只读"},
    {"File exists", "文件已存在"},
    {"Exec format error", "不是可执行的程序"},
    {"cannot open {0}: <1>", "无法打开 {0}：<1>"},
    {"cannot read {0}: <1>", "无法读取 {0}：<1>"},
    {"cannot look at {0}: <1>", "无法查看 {0}：<1>"},
    {"cannot create folder {0}: <1>", "无法创建文件夹 {0}：<1>"},
    {"cannot create {0}: <1>", "无法创建 {0}：<1>"},
    {"cannot sync {0}: <1>", "无法写入磁盘 {0}：<1>"},
    {"cannot rename to {0}: <1>", "无法改名为 {0}：<1>"},
    {"cannot protect {0}: <1>", "无法设置 {0} 的权限：<1>"},
    {"cannot start {0}: <1>", "无法启动 {0}：<1>"},
    {"cannot stop {0}: <1>", "无法停止 {0}：<1>"},
    {"cannot make a socket for {0}: <1>", "无法为 {0} 建立套接字：<1>"},
    {"cannot make a pipe for {0}: <1>", "无法为 {0} 建立管道：<1>"},
    {"cannot make a file in memory: <0>", "无法建立内存文件：<0>"},
    {"Connection refused", "连接被拒绝"},
    {"failed to connect to all addresses", "无法连接"},
    {"last error: {0}", "最后的错误：{0}"},
    // yaml-cpp's refusals of a job file.
    {"end of map not found", "映射没有正常结束（请检查缩进和冒号）"},
    {"end of map flow not found", "缺少 }"},
    {"end of sequence not found", "列表没有正常结束（请检查缩进）"},
    {"end of sequence flow not found", "缺少 ]"},
    {"illegal map value", "此处不能有冒号（请检查缩进，或给文本加引号）"},
    {"illegal block entry", "此处不能有列表项（请检查缩进）"},
    {"illegal map key", "此处不能有键（请检查缩进）"},
    {"illegal flow end", "此处不能有 } 或 ]"},
    {"illegal tab when looking for indentation", "缩进不能用制表符"},
    {"illegal EOF in scalar", "引号没有结束"},
    {"illegal character in scalar", "文本中有不允许的字符"},
    {"illegal document indicator in scalar", "文本中不能有文档分隔符"},
    {"unknown escape character: {0}", "未知的转义字符：{0}"},
    {"unknown token", "无法识别的内容"},
};

// CLI11's own part of help, and its refusals of a command line.
constexpr Template kCommandLine[] = {
    {"Options", "选项"},
    {"Subcommands", "子命令"},
    {"Print this help message and exit", "显示本帮助并退出"},
    {"The following argument was not expected: {0}", "多余的参数：{0}"},
    {"The following arguments were not expected: {0}", "多余的参数：{0}"},
    {"{0}: {#1} required {2} missing", "{0} 缺少值"},
    {"{0} requires {1}", "{0} 需要与 {1} 同用"},
    {"{0} excludes {1}", "{0} 不能与 {1} 同用"},
    {"{0}: Value {1} not in range {#2} to {#3}", "{0}：{1} 不在 {2} 到 {3} 之间"},
    {"{0}: {1} not in {2}", "{0}：{1} 不是以下之一：{2}"},
    {"Could not convert: {0} = {1}", "{0} 的值 {1} 无法识别"},
    {"{0} was given a disallowed flag override", "{0} 不带值"},
    {"{0} is required", "缺少 {0}"},
};

// Words of the API, which scripts read from `-o json` as they are.
constexpr Template kStates[] = {
    {"JOB_STATE_UNSPECIFIED", "未定"},
    {"PREPARING", "准备中"},
    {"QUEUED", "排队中"},
    {"STARTING", "启动中"},
    {"RUNNING", "运行中"},
    {"RECOVERING", "恢复中"},
    {"PAUSING", "正在暂停"},
    {"PAUSED", "已暂停"},
    {"CANCELLING", "正在取消"},
    {"SUCCEEDED", "已完成"},
    {"FAILED", "失败"},
    {"CANCELLED", "已取消"},
    {"NODE_STATE_UNSPECIFIED", "未定"},
    {"READY", "就绪"},
    {"SUSPECT", "疑似失联"},
    {"DRAINING", "排空中"},
    {"LOST", "失联"},
    {"CORDONED", "不可调度"},
};

// What a rank does, as its beats say.
constexpr Template kPhases[] = {
    {"load", "加载"},     {"prepare", "准备数据"},  {"download", "下载"},         {"train", "训练"},
    {"evaluate", "评估"}, {"generate", "生成样例"}, {"checkpoint", "保存检查点"}, {"write", "写结果"},
    {"wait", "等待"},
};

}  // namespace

std::span<const Template> LibraryTemplates() { return kLibraries; }
std::span<const Template> CommandLineTemplates() { return kCommandLine; }
std::span<const Template> StateWords() { return kStates; }
std::span<const Template> PhaseWords() { return kPhases; }

}  // namespace ft::client
