#include "client/render/templates.h"

namespace ft::client {
namespace {

constexpr Template kTemplates[] = {
    // Addresses.
    {"'{0}' names no repository of a hub", "'{0}' 不是模型库中的仓库"},
    {"'{0}' has a revision that is none", "'{0}' 中的版本写法无效"},
    {"write {0}OWNER/NAME or OWNER/NAME@REVISION", "请写 {0}所有者/名称 或 所有者/名称@版本"},
    {"'{0}' is a data set and no model: give a model's", "'{0}' 是数据集，不是模型：请给出模型的地址"},
    {"'{0}' lies on the web, and sources are files, folders and repositories of hubs (hf://, modelscope://): "
     "download it first and "
     "give the file",
     "'{0}' 在网上，而来源只能是文件、文件夹或模型库中的仓库（hf://、modelscope://）：请先下载，再给出文件"},
    {"'{0}' lies on a hub", "'{0}' 在模型库中"},
    {"`ftctl cache fetch` downloads it, then give its folder or file",
     "可先用 `ftctl cache fetch` 下载，再给出其文件夹或文件"},
    {"'{0}' is no address of a hub", "'{0}' 不是模型库的地址"},
    {"'{0}' is no address of a hub: write hf://OWNER/NAME, modelscope://OWNER/NAME, and for data "
     "hf://datasets/OWNER/NAME",
     "'{0}' 不是模型库的地址：请写 hf://所有者/名称、modelscope://所有者/名称；数据写 "
     "hf://datasets/所有者/名称"},
    {"write https://HOST", "请写 https://主机"},
    {"{0} would show tokens to everybody on the way: write https:// (http:// is for this machine only)",
     "{0} 会让途中的任何人看到令牌：请写 https://（http:// 只能用于本机）"},
    {"is no token: a token has printable characters without blanks, at most {#0}",
     "不是令牌：令牌由可打印的非空白字符组成，最多 {0} 个"},
    // What hubs answer.
    {"{0} is not open to this token", "此令牌无权读取 {0}"},
    {"{0} is not open to everybody", "{0} 不对所有人开放"},
    {"accept its terms at {0}, and set {1} to a token that may read it",
     "请先在 {0} 接受其条款，再把 {1} 设为有权读取的令牌"},
    {"there is no such revision", "没有这个版本"},
    {"name a branch, tag or commit of it", "请给出其分支、标签或提交"},
    {"a file is not there any more", "有文件已不存在"},
    {"{0} does not take the token", "{0} 不接受该令牌"},
    {"set {0} to one that is valid", "请把 {0} 设为有效的令牌"},
    {"{0} is not at {1}, or is private", "{1} 上没有 {0}，或者它是私有的"},
    {"correct the name, or set {0} to a token that may read it", "请更正名称，或把 {0} 设为有权读取的令牌"},
    {"{0} answers with HTTP status {#1}", "{0} 返回 HTTP 状态 {1}"},
    {"{0} ended before the end", "{0} 的传输提前结束"},
    {"{0} is an address of a private network, and a hub on the internet must not lead there",
     "{0} 是专用网络的地址，互联网上的模型库不应指向那里"},
    {"the hub or the name server is not to be trusted", "该模型库或域名服务器不可信"},
    {"{0} leads to {1}, where everybody on the way could change it",
     "{0} 指向 {1}，途中的任何人都可以篡改它"},
    {"only https is followed", "只跟随 https"},
    {"{0} leads from one address to the next without end", "{0} 从一个地址不断指向下一个"},
    {"{0} leads to what is no address", "{0} 指向的不是地址"},
    {"the hub's listing is none", "模型库的文件列表无效"},
    // What is in a repository.
    {"{0} has no config.json", "{0} 没有 config.json"},
    {"is it a model in Hugging Face's layout?", "它是 Hugging Face 布局的模型吗？"},
    {"{0} has no weights (*.safetensors or *.bin)", "{0} 没有权重（*.safetensors 或 *.bin）"},
    {"{0} has no file of data that this program reads", "{0} 没有本程序可读取的数据文件"},
    {"{0} has nothing below folder", "{0} 中没有文件夹"},
    {"{0} has no subset", "{0} 没有子集"},
    {"{0} has no split", "{0} 没有划分"},
    // Downloads.
    {"{0} is not whole in {1} ({2}), and hubs are offline here (HF_HUB_OFFLINE, or hub_offline of the "
     "worker)",
     "{0} 在 {1} 中不完整（{2}），而此处模型库处于离线状态（HF_HUB_OFFLINE，或工作进程的 hub_offline）"},
    {"run `ftctl cache fetch {0}` where there is a network, or allow it here",
     "请在有网络的地方运行 `ftctl cache fetch {0}`，或在此允许联网"},
    {"{0} needs {1} more in {2}, and {3} are free", "{0} 还需要 {2} 中的 {1}，而可用空间为 {3}"},
    {"make room (`ftctl cache list` shows what is kept), or keep it on another disk",
     "请腾出空间（`ftctl cache list` 显示已保存的内容），或保存到另一块磁盘"},
    {"the server sends another part of the file than was asked for, or the file has another size than the "
     "hub lists",
     "服务器发来的不是所请求的部分，或文件大小与模型库所列不符"},
    {"the server sends more bytes than the hub lists", "服务器发来的字节多于模型库所列"},
    {"it is cut again and again, and the server sends it from its beginning each time",
     "传输一再中断，而服务器每次都从头发送"},
    {"try again later, or use another mirror", "请稍后重试，或换一个镜像"},
    {"{0} came with digest {1}, and the hub says {2}, twice",
     "{0} 两次收到的摘要都是 {1}，而模型库所列为 {2}"},
    {"something on the way changes it", "途中有东西改动了它"},
    {"asked to stop", "已按要求停止"},
    {"{0} is not in the cache {1}: `ftctl cache list` shows what is",
     "缓存 {1} 中没有 {0}：`ftctl cache list` 显示缓存内容"},
    {"{0} is being downloaded", "{0} 正在下载"},
    {"stop that first", "请先停止下载"},
    {"{0} is version {1}: {#2} files, {3}, of them {4} downloaded",
     "{0} 为版本 {1}：{2} 个文件，共 {3}，其中下载了 {4}"},
    {"{0} is version {1}: {#2} files, {3}", "{0} 为版本 {1}：{2} 个文件，共 {3}"},
    {"{0} is version {1}: {#2} file, {3}, of them {4} downloaded",
     "{0} 为版本 {1}：{2} 个文件，共 {3}，其中下载了 {4}"},
    {"{0} is version {1}: {#2} file, {3}", "{0} 为版本 {1}：{2} 个文件，共 {3}"},
    {"its files are {0}", "其中的文件有 {0}"},
    {"there is no folder to keep it in", "没有可存放它的文件夹"},
};

}  // namespace

std::span<const Template> HubTemplates() { return kTemplates; }

}  // namespace ft::client
