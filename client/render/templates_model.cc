#include "client/render/templates.h"

namespace ft::client {
namespace {

constexpr Template kTemplates[] = {
    {"there is no model at {0}: give its folder with --model DIR",
     "{0} 没有模型：请用 --model 目录 指明其文件夹"},
    {"{0} is not a folder with a model", "{0} 不是模型的文件夹"},
    {"{0} holds no weights", "{0} 没有权重"},
    {"{0} holds no weights: no model.safetensors, pytorch_model.bin, index of shards or single .gguf file",
     "{0} 没有权重：没有 model.safetensors、pytorch_model.bin、分片索引或单个 .gguf 文件"},
    {"{0} is no weight file: give a model folder, a .safetensors, .bin or .gguf file",
     "{0} 不是权重文件：请给出模型文件夹或 .safetensors、.bin、.gguf 文件"},
    {"{0} does not exist", "{0} 不存在"},
    {"cannot open {0}: <1>", "无法打开 {0}：<1>"},
    {"cannot read {0}: <1>", "无法读取 {0}：<1>"},
    {"cannot create {0}: <1>", "无法创建 {0}：<1>"},
    {"{0} is missing, but {1} places tensor '{2}' in it; fetch the model's files again",
     "缺少 {0}，而 {1} 把张量 '{2}' 放在其中；请重新获取模型文件"},
    {"{0} holds shards of {1} and no {2}, and {3} is missing; fetch the model's files again",
     "{0} 有 {1} 的分片而没有 {2}，且缺少 {3}；请重新获取模型文件"},
    {"{0} holds {1} but no model.safetensors and no model.safetensors.index.json that says which tensor lies "
     "in which file; "
     "fetch the model's files again",
     "{0} 有 {1}，但没有 model.safetensors，也没有说明张量在哪个文件的 "
     "model.safetensors.index.json；请重新获取模型文件"},
    {"tensor '{0}' is not in {1}, where the index places it", "张量 '{0}' 不在索引所说的 {1} 中"},
    {"tensor '{0}' is there twice", "张量 '{0}' 出现了两次"},
    {"tensor '{0}': <1>", "张量 '{0}'：<1>"},
    {"tensor {0}: <1>", "张量 {0}：<1>"},
    // safetensors.
    {"the name '{0}' is there twice", "名称 '{0}' 出现了两次"},
    {"the key '{0}' is there twice", "键 '{0}' 出现了两次"},
    {"the key '{0}' is unknown", "未知的键 '{0}'"},
    {"its bytes overlap another tensor's", "它的字节与另一张量重叠"},
    {"there is a hole before its bytes", "它的字节之前有空洞"},
    {"{#0} bytes follow the last tensor", "最后一个张量之后还有 {0} 字节"},
    {"type {0} and shape {1} need {#2} bytes, its offsets give {#3}",
     "类型 {0}、形状 {1} 需要 {2} 字节，而偏移给出 {3}"},
    {"its bytes {#0} to {#1} do not lie within the {#2} bytes of data; the file is damaged or incomplete; "
     "fetch it again",
     "它的第 {0} 至 {1} 字节不在 {2} 字节的数据之内；文件损坏或不完整，请重新获取"},
    {"not a safetensors file: it has only {#0} bytes", "不是 safetensors 文件：只有 {0} 字节"},
    {"not a safetensors file: its header would have {#0} bytes, more than the {#1} allowed",
     "不是 safetensors 文件：其文件头将有 {0} 字节，超过允许的 {1}"},
    {"the file ends within its header of {#0} bytes; it is damaged or incomplete; fetch it again",
     "文件在 {0} 字节的文件头中就结束了；已损坏或不完整，请重新获取"},
    {"the header does not begin with '{'", "文件头不以 '{' 开头"},
    {"no valid JSON at byte {#0} of the header", "文件头第 {0} 字节处不是合法的 JSON"},
    {"type '{0}' is not supported (packed floats); <1>", "不支持类型 '{0}'（打包的浮点数）；<1>"},
    {"type '{0}' is not supported; <1>", "不支持类型 '{0}'；<1>"},
    {"take the model that was quantised, in BF16 or F16: method qlora keeps it in 4 bits while it trains",
     "请使用量化之前的模型（BF16 或 F16）：方法 qlora 训练时以 4 比特存放它"},
    // GGUF.
    {"GGUF version {#0} is not supported, only 2 and 3 are", "不支持 GGUF 版本 {0}，只支持 2 和 3"},
    {"the GGUF file is big-endian, which is not supported", "GGUF 文件是大端序，不支持"},
    {"not a GGUF file: it does not begin with the letters GGUF", "不是 GGUF 文件：不以 GGUF 四字母开头"},
    {"architecture '{0}' is not read from GGUF, only llama is; take the model's Hugging Face files",
     "不从 GGUF 读取架构 '{0}'，只读取 llama；请使用模型的 Hugging Face 文件"},
    {"type {0} is not supported by this version; take the model's Hugging Face folder, or its GGUF file in "
     "BF16, F16, F32, "
     "Q8_0, Q4_0 or Q4_1",
     "本版本不支持类型 {0}；请使用模型的 Hugging Face 文件夹，或其 BF16、F16、F32、Q8_0、Q4_0、Q4_1 的 GGUF "
     "文件"},
    {"its header promises {#0} tensors, more than it can hold", "文件头声称有 {0} 个张量，多于它能容纳的"},
    {"its header promises {#0} metadata entries, more than it can hold",
     "文件头声称有 {0} 项元数据，多于它能容纳的"},
    {"its {#0} bytes at offset {#1} reach past the end of the file; it is damaged or incomplete; fetch it "
     "again",
     "它在偏移 {1} 处的 {0} 字节超出文件末尾；文件损坏或不完整，请重新获取"},
    {"the file ends within its header; fetch it again", "文件在文件头中就结束了；请重新获取"},
    {"rotary scaling '{0}' is not read from GGUF; take the model's Hugging Face files",
     "不从 GGUF 读取旋转位置缩放 '{0}'；请使用模型的 Hugging Face 文件"},
    // Pickles.
    {"the pickle is refused: <0>", "拒绝此 pickle：<0>"},
    {"it names {0}, which is not needed for tensors and may run code",
     "它提到 {0}，张量用不到它，而它可能执行代码"},
    {"it calls something that is no function", "它调用了不是函数的东西"},
    {"it ends in the middle", "它在中途就结束了"},
    {"its entry '{0}' is no tensor; save the model's state_dict() alone, best as model.safetensors",
     "其中的 '{0}' 不是张量；请单独保存模型的 state_dict()，最好存为 model.safetensors"},
    {"it has {#0} bytes, more than the {#1} allowed", "它有 {0} 字节，超过允许的 {1}"},
    {"it makes more than {#0} values", "它产生的值超过 {0} 个"},
    {"{0} is in the format that torch.save used before PyTorch 1.6; load it with PyTorch and save it again, "
     "best as "
     "model.safetensors",
     "{0} 是 PyTorch 1.6 之前 torch.save 的格式；请用 PyTorch 载入后重新保存，最好存为 model.safetensors"},
    {"{0} is no file of torch.save: it does not begin as a zip archive",
     "{0} 不是 torch.save 的文件：开头不是 zip 归档"},
    {"not a whole zip archive: {0}; fetch the file again", "不是完整的 zip 归档：{0}；请重新获取文件"},
    // Quantised weights.
    {"{0} is {1}: {2} weights are not read by this version; <3>", "{0} 为 {1}：本版本不读取 {2} 权重；<3>"},
    {"tensor {0} is stored as {1}, which is not read by this version; <2>",
     "张量 {0} 以 {1} 存放，本版本不读取；<2>"},
    {"tensor {0} has type {1}, which holds no floating-point weights; <2>",
     "张量 {0} 的类型是 {1}，不是浮点权重；<2>"},
    {"tensor '{0}' has type {1}, which holds no floating-point weights",
     "张量 '{0}' 的类型是 {1}，不是浮点权重"},
    {"tensor {0} is stored in 4 bits and cannot be trained: use method qlora",
     "张量 {0} 以 4 比特存放，无法训练：请用方法 qlora"},
    // Configurations.
    {"model family \"{0}\" is not supported by this version (supported: {1})",
     "本版本不支持模型族 \"{0}\"（支持：{1}）"},
    {"model family \"{0}\" is not supported by this version, the nearest that is: {1} (supported: {2})",
     "本版本不支持模型族 \"{0}\"，最接近的是：{1}（支持：{2}）"},
    {"has no model_type, so the model's family is unknown", "没有 model_type，无法得知模型族"},
    {"{0} is not a JSON object; copy the model's folder again", "{0} 不是 JSON 对象；请重新复制模型文件夹"},
    {"config.json is not a JSON object", "config.json 不是 JSON 对象"},
    {"{0} is not valid JSON (cut short or damaged); copy or download it again",
     "{0} 不是合法的 JSON（被截断或损坏）；请重新复制或下载"},
    {"{0} does not hold a JSON object", "{0} 的内容不是 JSON 对象"},
    {"vocab_size is missing; copy the model's folder again", "缺少 vocab_size；请重新复制模型文件夹"},
    {"vocab_size is not a positive whole number", "vocab_size 不是正整数"},
    {"{0} \"{1}\" is not supported (supported: silu, gelu, gelu_pytorch_tanh)",
     "不支持 {0} \"{1}\"（支持：silu、gelu、gelu_pytorch_tanh）"},
    {"{0} {1} is not supported by this version", "本版本不支持 {0} {1}"},
    {"hidden_size({#0}) is no multiple of num_attention_heads({#1})",
     "hidden_size（{0}）不是 num_attention_heads（{1}）的整数倍"},
    {"num_attention_heads({#0}) is no multiple of num_key_value_heads({#1})",
     "num_attention_heads（{0}）不是 num_key_value_heads（{1}）的整数倍"},
    {"layer_types names {#0} layers, num_hidden_layers is {#1}",
     "layer_types 列出 {0} 层，而 num_hidden_layers 是 {1}"},
    {"the merged model's logits differ from those of base and adapter by {0}: it is not kept; take --dtype "
     "fp32",
     "合并后模型的 logits 与底座加适配器的相差 {0}：未予保留；请用 --dtype fp32"},
    {"tensor {0} has other values than {1}, though config.json says that they are one (tie_word_embeddings): "
     "set it to false there, or leave the tensor out",
     "张量 {0} 与 {1} 的值不同，而 config.json 说它们是同一个（tie_word_embeddings）：请在其中设为 "
     "false，或去掉该张量"},
    {"an input of more than {#0} tokens is longer than this model's table of positions: lower "
     "train.max_length, or shorten the conversation",
     "输入超过 {0} 个词元，超出该模型的位置表：请减小 train.max_length，或缩短对话"},
    {"rope_scaling of kind \"{0}\" is not supported by this version (supported: linear, dynamic, llama3)",
     "本版本不支持 \"{0}\" 类的 rope_scaling（支持：linear、dynamic、llama3）"},
    {"the weights have no tensor {0}, which config.json asks for", "权重中没有 config.json 要求的张量 {0}"},
    {"tensor {0} has shape {1}, config.json asks for {2}", "张量 {0} 的形状是 {1}，而 config.json 要求 {2}"},
    {"tensor {0} is not part of the model that config.json describes",
     "张量 {0} 不属于 config.json 描述的模型"},
    {"{0} has no embedding; convert the model again", "{0} 没有嵌入；请重新转换模型"},
    // Tokenizers.
    {"the tokenizer has {#0} ids, the model {#1}; the tokenizer belongs to another model, put this model's "
     "own tokenizer files "
     "there",
     "分词器有 {0} 个编号，模型有 {1} 个；分词器属于另一模型，请放入该模型自己的分词器文件"},
    {"{0} \"{1}\" has the id {#2}, but the model has only {#3} rows: enlarge its embedding "
     "(resize_token_embeddings in "
     "transformers), or take the original tokenizer files",
     "{0} \"{1}\" 的编号是 {2}，而模型只有 {3} 行：请扩大嵌入（transformers 的 "
     "resize_token_embeddings），或使用原来的分词器文件"},
    {"\"{0}\" is not a token of {1}; leave it out, or name one that its vocabulary has",
     "“{0}” 不是 {1} 的词元；请去掉，或写一个其词表中有的词元"},
    {"{0} \"{1}\" is not a token of {2}; are these files of one model?",
     "{0} \"{1}\" 不是 {2} 中的词元；这些文件属于同一模型吗？"},
    {"{0} names \"{1}\", which is not in the vocabulary", "{0} 提到 \"{1}\"，它不在词表中"},
    {"{0} is neither a SentencePiece model nor a tiktoken file; copy or download it again",
     "{0} 既不是 SentencePiece 模型，也不是 tiktoken 文件；请重新复制或下载"},
    {"{0} is not a whole SentencePiece model (cut short or damaged); copy or download it again",
     "{0} 不是完整的 SentencePiece 模型（被截断或已损坏）；请重新复制或下载"},
    {"{0} asks for the special token \"{1}\", which is not in the vocabulary; copy the model's folder again",
     "{0} 要求特殊词元 \"{1}\"，它不在词表中；请重新复制模型文件夹"},
    {"{0} holds no vocabulary: tokenizer.json, qwen.tiktoken, tokenizer.model, or vocab.json with merges.txt "
     "is needed; copy "
     "the model's folder again",
     "{0} 没有词表：需要 tokenizer.json、qwen.tiktoken、tokenizer.model，或 vocab.json 与 "
     "merges.txt；请重新复制模型文件夹"},
    {"{0} holds vocab.json and merges.txt but no tokenizer.json, and the tokenizer_class \"{1}\" of "
     "tokenizer_config.json does "
     "not say how text is cut into words (GPT2Tokenizer and Qwen2Tokenizer do): make tokenizer.json with "
     "transformers, {2}",
     "{0} 有 vocab.json 和 merges.txt 而没有 tokenizer.json，且 tokenizer_config.json 的 tokenizer_class "
     "\"{1}\" "
     "没有说明如何切词（GPT2Tokenizer 和 Qwen2Tokenizer 会）：请用 transformers 生成 tokenizer.json，{2}"},
    {"\"{0}\" is not supported", "不支持 \"{0}\""},
    {"is missing, which is not supported", "缺失，不支持这种情况"},
    {"is not an object", "不是对象"},
    {"is not an integer", "不是整数"},
    {"is not a token id", "不是词元编号"},
    {"is not supported", "不支持"},
    // Adapters and whole results.
    {"adapter_config.json names {0} as its base, which is a name on a model hub: download that model and "
     "give its folder with "
     "--model DIR",
     "adapter_config.json 以 {0} 为基座，这是模型库中的名称：请下载该模型，并用 --model 目录 指明其文件夹"},
    {"adapter_config.json names {0} as its base, where there is nothing: download that model and give its "
     "folder with --model "
     "DIR",
     "adapter_config.json 以 {0} 为基座，而那里什么也没有：请下载该模型，并用 --model 目录 指明其文件夹"},
    {"adapter_config.json names no base: give its folder with --model DIR",
     "adapter_config.json 没有指明基座：请用 --model 目录 指明其文件夹"},
    {"option {0} is not supported by this version; merge the adapter with PEFT (merge_and_unload) and use "
     "the merged model",
     "本版本不支持选项 {0}；请用 PEFT 合并适配器（merge_and_unload），再使用合并后的模型"},
    {"{0} holds no adapter_model.safetensors and no adapter_model.bin; copy the adapter's folder again",
     "{0} 没有 adapter_model.safetensors 和 adapter_model.bin；请重新复制适配器的文件夹"},
    {"tensor {0} has no other half, {1}", "张量 {0} 缺少另一半 {1}"},
    {"tensor {0} is no lora_A or lora_B of a linear layer, and of no module that modules_to_save names: "
     "adapters of embeddings are not read, merge it with PEFT",
     "张量 {0} 不是线性层的 lora_A 或 lora_B，也不属于 modules_to_save 列出的模块：不读取嵌入的适配器，请用 "
     "PEFT 合并"},
    {"modules_to_save: this model has no module \"{0}\" (it has {1})",
     "modules_to_save：此模型没有模块 \"{0}\"（它有 {1}）"},
    {"modules_to_save: {0} is this model's embedding (tie_word_embeddings) and cannot be trained alone: name "
     "{1} instead, which is both",
     "modules_to_save：{0} 就是此模型的嵌入（tie_word_embeddings），不能单独训练：请改写 {1}，它两者都是"},
    {"method.targets: the regular expression '{0}' matches the whole name of no linear layer of this model "
     "(they end with {1})",
     "method.targets：正则表达式 '{0}' 与此模型任何线性层的全名都不匹配（它们的结尾是 {1}）"},
    {"the adapter changes no layer", "适配器没有改动任何层"},
    {"the adapter changes {0}, which is no linear layer of this model's blocks ({1}): adapters of other "
     "layers are not read, "
     "merge it with PEFT",
     "适配器改动了 {0}，它不是此模型各块的线性层（{1}）：不读取其他层的适配器，请用 PEFT 合并"},
    {"the adapter's shapes do not fit {0}: it belongs to another model",
     "适配器的形状与 {0} 不符：它属于另一模型"},
    {"the model has no weight {0} that the adapter changes: it belongs to another model",
     "模型没有适配器所改动的权重 {0}：它属于另一模型"},
    {"the adapter changes lm_head, which this model has in common with its embedding (tie_word_embeddings) "
     "and which cannot be "
     "changed alone: merge it with PEFT",
     "适配器改动了 lm_head，而此模型的 lm_head 与嵌入共用（tie_word_embeddings），不能单独改动：请用 PEFT "
     "合并"},
    {"--base has no meaning for {0}: a full fine-tuning leaves a whole model, which needs no base",
     "--base 对 {0} 没有意义：全量微调留下的是完整的模型，不需要基座"},
    {"{0}: entry {1}: MMLU has no subject \"{2}\", the nearest that it has: {3}",
     "{0}：第 {1} 项：MMLU 没有科目 \"{2}\"，最接近的是：{3}"},
    {"{0}: entry {1}: MMLU has no subject \"{2}\"; take it out",
     "{0}：第 {1} 项：MMLU 没有科目 \"{2}\"；请删去"},
    {"{0}: entry {1}: the answer is \"{2}\"; it must be A, B, C or D",
     "{0}：第 {1} 项：答案是 \"{2}\"；必须是 A、B、C 或 D"},
    {"{0}: entry {1}: '{2}' is missing or no text", "{0}：第 {1} 项：缺少 '{2}'，或它不是文本"},
    {"{0}: expects a JSON list of MMLU's questions, each {{input, output, subject}}",
     "{0}：应为 MMLU 题目的 JSON 列表，每项为 {{input, output, subject}}"},
    {"question {0} ({1}) has {2} tokens and the model takes {3}: --max-length {4} cuts it",
     "第 {0} 题（{1}）有 {2} 个词元，模型最多接受 {3} 个：--max-length {4} 会截断它"},
    {"--bits '{0}' is none of: 4, 8", "--bits '{0}' 不是以下之一：4、8"},
    {"--bits stands beside --base: give one of the two", "--bits 与 --base 并列：请只给其一"},
    {"--base '{0}' is none of: auto, stored, dequantised",
     "--base '{0}' 不是以下之一：auto、stored、dequantised"},
    {"dtype '{0}' is none of: auto, fp32, bf16, fp16", "dtype '{0}' 不是以下之一：auto、fp32、bf16、fp16"},
    {"{0} is there already: give a new folder", "{0} 已经存在：请给出新的文件夹"},
    {"method.targets: this model has no linear layer \"{0}\" that takes an adapter (it has {1})",
     "method.targets：此模型没有可加适配器的线性层 \"{0}\"（它有 {1}）"},
    {"base model {0}, {1}, as in training", "基座模型 {0}，{1}，与训练时相同"},
    {"base model {0}, {1}, not as in training: answers may differ",
     "基座模型 {0}，{1}，与训练时不同：答案可能不同"},
    // Training and checkpoints.
    {"out of memory: lower train.max_length or train.micro_batch, or use qlora",
     "内存不足：请调低 train.max_length 或 train.micro_batch，或使用 qlora"},
    {"a checkpoint needs {#0} bytes, {#1} are free in {2}: make room; the previous checkpoint is untouched",
     "检查点需要 {0} 字节，{2} 只剩 {1}：请腾出空间；之前的检查点未受影响"},
    {"{0} differs from its manifest: the checkpoint is damaged", "{0} 与其清单不符：检查点已损坏"},
    {"{0} has no step: the checkpoint is damaged", "{0} 没有步数：检查点已损坏"},
    {"{0} is missing: the checkpoint is damaged", "缺少 {0}：检查点已损坏"},
    {"{0} is not the manifest that was committed: the checkpoint is damaged",
     "{0} 不是当初提交的清单：检查点已损坏"},
    {"{0} has {#1} bytes, its manifest says {#2}: the checkpoint is damaged",
     "{0} 有 {1} 字节，其清单记为 {2}：检查点已损坏"},
    {"{0} is that of step {#1}: the checkpoint is damaged", "{0} 属于第 {1} 步：检查点已损坏"},
    {"<0>; going on from {1} instead", "<0>；改从 {1} 继续"},
    {"<0>; there is no older one", "<0>；没有更早的检查点"},
    {"<0>; no older one can be taken either, of {#1}", "<0>；更早的 {1} 个也都不能用"},
    {"checkpoint {0} was made with {1}: submit a new job, or restore what it was made with",
     "检查点 {0} 是用 {1} 做的：请提交新任务，或恢复当时所用的"},
    {"checkpoint {0} was made on '{1}', this is '{2}': results would differ in the last bits; set "
     "allow_numeric_change: true",
     "检查点 {0} 做于 '{1}'，这里是 '{2}'：结果的末位会不同；请设置 allow_numeric_change: true"},
};

}  // namespace

std::span<const Template> ModelTemplates() { return kTemplates; }

}  // namespace ft::client
