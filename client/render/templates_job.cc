#include "client/render/templates.h"

namespace ft::client {
namespace {

constexpr Template kTemplates[] = {
    // Why a job is in its state.
    {"waiting for a worker to prepare the data", "等待工作进程准备数据"},
    {"preparing data on node {0}", "正在节点 {0} 上准备数据"},
    {"data prepared, waiting for devices", "数据已备好，等待设备"},
    {"data prepared", "数据已备好"},
    {"starting on node {0}", "正在节点 {0} 上启动"},
    {"running on {0}", "正在 {0} 上运行"},
    {"finished after step {#0}", "在第 {0} 步后完成"},
    {"stopped after step {#0} as asked", "按要求在第 {0} 步后停止"},
    {"paused at step {#0}", "在第 {0} 步暂停"},
    {"stopped at step {#0}, waiting for devices", "在第 {0} 步停止，等待设备"},
    {"it had not ended when its coordinator stopped", "协调器停止时它尚未结束"},
    {"the disk is full: <0>; the job waits for room", "磁盘已满：<0>；任务等待空间"},
    {"cannot write {0}: <1>", "无法写入 {0}：<1>"},
    {"cannot write into {0}: <1>", "无法写入 {0}：<1>"},
    {"{0}: zeros where a frame is expected, and more behind them",
     "{0}：应是一帧记录的地方全是零，而后面还有内容"},
    {"{0}: wrong checksum in a frame of {#1} bytes", "{0}：一帧 {1} 字节的记录校验和不符"},
    {"the coordinator's disk is full: free space in its data folder and retry",
     "协调器的磁盘已满：请在其数据文件夹中腾出空间后重试"},
    // Paths.
    {"'{0}' lies on a hub or the web, and this version reads local files only: download it first and give "
     "the folder or file",
     "'{0}' 在模型库或网上，而本版本只读取本地文件：请先下载，再给出文件夹或文件"},
    {"{0} lies outside the folders this worker may read; move it into one of them, or let the administrator "
     "add its folder to "
     "the allowed roots",
     "{0} 在此工作进程可读取的文件夹之外；请移入其中之一，或请管理员把其文件夹加入允许的根目录"},
    {"{0} goes through `..`; write the path without it", "{0} 经过 `..`；请写不含它的路径"},
    {"{0} is a relative path; write it from the root (/)", "{0} 是相对路径；请从根目录（/）写起"},
    {"{0} does not exist; check the path", "{0} 不存在；请检查路径"},
    {"{0} is not an upload's name; write upload://<sha256>/<file name> as `ftctl` printed it",
     "{0} 不是上传文件的名称；请照 `ftctl` 的输出写 upload://<sha256>/<file name>"},
    {"{0} has {#1} bytes, more than the {#2} allowed here", "{0} 有 {1} 字节，超过此处允许的 {2}"},
    // Places.
    {"{0} line {#1}, column {#2}", "{0} 第 {1} 行第 {2} 列"},
    {"{0} line {#1}", "{0} 第 {1} 行"},
    {"{0} sheet {1} row {#2}", "{0} 工作表 {1} 第 {2} 行"},
    {"{0} sheet {1}", "{0} 工作表 {1}"},
};

}  // namespace

std::span<const Template> JobTemplates() { return kTemplates; }

}  // namespace ft::client
