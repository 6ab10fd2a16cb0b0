#include "client/render/templates.h"

namespace ft::client {
namespace {

// Whole texts of help, known by all of their English. Examples keep the columns of what they show.
constexpr Template kTexts[] = {
    // ftctl --help.
    {"ftctl fine-tunes language models: it sends jobs to finetuned, the coordinator,\n"
     "shows how they go, and talks to the result.\n",
     "ftctl 用于微调语言模型：向协调器 finetuned 提交任务，查看任务进展，\n并与训练结果对话。\n"},
    {"Start here:\n"
     "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
     "                              train on your own file; no daemon needed\n"
     "  ftctl chat qa               talk to the result\n"
     "  ftctl up                    keep a private coordinator and worker running\n"
     "  ftctl submit job.yaml --wait\n"
     "  ftctl doctor                when something does not work\n"
     "\n"
     "`ftctl VERB --help` shows a verb's options with examples.\n"
     "Exit status: 0 ok, 1 the job or request failed, 2 usage or invalid file,\n"
     "3 coordinator unavailable.",
     "从这里开始：\n"
     "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
     "                              用自己的文件训练，无需守护进程\n"
     "  ftctl chat qa               与训练结果对话\n"
     "  ftctl up                    让私有的协调器和工作进程保持运行\n"
     "  ftctl submit job.yaml --wait\n"
     "  ftctl doctor                遇到问题时检查本机\n"
     "\n"
     "`ftctl VERB --help` 显示某个命令的选项和示例。\n"
     "退出码：0 成功，1 任务或请求失败，2 用法错误或文件无效，3 协调器不可用。"},
    {"Train a model", "训练模型"},
    {"Look at jobs", "查看任务"},
    {"Steer jobs", "控制任务"},
    {"Use the result (a job's name or a folder; needs no daemon)",
     "使用结果（给出任务名或文件夹；无需守护进程）"},
    {"Machines and this program", "机器与本程序"},
    {"Print the version", "显示版本"},
    {"Coordinator: socket path or HOST:PORT", "协调器：套接字路径或 HOST:PORT"},
    {"Who signs the certificate of HOST:PORT (PEM)", "为 HOST:PORT 签发证书的 CA（PEM）"},
    {"Your token for HOST:PORT", "访问 HOST:PORT 的令牌"},
    {"table or json", "table（表格）或 json"},
    {"This list, or one verb's options", "显示本列表，或某个命令的选项"},
    {"A verb", "命令"},
    {"Name or id of the job", "任务的名称或编号"},
    // Training.
    {"Train on your own file; no daemon needed", "用自己的文件训练，无需守护进程"},
    {"Job file or recipe, instead of --model and --data", "任务文件或配方，代替 --model 和 --data"},
    {"Folder in Hugging Face layout, .gguf file, hf:// address",
     "Hugging Face 布局的文件夹、.gguf 文件或 hf:// 地址"},
    {"Make a recipe's data of a published file", "由公开文件生成配方所需数据"},
    {"Titles and abstracts by category and date", "按类别和日期选取标题与摘要"},
    {"Kaggle's file of Cornell-University/arxiv", "Kaggle 的 Cornell-University/arxiv 文件"},
    {"File to write", "要写入的文件"},
    {"One of them is enough (cs.AI cs.CL cs.CV)", "满足其一即可（cs.AI cs.CL cs.CV）"},
    {"Changed since (2020-01-01)", "自此日期起有改动（2020-01-01）"},
    {"Example: ftctl preprocess arxiv snapshot.json data/arxiv_data.json",
     "示例：ftctl preprocess arxiv snapshot.json data/arxiv_data.json"},
    {"xlsx, csv, json, jsonl, txt or parquet; may be repeated",
     "xlsx、csv、json、jsonl、txt 或 parquet；可重复"},
    {"Name of the job (the data file's)", "任务名（默认取数据文件名）"},
    {"Change one setting; may be repeated", "修改一项设置；可重复"},
    {"Columns: input=QUESTION,output=ANSWER", "指明各列：input=问题列,output=答案列"},
    {"Start without showing the plan", "不显示计划，直接开始"},
    {"Starts a private coordinator and worker if none runs; the last run stops them.\n"
     "Ctrl-C saves a checkpoint and stops; the same command goes on from there.\n"
     "Examples:\n"
     "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
     "  ftctl run --model m.gguf --data qa.csv --name faq --set train.epochs=1\n"
     "  ftctl run --model m.gguf --data qa.csv --map input=Ask,output=Reply",
     "若没有私有的协调器和工作进程在运行，就启动它们；最后一个 run 结束时停止它们。\n"
     "Ctrl-C 保存检查点后停止；重复同一命令即可从该处继续。\n"
     "示例：\n"
     "  ftctl run --model ./SmolLM2-135M-Instruct --data qa.xlsx\n"
     "  ftctl run --model m.gguf --data qa.csv --name faq --set train.epochs=1\n"
     "  ftctl run --model m.gguf --data qa.csv --map input=问题,output=答案"},
    {"Send a job file to the coordinator", "向协调器提交任务文件"},
    {"Follow it; the exit status is the job's", "跟随到结束；退出码即任务的结果"},
    {"Check and print all settings, start nothing", "只检查并显示全部设置，不启动"},
    {"Repeat an attempt whose answer was lost", "重复一次未收到答复的提交"},
    {"Settings with reasons, steps, memory, time; no start", "显示设置及理由、步数、内存和用时，不启动"},
    {"Columns and samples as the model will see them", "显示各列，以及模型将看到的样本"},
    {"Model instead of a job file", "模型，代替任务文件"},
    {"Data instead of a job file; may be repeated", "数据，代替任务文件；可重复"},
    {"Job file, recipe, or - for standard input", "任务文件、配方，或 - 表示标准输入"},
    {"A GPU of this kind; it need not be at hand", "这一型号的 GPU；手边不必有"},
    {"So many, for a plan without data at hand", "记录条数，用于手边没有数据时的计划"},
    {"Of a recipe neither model nor data have to be at hand.\n"
     "Examples:\n"
     "  ftctl plan job.yaml --set train.max_length=512\n"
     "  ftctl plan llama2_7b_qlora_sql_e3 --records 78577\n"
     "  ftctl plan llama2_7b_qlora_sql_e3 --card rtx4090-24g",
     "对于配方，手边不必有模型和数据。\n"
     "示例：\n"
     "  ftctl plan job.yaml --set train.max_length=512\n"
     "  ftctl plan llama2_7b_qlora_sql_e3 --records 78577\n"
     "  ftctl plan llama2_7b_qlora_sql_e3 --card rtx4090-24g"},
    {"A ZeRO setting, or DeepSpeed's JSON file", "ZeRO 设置，或 DeepSpeed 的 JSON 文件"},
    {"Methods by family of models", "按模型家族列出方法"},
    {"As -o json", "同 -o json"},
    {"Check a job file and print what it sets; start nothing", "检查任务文件并显示其设置；不启动任何任务"},
    {"Example: ftctl validate job.yaml --deepspeed ds_config.json",
     "示例：ftctl validate job.yaml --deepspeed ds_config.json"},
    {"Paths in the file are relative to the file. Prints the job's id.\n"
     "Examples:\n"
     "  ftctl submit job.yaml --wait\n"
     "  ftctl submit job.yaml --set train.epochs=1 --set method.rank=16\n"
     "  ftctl submit llama2_7b_qlora_sql_e3 --set model.source=./Llama-2-7b-hf",
     "文件中的路径相对于该文件。输出任务的编号。\n"
     "示例：\n"
     "  ftctl submit job.yaml --wait\n"
     "  ftctl submit job.yaml --set train.epochs=1 --set method.rank=16\n"
     "  ftctl submit llama2_7b_qlora_sql_e3 --set model.source=./Llama-2-7b-hf"},
    // Recipes.
    {"Ready-made settings of XTuner's recipes", "XTuner 各配方的现成设置"},
    {"All names, one a line", "全部名称，每行一个"},
    {"Of one base model, e.g. internlm_7b", "某个基础模型的，例如 internlm_7b"},
    {"qlora, int8_lora or full", "qlora、int8_lora 或 full"},
    {"Of one task, e.g. oasst1_e3", "某个任务的，例如 oasst1_e3"},
    {"Without the ZeRO settings (for --deepspeed)", "不含 ZeRO 设置（用于 --deepspeed）"},
    {"The whole job file that it stands for", "它所代表的完整任务文件"},
    {"A recipe, or a file that starts from one", "配方，或以配方为起点的文件"},
    {"Example: ftctl recipe show internlm_7b_qlora_oasst1_e3 > my.yaml",
     "示例：ftctl recipe show internlm_7b_qlora_oasst1_e3 > my.yaml"},
    {"The settings in which two differ", "两者不同的设置"},
    {"Another", "另一个"},
    {"A job file starts from one with `recipe: NAME`; docs/recipes.md has more.\n"
     "Examples:\n"
     "  ftctl recipe list --model llama2_7b\n"
     "  ftctl recipe diff llama2_7b_qlora_sql_e3 llama2_7b_qlora_oasst1_e3",
     "任务文件写上 `recipe: 名称` 即以它为起点；详见 docs/recipes.md。\n"
     "示例：\n"
     "  ftctl recipe list --model llama2_7b\n"
     "  ftctl recipe diff llama2_7b_qlora_sql_e3 llama2_7b_qlora_oasst1_e3"},
    {"Example: ftctl preview --model ./SmolLM2-135M-Instruct --data qa.xlsx",
     "示例：ftctl preview --model ./SmolLM2-135M-Instruct --data qa.xlsx"},
    // Looking at jobs.
    {"All jobs, newest first", "全部任务，最新的在前"},
    {"At most so many jobs (50)", "最多显示的任务数（50）"},
    {"Of this namespace (default)", "所属的命名空间（default）"},
    {"A state with '?' is the last one known: its node is out of contact.\nExample: ftctl list -o json",
     "状态后的“?”表示节点失去联系，所示为最后已知的状态。\n示例：ftctl list -o json"},
    {"One job: state, progress, data, result", "一个任务：状态、进度、数据、结果"},
    {"Print the job file as it was given", "按提交时的原样显示任务文件"},
    {"Print the settings with every default", "显示全部设置，包括各默认值"},
    {"Examples:\n  ftctl get qa\n  ftctl get qa --config > job.yaml      start another one from it",
     "示例：\n  ftctl get qa\n  ftctl get qa --config > job.yaml      据此开始另一个任务"},
    {"Progress, loss curve, speed and time left", "进度、损失曲线、速度和剩余时间"},
    {"Ctrl-C stops watching; the job goes on. Ends with the job, with its exit status.",
     "Ctrl-C 只停止查看，任务继续运行。随任务一同结束，退出码即任务的结果。"},
    {"What the ranks of a job print", "任务各进程的输出"},
    {"Go on until the job has ended", "持续输出，直到任务结束"},
    {"Only this rank", "只看该编号的进程"},
    {"Of this attempt (the newest)", "第几次尝试（默认最新一次）"},
    {"Start so many bytes before the end", "从距末尾这么多字节处开始"},
    {"stdout, stderr or all", "stdout、stderr 或 all"},
    {"Examples:\n  ftctl logs qa -f\n  ftctl logs qa --stream stderr --tail 4096",
     "示例：\n  ftctl logs qa -f\n  ftctl logs qa --stream stderr --tail 4096"},
    {"What happened, and why", "发生了什么，以及原因"},
    {"A job or a node; all without it", "任务或节点；不给则为全部"},
    {"Go on with what happens from now on", "持续显示此后发生的事件"},
    {"At most so many, the newest (200)", "最多显示多少条，取最新的（200）"},
    {"Loss, rate, speed and memory of each step", "每一步的损失、学习率、速度和内存"},
    {"From this step on", "从这一步开始"},
    {"Up to this step", "到这一步为止"},
    {"Example: ftctl metrics qa -o json > steps.json", "示例：ftctl metrics qa -o json > steps.json"},
    {"Why a job waits, and what would let it run", "任务为何等待，怎样才能运行"},
    {"Committed checkpoints of a job", "任务已提交的检查点"},
    {"First step and tensor in which two runs differ", "两次运行最先出现差异的步和张量"},
    {"Job or run folder", "任务或运行文件夹"},
    {"Compares the samples of every step, and digests of gradients and weights of\n"
     "those that both recorded.\n"
     "Exit status: 0 equal, 1 different.",
     "逐步比较样本，并比较双方都有记录的步的梯度和权重摘要。\n退出码：0 相同，1 不同。"},
    // Steering jobs.
    {"End a job for good", "永久结束任务"},
    {"Kept with the job", "随任务保存的原因"},
    {"Its checkpoints stay until `ftctl delete`. To go on later, use `ftctl pause`.",
     "检查点保留到 `ftctl delete` 为止。若以后要继续，请用 `ftctl pause`。"},
    {"Take a checkpoint and free the devices", "保存检查点并释放设备"},
    {"Until it is paused", "等到任务已暂停"},
    {"Go on with a paused job from its checkpoint", "从检查点继续已暂停的任务"},
    {"Follow it to its end", "跟随到任务结束"},
    {"Remove an ended job and all its files", "删除已结束的任务及其全部文件"},
    {"Checkpoints and adapter go too: `ftctl export JOB DIR` first keeps the adapter.",
     "检查点和适配器也会删除：先用 `ftctl export JOB DIR` 可保留适配器。"},
    // Using the result.
    {"Talk to a tuned model, or to a plain one", "与微调后的模型或原模型对话"},
    {"MMLU, perplexity or answers of a model, tuned or not",
     "模型（微调后的或原模型）的 MMLU 得分、困惑度或回答"},
    {"Other options go to `ft-rank eval`; see ft-rank eval --help.\n"
     "Examples:\n  ftctl eval qa --mmlu five_shot_mmlu_val.json --max-length 2048\n"
     "  ftctl eval qa --perplexity held_out.jsonl\n"
     "  ftctl eval qa --prompts questions.txt",
     "其他选项传给 `ft-rank eval`，见 ft-rank eval --help。\n"
     "示例：\n  ftctl eval qa --mmlu five_shot_mmlu_val.json --max-length 2048\n"
     "  ftctl eval qa --perplexity held_out.jsonl\n"
     "  ftctl eval qa --prompts questions.txt"},
    {"Job, run folder, adapter or model", "任务、运行文件夹、适配器或模型"},
    {"Job, run folder or adapter", "任务、运行文件夹或适配器"},
    {"Coordinator to ask for the job", "向哪个协调器查询任务"},
    {"Other options go to `ft-rank chat`; see ft-rank chat --help.\n"
     "Examples:\n  ftctl chat qa\n  ftctl chat qa --prompt \"Who are you?\"\n  ftctl chat "
     "./SmolLM2-135M-Instruct",
     "其他选项传给 `ft-rank chat`，见 ft-rank chat --help。\n"
     "示例：\n  ftctl chat qa\n  ftctl chat qa --prompt \"你是谁？\"\n  ftctl chat ./SmolLM2-135M-Instruct"},
    {"Adapter and base as one model that answers as chat does",
     "把适配器与基座合并为一个模型，回答与 chat 一致"},
    {"New folder for the model", "存放模型的新文件夹"},
    {"The result is in Hugging Face layout. Other options go to `ft-rank merge`.\n"
     "Examples:\n  ftctl merge qa ./qa-model\n"
     "  ftctl merge qa ./qa-model --base stored   over the base as it is stored, not\n"
     "         as the job saw it: answers may differ from those of chat",
     "结果为 Hugging Face 布局。其他选项传给 `ft-rank merge`。\n"
     "示例：\n  ftctl merge qa ./qa-model\n"
     "  ftctl merge qa ./qa-model --base stored   使用存储的基座，而非任务所见的\n"
     "         基座：回答可能与 chat 不同"},
    {"The result: an adapter as PEFT reads it, or a model", "导出结果：PEFT 可读取的适配器，或模型"},
    {"New folder for the adapter", "存放适配器的新文件夹"},
    {"Other options go to `ft-rank export`.\n"
     "Example: ftctl export qa ./qa-adapter --base dequantised   also writes the base\n"
     "         model as the job saw it",
     "其他选项传给 `ft-rank export`。\n"
     "示例：ftctl export qa ./qa-adapter --base dequantised   同时写出任务所见的\n"
     "      基座模型"},
    {"A model file into another format", "把模型文件转换为另一种格式"},
    {"All arguments go to `ft-rank convert`.\nExample: ftctl convert model.gguf ./model",
     "全部参数传给 `ft-rank convert`。\n示例：ftctl convert model.gguf ./model"},
    // Machines and this program.
    {"Start a private coordinator and worker", "启动私有的协调器和工作进程"},
    {"Of the coordinator (a free port)", "协调器的指标地址（默认取空闲端口）"},
    {"Of the worker (a free port)", "工作进程的指标地址（默认取空闲端口）"},
    {"They keep running until `ftctl down`; jobs, logs and results stay on disk.",
     "它们一直运行到 `ftctl down`；任务、日志和结果保留在磁盘上。"},
    {"Stop what `up` started", "停止 `up` 所启动的"},
    {"A job that runs goes on from its last checkpoint after the next `ftctl up`;\n"
     "`ftctl pause JOB --wait` first saves the very last step.",
     "正在运行的任务会在下次 `ftctl up` 后从最近的检查点继续；\n"
     "先用 `ftctl pause JOB --wait` 可保存到最后一步。"},
    {"Machines, their devices and free memory", "机器、设备和可用内存"},
    {"Forget a node that is gone for good", "移除不再使用的节点"},
    {"As `ftctl nodes` names it", "节点名，见 `ftctl nodes`"},
    {"Checkpoint what runs on a node and move it elsewhere", "为节点上运行的任务保存检查点，并移往别处"},
    {"Until nothing runs there", "等到节点上没有任务运行"},
    {"What is kept here of model hubs", "本机保存的模型库内容"},
    {"Models and data, their sizes and revisions", "模型和数据、其大小与版本"},
    {"Remove a model or data set, all revisions", "删除一个模型或数据集（全部版本）"},
    {"Download it now, for instance before going offline", "立即下载，例如在断网之前"},
    {"hf:// or modelscope:// address, with datasets/ for data",
     "hf:// 或 modelscope:// 地址；数据加 datasets/"},
    {"Of data: its configuration", "数据：其配置（子集）"},
    {"Of data: only what lies below it", "数据：只取该文件夹之下的内容"},
    {"Of data: its split (train)", "数据：其划分（默认 train）"},
    {"Of a model: all but its weights", "模型：除权重外的全部文件"},
    {"The caches are those of the Python clients: HF_HUB_CACHE, MODELSCOPE_CACHE.\n"
     "Examples:\n"
     "  ftctl cache fetch hf://Qwen/Qwen2.5-0.5B-Instruct\n"
     "  ftctl cache fetch modelscope://datasets/damo/MSAgent-Bench\n"
     "  ftctl cache remove hf://Qwen/Qwen2.5-0.5B-Instruct",
     "缓存与 Python 客户端共用：HF_HUB_CACHE、MODELSCOPE_CACHE。\n"
     "示例：\n"
     "  ftctl cache fetch hf://Qwen/Qwen2.5-0.5B-Instruct\n"
     "  ftctl cache fetch modelscope://datasets/damo/MSAgent-Bench\n"
     "  ftctl cache remove hf://Qwen/Qwen2.5-0.5B-Instruct"},
    {"The node takes nothing new until `ftctl uncordon`.", "在 `ftctl uncordon` 之前，节点不接受新任务。"},
    {"Start nothing new on a node", "不再在节点上启动新任务"},
    {"Start jobs on a node again", "恢复在节点上启动任务"},
    {"What this machine lacks, and what to do", "检查本机缺少什么，应如何处理"},
    {"Exit status: 0 no problem, 1 some. Notes are no problems.",
     "退出码：0 没有问题，1 有问题。“提示”不算问题。"},
    {"What this version runs, and what it refuses", "本版本支持和不支持的组合"},
    {"Of ftctl and of the coordinator", "ftctl 和协调器的版本"},
    {"A script that completes verbs and options", "补全命令和选项的脚本"},
    {"bash", "bash"},
    {"Use: source <(ftctl completion)", "用法：source <(ftctl completion)"},
};

}  // namespace

std::span<const Template> HelpTexts() { return kTexts; }

}  // namespace ft::client
