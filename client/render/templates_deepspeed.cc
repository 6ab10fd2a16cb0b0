#include "client/render/templates.h"

namespace ft::client {
namespace {

constexpr Template kTemplates[] = {
    // What is no JSON.
    {"is there twice: keep one of the two", "出现了两次：请只保留一个"},
    {"ends before its JSON does, on line {#0}: write the rest", "在第 {0} 行结束，而 JSON 尚未完整：请补全"},
    {"line {#0} is no JSON from '{1}' on: correct it", "第 {0} 行自 '{1}' 起不是 JSON：请改正"},
    {"has {#0} bytes, at most {#1} are read", "有 {0} 字节，最多读取 {1} 字节"},
    {"has more than {#0} levels of brackets: take some out", "括号嵌套超过 {0} 层：请减少"},
    {"holds no mapping of keys: give DeepSpeed's JSON file, which begins with {",
     "不是键的映射：请给出以 { 开头的 DeepSpeed JSON 文件"},
    // What cannot be.
    {"parallel.deepspeed: there is no file {0}: correct the path, or give one of {1}",
     "parallel.deepspeed：没有文件 {0}：请改正路径，或给出其中之一：{1}"},
    {"'{0}' is none of: <1> (a file of DeepSpeed's own is read by ftctl, which sends what it sets)",
     "'{0}' 不是其中之一：<1>（DeepSpeed 自己的文件由 ftctl 读取，只发送其设置）"},
    {"is true beside bf16.enabled: switch one of the two off", "与 bf16.enabled 同时为 true：请关闭其一"},
    {"needs stage 3: take it out, or set parallel.offload.parameters in the job for weights that are not "
     "trained",
     "需要 stage 3：请去掉；若卸载的是不训练的权重，请在任务中设置 parallel.offload.parameters"},
    {"is nvme and there is no nvme_path beside it: give the folder",
     "为 nvme，而旁边没有 nvme_path：请给出文件夹"},
    {"expects a number or \"auto\", got {0}", "应为数字或 \"auto\"，却是 {0}"},
    {"expects a whole number or \"auto\", got {0}", "应为整数或 \"auto\"，却是 {0}"},
    {"expects true, false or \"auto\", got {0}", "应为 true、false 或 \"auto\"，却是 {0}"},
    {"{0} contradicts the job's <1>; make them equal, or write \"auto\" where DeepSpeed takes it",
     "{0} 与任务的 <1> 矛盾；请使两者相同，或在 DeepSpeed 允许处写 \"auto\""},
    {"{0} contradicts {1} of the same file: make them equal, or take one out",
     "{0} 与同一文件的 {1} 矛盾：请使两者相同，或去掉其一"},
    {"{0} gives way to the recipe's <1>", "{0} 让位于配方的 <1>"},
    {"without meaning here: <0>", "在此没有意义：<0>"},
    // What became of a key.
    {"no meaning here: <0>", "在此没有意义：<0>"},
    {"off, as here", "关闭，此处亦然"},
    {"as here", "与此处相同"},
    {"the job's train.micro_batch and train.accumulation", "任务的 train.micro_batch 和 train.accumulation"},
    {"the job's model.dtype", "任务的 model.dtype"},
    {"the job's train.schedule.kind", "任务的 train.schedule.kind"},
    {"the job's <0>", "任务的 <0>"},
    {"what is exchanged, and when, follows from the model", "交换什么、何时交换由模型决定"},
    {"ftctl metrics, events and logs tell it", "请看 ftctl metrics、events 和 logs"},
    {"sizes of buffers follow from the model", "缓冲区大小由模型决定"},
    {"kernels follow from the machine", "计算内核由机器决定"},
    {"sums are always exchanged in fp32", "求和总以 fp32 交换"},
    {"every rank has whole layers and rows", "每个进程都有完整的层和行"},
    {"every optimizer here works at every stage", "此处每种优化器都可用于每个 stage"},
    {"a disk is used where device is nvme", "device 为 nvme 时才用磁盘"},
    {"what a job writes is always whole", "任务写出的总是完整的权重"},
    {"a checkpoint goes on with any number of ranks", "检查点可在任意数量的进程上继续"},
    {"an overflow halves the scale at once", "溢出时缩放立即减半"},
    {"gradients are checked in every step", "每一步都检查梯度"},
    {"a checkpoint knows its step", "检查点记有其步数"},
    {"train.checkpoint of the job says it", "由任务的 train.checkpoint 决定"},
    {"a last step that is not full is trained", "最后不满的一步也会训练"},
    // What to do about one that is refused.
    {"it would change the result's bits: take it out", "它会改变结果的数值：请去掉"},
    {"what is trained and its moments are fp32: take it out", "被训练的权重及其动量为 fp32：请去掉"},
    {"use parallel.ranks alone: every rank has whole layers and rows",
     "请只用 parallel.ranks：每个进程都有完整的层和行"},
    {"sums are exchanged in fp32: use fp32", "求和以 fp32 交换：请用 fp32"},
    {"all of the state moves or none: take it out", "状态要么全部移走，要么都不移：请去掉"},
    {"use offload_optimizer with device cpu", "请用 device 为 cpu 的 offload_optimizer"},
    {"use offload_param with device cpu", "请用 device 为 cpu 的 offload_param"},
    {"the scale follows overflows: use 0, and initial_scale_power for the first",
     "缩放随溢出而变：请用 0，初值用 initial_scale_power"},
    {"the least scale is 1: take it out", "最小缩放为 1：请去掉"},
    {"gradients are added in fp32: use fp32", "梯度以 fp32 累加：请用 fp32"},
    {"decay is apart from the gradient: use true", "权重衰减与梯度分开：请用 true"},
    {"use true", "请用 true"},
    {"use false", "请用 false"},
    {"use gradient_clipping", "请用 gradient_clipping"},
    {"use AdamW", "请用 AdamW"},
    {"set train.schedule in the job", "请在任务中设置 train.schedule"},
    {"the rate goes up from 0: use 0", "学习率从 0 升起：请用 0"},
    {"the rate goes up evenly: use linear", "学习率线性上升：请用 linear"},
    {"the rate goes down to 0: use 0", "学习率降至 0：请用 0"},
    {"use parallel.min_ranks and parallel.max_ranks", "请用 parallel.min_ranks 和 parallel.max_ranks"},
    {"set model.dtype in the job", "请在任务中设置 model.dtype"},
    {"ftctl plan chooses what fits: take it out", "ftctl plan 会选择合适的设置：请去掉"},
    {"checkpoints of DeepSpeed are not read: take it out", "不读取 DeepSpeed 的检查点：请去掉"},
};

}  // namespace

std::span<const Template> DeepspeedTemplates() { return kTemplates; }

}  // namespace ft::client
