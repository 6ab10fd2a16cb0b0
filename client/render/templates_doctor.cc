#include "client/render/templates.h"

namespace ft::client {
namespace {

// Verdicts, what is looked at, what is found, and what to do.
constexpr Template kTemplates[] = {
    {"ok", "正常"},
    {"note", "提示"},
    {"PROBLEM", "问题"},
    {"data folder", "数据文件夹"},
    {"free disk", "可用磁盘"},
    {"free memory", "可用内存"},
    {"cores", "CPU 核数"},
    {"NVIDIA driver", "NVIDIA 驱动"},
    {"locale", "区域设置"},
    {"address", "地址"},
    {"coordinator", "协调器"},
    {"nodes", "节点"},
    {"make it writable, or set XDG_DATA_HOME to a folder that is",
     "请使其可写，或用 XDG_DATA_HOME 指定可写的文件夹"},
    {"see the data folder above", "见上面的数据文件夹"},
    {"free some: checkpoints and caches want {0} or more", "请腾出空间：检查点和缓存需要 {0} 以上"},
    {"cannot be read from /proc/meminfo", "无法从 /proc/meminfo 读取"},
    {"check it with free -h", "请用 free -h 查看"},
    {"close other programs: a 135M model wants about 2 GiB, a 7B model about 8 GiB",
     "请关闭其他程序：135M 模型约需 2 GiB，7B 模型约需 8 GiB"},
    {"device", "设备"},
    {"not known", "未知"},
    {"loaded", "已加载"},
    {"jobs run on the CPU", "任务将在 CPU 上运行"},
    {"is not there", "不存在"},
    {"none", "无"},
    {"see whether the machine is overloaded", "请检查机器是否负载过高"},
    {"ended with status {#0}: {1}", "以状态 {0} 结束：{1}"},
    {"a library is missing: install again with make install", "缺少库：请用 make install 重新安装"},
    {"not UTF-8", "不是 UTF-8"},
    {"set LANG=C.UTF-8 (or zh_CN.UTF-8) to see bars and Chinese",
     "请设置 LANG=C.UTF-8（或 zh_CN.UTF-8），以便显示进度条和中文"},
    {"correct --server or FTCTL_SERVER", "请更正 --server 或 FTCTL_SERVER"},
    {"not reachable at {0}", "无法连接 {0}"},
    {"start it, or correct --server", "请启动它，或更正 --server"},
    {"`ftctl up` starts one; `ftctl run` needs none", "`ftctl up` 可启动；`ftctl run` 不需要"},
    {"{0} at {1}", "{0}，位于 {1}"},
    {"{#0} ready", "{0} 个就绪"},
    {"{0} was cordoned or drained", "{0} 此前被 cordon 或 drain"},
    {"ftctl uncordon {0} lets jobs start there again", "运行 ftctl uncordon {0} 后任务即可在其上启动"},
    {"none is ready", "没有就绪的节点"},
    {"see ftctl nodes and the log of ft-worker", "请查看 ftctl nodes 和 ft-worker 的日志"},
};

}  // namespace

std::span<const Template> DoctorTemplates() { return kTemplates; }

}  // namespace ft::client
