#include "client/render/templates.h"

namespace ft::client {
namespace {

constexpr Template kTemplates[] = {
    // The gate.
    {"{#0} of {#1} sample is refused:", "{1} 条样本中有 {0} 条被拒绝："},
    {"{#0} of {#1} samples are refused:", "{1} 条样本中有 {0} 条被拒绝："},
    {"and {#0} more", "另有 {0} 条"},
    {"To do about {#0} (<1>): <2>", "其中 {0} 条（<1>）的办法：<2>"},
    {"the question is empty", "问题为空"},
    {"the result of a tool is empty", "工具的结果为空"},
    {"the answer or text is empty", "答案或文本为空"},
    {"no token carries loss", "没有参与训练的词元"},
    {"no token carries loss once the sample is cut to train.max_length, because the question alone fills it",
     "样本截到 train.max_length 后没有参与训练的词元，因为问题本身就占满了"},
    {"the token that ends the answer carries no loss, so the model would not learn to stop",
     "结束答案的词元不参与训练，模型学不会停下"},
    {"the beginning-of-sequence token stands twice", "序列起始词元出现了两次"},
    {"fill in the empty questions, or delete their records", "请补上空的问题，或删除这些记录"},
    {"write what the tool gave, for example null, or delete the records",
     "请写上工具返回的内容（例如 null），或删除这些记录"},
    {"fill in the empty answers, or allow them with gate: {allow_empty_output: true}",
     "请补上空的答案，或用 gate: {allow_empty_output: true} 放行"},
    {"give every record an answer, or drop such records with gate: {allow_unsupervised: true}",
     "请为每条记录写上答案，或用 gate: {allow_unsupervised: true} 丢弃这些记录"},
    {"raise train.max_length, or drop such records with gate: {allow_unsupervised: true}",
     "请调高 train.max_length，或用 gate: {allow_unsupervised: true} 丢弃这些记录"},
    {"choose a template whose answers end with their stop token", "请选择答案以停止词元结尾的模板"},
    {"take the beginning-of-sequence text out of the data", "请从数据中去掉序列起始文本"},
    {"{#0} of <1> ({2}) is longer than train.max_length {#3} and would be cut, more than gate.max_truncated "
     "{#4} allows; the "
     "longest has <5>; raise train.max_length, or allow it with gate: {allow_truncation: true}",
     "<1>中有 {0} 条（{2}）超过 train.max_length {3}，会被截断，多于 gate.max_truncated {4} "
     "所允许的；最长的有 <5>；请调高 "
     "train.max_length，或用 gate: {allow_truncation: true} 放行"},
    {"{#0} of <1> ({2}) are longer than train.max_length {#3} and would be cut, more than gate.max_truncated "
     "{#4} allows; the "
     "longest has <5>; raise train.max_length, or allow it with gate: {allow_truncation: true}",
     "<1>中有 {0} 条（{2}）超过 train.max_length {3}，会被截断，多于 gate.max_truncated {4} "
     "所允许的；最长的有 <5>；请调高 "
     "train.max_length，或用 gate: {allow_truncation: true} 放行"},
    {"{0} holds no records; give a file with at least one", "{0} 没有记录；请给出至少有一条记录的文件"},
    {"no sample of {#0} record is left to train on; {#1} dropped, with nothing that carries loss",
     "{0} 条记录中没有可训练的样本；丢弃了 {1} 条无可学内容的"},
    {"no sample of {#0} records is left to train on; {#1} dropped, with nothing that carries loss",
     "{0} 条记录中没有可训练的样本；丢弃了 {1} 条无可学内容的"},
    {"data: names no source; give at least one file", "data: 没有列出来源；请至少给出一个文件"},
    {"{0} is one file, and subset, folder and split choose files of a folder; take them out",
     "{0} 是单个文件，而 subset、folder 和 split 用于选择文件夹中的文件；请去掉"},
    {"{0} holds more than 200,000 files; name a folder in it",
     "{0} 的文件超过 200,000 个；请指明其中的文件夹"},
    {"{0}: of the folder's {#1} files {#2} are read: {3}", "{0}：文件夹的 {1} 个文件中读取 {2} 个：{3}"},
    {"{0}: of the folder's {#1} files {#2} is read: {3}", "{0}：文件夹的 {1} 个文件中读取 {2} 个：{3}"},
    {"{0}: weight {1}: an epoch holds its {#2} records {#3} times in all, chosen by train.seed",
     "{0}：weight {1}：每轮共取其 {2} 条记录 {3} 次，由 train.seed 选定"},
    {"{0}: weight {1}: an epoch holds its {#2} record {#3} times in all, chosen by train.seed",
     "{0}：weight {1}：每轮共取其 {2} 条记录 {3} 次，由 train.seed 选定"},
    {"{0}: of the folder's {#1} file {#2} is read: {3}", "{0}：文件夹的 {1} 个文件中读取 {2} 个：{3}"},
    // Kinds of files.
    {"{0} is an old .xls or password-protected workbook; save it as .xlsx without a password",
     "{0} 是旧式 .xls 或有密码的工作簿；请另存为无密码的 .xlsx"},
    {"{0} holds no conversations, whose answers loss_on: chooses from; take loss_on: out",
     "{0} 不是对话数据，没有可供 loss_on: 选择的答案；请去掉 loss_on:"},
    {"{0} is no plain text; take documents: out", "{0} 不是纯文本；请去掉 documents:"},
    {"{0} is a newer workbook; call it .xlsx", "{0} 是较新的工作簿；请把扩展名改为 .xlsx"},
    {"{0} is a web page and no workbook, whatever its name says; open it in a spreadsheet program and save "
     "it as .xlsx",
     "{0} 实为网页而非工作簿；请用表格软件打开并另存为 .xlsx"},
    {"{0} is a workbook of the XML kind of 2003; open it in a spreadsheet program and save it as .xlsx",
     "{0} 是 2003 年的 XML 工作簿；请用表格软件打开并另存为 .xlsx"},
    {"{0} is text and no workbook, whatever its name says; if it is a table, call it .csv, or save it as "
     ".xlsx",
     "{0} 实为文本而非工作簿；若是表格，请改名为 .csv，或另存为 .xlsx"},
    {"{0} is no workbook; open it in a spreadsheet program and save it as .xlsx",
     "{0} 不是工作簿；请用表格软件打开并另存为 .xlsx"},
    {"{0} has no sheets; take sheet: out", "{0} 没有工作表；请去掉 sheet:"},
    {"{0} is a zip file; unpack it, or call it .xlsx if it is a workbook",
     "{0} 是 zip 文件；请解压，若是工作簿请改名为 .xlsx"},
    {"{0} is compressed; unpack it with gunzip", "{0} 是压缩文件；请用 gunzip 解压"},
    {"{0} is of no kind this version reads; give it as .json, .jsonl, .csv, .tsv, .txt, .xlsx or .parquet",
     "{0} 不是本版本能读取的类型；请提供 .json、.jsonl、.csv、.tsv、.txt、.xlsx 或 .parquet"},
    // Parquet.
    {"{0} is no parquet file, whatever its name says; download or copy it again",
     "{0} 实非 parquet 文件；请重新下载或复制"},
    {"{0} is no whole parquet file: it was probably cut off; download or copy it again",
     "{0} 不是完整的 parquet 文件，可能已被截断；请重新下载或复制"},
    {"{0} is encrypted; write it without encryption", "{0} 已加密；请不加密地重新写出"},
    {"{0} is damaged: its description cannot be read; download or copy it again",
     "{0} 已损坏：无法读取其描述；请重新下载或复制"},
    {"{0} is damaged: its columns make no tree; download or copy it again",
     "{0} 已损坏：各列不成树形；请重新下载或复制"},
    {"{0} holds columns nested more than 64 levels; write them flat", "{0} 的列嵌套超过 64 层；请展平后写出"},
    {"{0} has two columns that are called \"{1}\"; rename one of them",
     "{0} 有两列都叫 \"{1}\"；请改其一的名称"},
    {"{0}: column \"{1}\": its pages are packed with {2}, which is not read; write it with snappy, gzip or "
     "zstd",
     "{0}：列 \"{1}\"：其页用 {2} 压缩，不能读取；请用 snappy、gzip 或 zstd 写出"},
    {"{0}: column \"{1}\": a page is longer than 256 MiB; write it with smaller pages",
     "{0}：列 \"{1}\"：有一页超过 256 MiB；请用较小的页写出"},
    {"<0>: this record holds more than a million values; split it", "<0>：该记录的值超过一百万个；请拆分"},
    {"<0>: up to here the file has given 1,000 times its own size; save it as .jsonl if that is right",
     "<0>：至此该文件给出的内容已达自身大小的 1,000 倍；若确实如此，请另存为 .jsonl"},
    // Encodings.
    {"<0> holds a zero byte, so it is not text; save it as UTF-8 text",
     "<0> 含有零字节，不是文本；请存为 UTF-8 文本"},
    {"{0} mixes encodings: line {#1} is UTF-8, line {#2} is not; save the whole file as UTF-8",
     "{0} 混用了编码：第 {1} 行是 UTF-8，第 {2} 行不是；请把整个文件存为 UTF-8"},
    {"<0> is neither UTF-8 nor text in another encoding that is read ({1}); save the file as UTF-8",
     "<0> 既不是 UTF-8，也不是其他可读取的编码（{1}）；请把文件存为 UTF-8"},
    {"<0> is not UTF-8 and may be {1}; save the file as UTF-8",
     "<0> 不是 UTF-8，可能是 {1}；请把文件存为 UTF-8"},
    {"{0} is broken near byte {#1} ({2}); save the file as UTF-8",
     "{0} 在第 {1} 字节附近损坏（{2}）；请把文件存为 UTF-8"},
    // JSON.
    {"broken JSON: <0> (at: {1})", "JSON 有误：<0>（此处：{1}）"},
    {"{0} is no JSON; write null, or leave the key out", "{0} 不是合法的 JSON；请写 null 或去掉该键"},
    {"{0} is no JSON; write null or a text", "{0} 不是合法的 JSON；请写 null 或文本"},
    {"{0} is no JSON; JSON writes {1}", "{0} 不是合法的 JSON；JSON 写作 {1}"},
    {"text follows the record", "记录之后还有文本"},
    {"a record must begin with {", "记录必须以 { 开头"},
    {"it is nested more than 64 levels deep", "嵌套超过 64 层"},
    {"key \"{0}\" stands twice; keep one", "键 \"{0}\" 出现了两次；请保留一个"},
    {"a colon is missing between a key and its value", "键和值之间缺少冒号"},
    {"it ends too early", "结束得太早"},
    {"a comma is missing between two entries", "两项之间缺少逗号"},
    {"a comma stands before the closing {0}; remove it", "结尾的 {0} 之前有多余的逗号；请去掉"},
    {"keys stand in double quotes in JSON, not in single ones", "JSON 的键用双引号，不用单引号"},
    {"\"{0}\" stands where a key in double quotes belongs", "应为双引号中的键之处是 \"{0}\""},
    {"texts stand in double quotes in JSON, not in single ones", "JSON 的文本用双引号，不用单引号"},
    {"a value is missing", "缺少值"},
    {"\"{0}\" is no JSON value; put quotes around a text", "\"{0}\" 不是 JSON 的值；文本请加引号"},
    {"a text is not closed", "文本没有结束"},
    {"a tab stands in a text; write it as \\t", "文本中有制表符；请写作 \\t"},
    {"a control character stands in a text; write it as an escape such as \\n",
     "文本中有控制字符；请写作 \\n 这样的转义"},
    {"\"{0}\" is no escape of JSON; a backslash is written \\\\",
     "\"{0}\" 不是 JSON 的转义；反斜杠写作 \\\\"},
    {"\\u is followed by four hexadecimal digits in JSON", "JSON 中 \\u 之后应是四位十六进制数字"},
    {"a \\u escape is half of a character that needs two", "\\u 转义只是需要两个转义的字符的一半"},
    {"the value of \"{0}\" cannot be read", "\"{0}\" 的值无法读取"},
    {"this record has more than 1,024 keys", "此记录的键超过 1,024 个"},
    {"a comma or ] is missing between two records", "两条记录之间缺少逗号或 ]"},
    {"a comma stands before the closing ]; remove it", "结尾的 ] 之前有多余的逗号；请去掉"},
    {"a comma stands after a record; remove the commas between the lines, or put [ before the first record "
     "and ] behind the "
     "last",
     "记录之后有逗号；请去掉各行之间的逗号，或在第一条记录前加 [、最后一条后加 ]"},
    {"the file ends before the closing ]; it was probably cut off, copy it again",
     "文件在结尾的 ] 之前就结束了；可能被截断，请重新复制"},
    {"text follows the closing ]; keep one array in the file, or one record a line",
     "结尾的 ] 之后还有文本；文件中请只保留一个数组，或每行一条记录"},
    {"this record is longer than 16 MiB; split it, or, if the records lie in a list inside it, save that "
     "list alone",
     "此记录超过 16 MiB；请拆分，若各记录在其内部的列表中，请单独保存该列表"},
    {"this record is not closed before the end of the file; it was probably cut off",
     "此记录到文件末尾仍未结束；可能被截断"},
    {"this record is not closed before the end of the file", "此记录到文件末尾仍未结束"},
    {"a string is not closed on its line; write a line break as \\n", "字符串在本行没有结束；换行请写作 \\n"},
    {"this record is nested more than 64 levels deep", "此记录嵌套超过 64 层"},
    {"a record must be an object like {\"question\": ..., \"answer\": ...}, and this is a list; write its "
     "parts as "
     "{\"question\": ..., \"answer\": ...} (column {#0}, at: {1})",
     "记录必须是 {\"question\": ..., \"answer\": ...} 这样的对象，而这里是列表；请把各部分写作 "
     "{\"question\": ..., "
     "\"answer\": ...}（第 {0} 列：{1}）"},
    {"a record must be an object like {\"question\": ..., \"answer\": ...}, and this is a text; write "
     "{\"text\": ...} "
     "(column {#0}, at: {1})",
     "记录必须是 {\"question\": ..., \"answer\": ...} 这样的对象，而这里是文本；请写 {\"text\": ...}（第 {0} "
     "列：{1}）"},
    {"a record must be an object like {\"question\": ..., \"answer\": ...}, and this is none; if the file is "
     "plain text, call "
     "it .txt (column {#0}, at: {1})",
     "记录必须是 {\"question\": ..., \"answer\": ...} 这样的对象，而这里不是；若是纯文本，请改名为 .txt（第 "
     "{0} 列：{1}）"},
    // CSV and text.
    {"a quote opens here and is not closed before the end of the file", "此处的引号到文件末尾仍未结束"},
    {"a field is longer than 1 MiB; a quote that opens here is probably not closed",
     "字段超过 1 MiB；此处的引号可能没有结束"},
    {"a field is longer than 1 MiB; split it", "字段超过 1 MiB；请拆分"},
    {"text follows a closing quote; double the quotes that belong to the text",
     "结束的引号之后还有文本；属于文本的引号请写两个"},
    {"this row has more than 1,024 fields", "此行的字段超过 1,024 个"},
    {"this row has {#0} field, the header has {#1}; put quotes around text that holds the delimiter",
     "此行有 {0} 个字段，表头有 {1} 个；含分隔符的文本请加引号"},
    {"this row has {#0} fields, the header has {#1}; put quotes around text that holds the delimiter",
     "此行有 {0} 个字段，表头有 {1} 个；含分隔符的文本请加引号"},
    {"this row has {#0} fields, the header has one (\"{1}\"); put quotes around text that holds a comma, or, "
     "if every line is "
     "one text, call the file .txt",
     "此行有 {0} 个字段，表头只有一个（\"{1}\"）；含逗号的文本请加引号，若每行是一段文本，请改名为 .txt"},
    {"the header row is empty; name the columns in the first row", "表头行为空；请在第一行写上各列的名称"},
    {"two columns are called \"{0}\"; rename one of them", "有两列都叫 \"{0}\"；请给其中一列改名"},
    {"<0> is longer than 16 MiB; split it", "<0> 超过 16 MiB；请拆分"},
    {"the document that begins here is longer than 16 MiB; cut the file in parts",
     "从此处开始的文档超过 16 MiB；请把文件分成几部分"},
    {"the document that begins here is longer than 16 MiB; separate its parts by blank lines",
     "从此处开始的文档超过 16 MiB；请用空行分隔各部分"},
    // Workbooks.
    {"{0} has no sheet; add one", "{0} 没有工作表；请添加一个"},
    {"{0} has only hidden sheets; name one with sheet:, of: {1}",
     "{0} 只有隐藏的工作表；请用 sheet: 指明一个，可选：{1}"},
    {"{0} has no sheet \"{1}\"; its sheets are: {2}", "{0} 没有工作表 \"{1}\"；它的工作表有：{2}"},
    {"<0> is a chart and holds no rows; name another with sheet:, of: {1}",
     "<0> 是图表，没有数据行；请用 sheet: 指明另一个，可选：{1}"},
    {"cell {0} stands to the right of the header in row {#1}, which names {#2} column; name the column "
     "there, or clear the cell",
     "单元格 {0} 在第 {1} 行表头（共 {2} 列）的右侧；请为该列命名，或清空该单元格"},
    {"cell {0} stands to the right of the header in row {#1}, which names {#2} columns; name the column "
     "there, or clear the cell",
     "单元格 {0} 在第 {1} 行表头（共 {2} 列）的右侧；请为该列命名，或清空该单元格"},
    {"cell {0} holds \"{1}\" where a number belongs", "单元格 {0} 应为数字，却是 \"{1}\""},
    {"\"{0}\" holds the error {1}", "\"{0}\" 含有错误 {1}"},
    {"\"{0}\" holds a formula without a stored result; <1>", "\"{0}\" 含有没有存储结果的公式；<1>"},
    {"open the file in a spreadsheet program and save it", "请用表格软件打开文件并保存"},
    {"\"{0}\" holds merged cells at {1}; unmerge them and fill in every row, since a merged value belongs to "
     "one",
     "\"{0}\" 在 {1} 含有合并的单元格；请取消合并并填写每一行，因为合并的值只属于一行"},
    {"merged cells overlap; save or copy the file again", "合并的单元格互相重叠；请重新保存或复制文件"},
    {"<0> claims merged cells at \"{1}\"; save or copy the file again",
     "<0> 声称在 \"{1}\" 有合并的单元格；请重新保存或复制文件"},
    {"{0} is not a whole .xlsx workbook: <1>; save or copy it again",
     "{0} 不是完整的 .xlsx 工作簿：<1>；请重新保存或复制"},
    {"its part {0} declares a document type, which workbooks never do",
     "其部分 {0} 声明了文档类型，而工作簿从不如此"},
    {"its part {0} is broken near byte {#1} ({2})", "其部分 {0} 在第 {1} 字节附近损坏（{2}）"},
    {"{0} is not a whole zip file ({1}); save or copy it again",
     "{0} 不是完整的 zip 文件（{1}）；请重新保存或复制"},
    {"{0} holds more than 10,000 parts; save the sheet alone",
     "{0} 的部分超过 10,000 个；请单独保存该工作表"},
    {"{0} has no part {1}; save or copy it again", "{0} 缺少部分 {1}；请重新保存或复制"},
    {"{0} unpacks to more than {#1} MiB; save the sheet as .csv",
     "{0} 解压后超过 {1} MiB；请把工作表存为 .csv"},
    // Columns.
    {"<0>; the fields are: {1} (<2>)", "<0>；字段有：{1}（<2>）"},
    {"<0>; the fields are: {1}", "<0>；字段有：{1}"},
    {"row {#0} of sheet {1} names them; to read another sheet write sheet: with one of: {2}",
     "名称来自工作表 {1} 的第 {0} 行；要读另一个工作表，请写 sheet:，可选：{2}"},
    {"row {#0} of sheet {1} names them", "名称来自工作表 {1} 的第 {0} 行"},
    {"line {#0} names them", "名称来自第 {0} 行"},
    {"no fields look like question and answer", "看不出哪些字段是问题和答案"},
    {"both {0} and {1} may be the question", "{0} 和 {1} 都可能是问题"},
    {"both {0} and {1} may be the answer", "{0} 和 {1} 都可能是答案"},
    {"both {0} and {1} may be the system text; name one with map: {2}",
     "{0} 和 {1} 都可能是系统文本；请用 map: {2} 指明一个"},
    {"name them, perhaps (a guess by what the fields hold): <0>", "请指明各列，也许是（按内容猜测）：<0>"},
    {"name them: <0>", "请指明各列：<0>"},
    {"--map {0} (in a job file map: {1})", "--map {0} （任务文件中写 map: {1}）"},
    {"--set {0} (in a job file map: {1})", "--set {0} （任务文件中写 map: {1}）"},
    {"to learn plain text instead write --set data.format=text --set {0} (in a job file format: text and "
     "column: {1})",
     "若要学习纯文本，请写 --set data.format=text --set {0} （任务文件中写 format: text 和 column: {1}）"},
    {"the file is one object, and the records seem to lie under \"{0}\" (a list of {#1}); save that list "
     "alone, for example "
     "with jq {2}",
     "文件是单个对象，记录似乎在 \"{0}\" 之下（{1} 项的列表）；请单独保存该列表，例如用 jq {2}"},
    {"{0} holds samples that were tokenised elsewhere, of which choose: random takes none; use choose: first",
     "{0} 是在别处分词的样本，choose: random 不适用；请用 choose: first"},
    {"map: {0} says what the records are; take format: {1} out",
     "map: {0} 已说明记录的格式；请去掉 format: {1}"},
    {"map: {0} needs the field \"{1}\", which is not there", "map: {0} 需要字段 \"{1}\"，但数据里没有"},
    {"\"text\" holds nothing that begins with \"### Human:\" or \"### Assistant:\"; write a question and an "
     "answer, or "
     "delete the record",
     "\"text\" 中没有以 \"### Human:\" 或 \"### Assistant:\" 开头的部分；请写上问题和答案，或删除该记录"},
    {"\"text\" holds only one piece that begins with \"### Human:\" or \"### Assistant:\"; write a question "
     "and an "
     "answer, or delete the record",
     "\"text\" 中只有一个以 \"### Human:\" 或 \"### Assistant:\" 开头的部分；请写上问题和答案，或删除该记录"},
    {"\"text\" holds no text; write \"### Human: question ### Assistant: answer\"",
     "\"text\" 不是文本；请写成 \"### Human: 问题 ### Assistant: 答案\""},
    {"\"conversations\" must be a list of {from, value}", "\"conversations\" 必须是 {from, value} 的列表"},
    {"\"conversations\" has the role \"{0}\"; known are human and gpt",
     "\"conversations\" 中有角色 \"{0}\"；已知的是 human 和 gpt"},
    {"\"conversations\" cannot be read as a list of messages of MSAgent-Bench, written as a Python literal: "
     "<0>; mend or "
     "delete the record",
     "\"conversations\" 不能读作 MSAgent-Bench 的消息列表（Python 字面量）：<0>；请改正或删除该记录"},
    {"\"meta_instruction\" must be a text", "\"meta_instruction\" 必须是文本"},
    {"\"chat\" must be an object of turn_1, turn_2 and so on", "\"chat\" 必须是含有 turn_1、turn_2 等的对象"},
    {"\"chat\" has no object \"{0}\"", "\"chat\" 中没有对象 \"{0}\""},
    {"map: names columns, which goes with format: table, not with {0}",
     "map: 指明的是列，应与 format: table 而非 {0} 同用"},
    {"map: names no output; name the field that holds the answers",
     "map: 没有指明 output；请指明答案所在的字段"},
    {"map: names \"{0}\", which is not there", "map: 指明的 \"{0}\" 不存在"},
    {"column: names \"{0}\", which is not there", "column: 指明的 \"{0}\" 不存在"},
    {"format: {0} needs the field \"{1}\", which is not there", "format: {0} 需要字段 \"{1}\"，但它不存在"},
    {"if the list of messages has another name, give it with column:",
     "若消息列表另有名称，请用 column: 指明"},
    {"no field is a list of messages such as conversations or messages; give its name with column:",
     "没有字段是 conversations 或 messages 这样的消息列表；请用 column: 指明其名称"},
    {"several fields hold messages: {0} and {1}; name one with format: chat and column:",
     "有多个字段是消息列表：{0} 和 {1}；请用 format: chat 和 column: 指明一个"},
    {"\"{0}\" is missing; give every record this field", "缺少 \"{0}\"；请为每条记录写上此字段"},
    {"\"{0}\" holds a list or an object where text belongs", "\"{0}\" 应为文本，却是列表或对象"},
    {"\"{0}\" must be a list of [question, answer] pairs of texts",
     "\"{0}\" 必须是 [问题, 答案] 文本对的列表"},
    // Messages.
    {"message {#0} <1>", "第 {0} 条消息 <1>"},
    {"\"{0}\" must be a list of messages", "\"{0}\" 必须是消息列表"},
    {"an entry of \"conversation\" has no \"{0}\"", "\"conversation\" 的某一项没有 \"{0}\""},
    {"\"{0}\" of an entry of \"conversation\" must be text", "\"conversation\" 某一项的 \"{0}\" 必须是文本"},
    {"an entry of \"conversation\" must be an object", "\"conversation\" 的每一项都必须是对象"},
    {"an entry of \"conversation\" has the unknown key \"{0}\"; it takes system, input, output and "
     "output_with_loss",
     "\"conversation\" 的某一项有未知的键 \"{0}\"；可用的有 system、input、output 和 output_with_loss"},
    {"the record has two system texts, one beside its messages and one among them; keep one",
     "记录有两段系统文本，一段在消息之外，一段在消息之中；请保留一段"},
    {"the record has \"tools\", which are not read beside messages with role and content; take them out, or "
     "write the messages "
     "with from and value",
     "记录含有 \"tools\"，与 role、content 形式的消息同用时不读取；请去掉，或用 from 和 value 书写消息"},
    {"has both \"{0}\" and \"{1}\"; keep one", "同时有 \"{0}\" 和 \"{1}\"；请保留一个"},
    {"has no \"role\"; every message needs one", "没有 \"role\"；每条消息都需要"},
    {"has no \"{0}\"; give it a text", "没有 \"{0}\"；请写上文本"},
    {"has a \"{0}\" that is no text", "的 \"{0}\" 不是文本"},
    {"has the role \"{0}\"; known are system, user (human), assistant (gpt), function_call and observation",
     "的角色是 \"{0}\"；已知的有 system、user（human）、assistant（gpt）、function_call 和 observation"},
    {"has the role \"{0}\", which is not read; write calls as text: an answer with role function_call and "
     "what came of it with "
     "role observation",
     "的角色是 \"{0}\"，不读取；请把调用写成文本：答案用角色 function_call，其结果用角色 observation"},
    {"has \"{0}\", which is not read; write calls as text: an answer with role function_call and what came "
     "of it with role "
     "observation",
     "含有 \"{0}\"，不读取；请把调用写成文本：答案用角色 function_call，其结果用角色 observation"},
    {"has \"{0}\" with an entry that is no call like {\"function\": {\"name\": ..., \"arguments\": {...}}}; "
     "give every call a "
     "name and arguments",
     "的 \"{0}\" 中有一项不是 {\"function\": {\"name\": ..., \"arguments\": {...}}} "
     "这样的调用；请为每个调用写上名称和参数"},
    {"has a call of \"{0}\" whose arguments are no JSON; write them as an object like {\"city\": ...}",
     "对 \"{0}\" 的调用的参数不是 JSON；请写成 {\"city\": ...} 这样的对象"},
    {"the record has \"tools\" that are no list of functions like {\"name\": ..., \"parameters\": {...}}; "
     "write it as a JSON list",
     "记录的 \"tools\" 不是 {\"name\": ..., \"parameters\": {...}} 这样的函数列表；请写成 JSON 列表"},
    {"has \"{0}\", which is not read; write the reasoning into the answer's text, as the model is to give it",
     "含有 \"{0}\"，不读取；请按模型应输出的样子把推理写进答案文本"},
    {"holds a part that is no object like {\"type\": \"text\", \"text\": ...}",
     "含有不是 {\"type\": \"text\", \"text\": ...} 这样的对象的部分"},
    {"holds a part of type \"{0}\"; only parts of type text are read",
     "含有类型为 \"{0}\" 的部分；只读取 text 类型"},
    {"holds a part of type text without a \"text\"", "含有没有 \"text\" 的 text 类型部分"},
    {"holds a part with the unknown key \"{0}\"; it takes type and text",
     "含有带未知键 \"{0}\" 的部分；可用的有 type 和 text"},
    {"has a \"{0}\" that is neither text nor a list of text parts",
     "的 \"{0}\" 既不是文本，也不是文本部分的列表"},
    {"has the unknown key \"{0}\"; it takes role (from), content (value) and weight (train, loss, loss_mask, "
     "loss_weight); "
     "take the key out",
     "有未知的键 \"{0}\"；可用的有 role（from）、content（value）和 "
     "weight（train、loss、loss_mask、loss_weight）；请去掉该键"},
    {"has a \"{0}\" that is neither 0 nor 1, true nor false; an answer is learnt or only read, shares are "
     "not built",
     "的 \"{0}\" 既不是 0 或 1，也不是 true 或 false；答案要么学习、要么只读，不支持比例"},
    {"must be an object like {\"role\": \"user\", \"content\": ...}",
     "必须是 {\"role\": \"user\", \"content\": ...} 这样的对象"},
    {"is no answer and has a \"{0}\" that asks for it to be learnt; only answers are, take the key out",
     "不是答案，却用 \"{0}\" 要求学习；只学习答案，请去掉该键"},
    // Templates.
    {"the model's chat template drops {#0} character of the {1} (from \"{2}\" on); <3>",
     "模型的对话模板丢掉了 {1} 的 {0} 个字符（从 \"{2}\" 起）；<3>"},
    {"the model's chat template drops {#0} characters of the {1} (from \"{2}\" on); <3>",
     "模型的对话模板丢掉了 {1} 的 {0} 个字符（从 \"{2}\" 起）；<3>"},
    {"choose a named template such as template: chatml, or take them out of the data",
     "请选择具名模板，例如 template: chatml，或从数据中去掉它们"},
    {"there is no chat template \"{0}\"; known are {1}", "没有对话模板 \"{0}\"；已知的有 {1}"},
    {"the chat template {0} ends answers with EOS, but the tokenizer names none; set eos_token in "
     "tokenizer_config.json or "
     "choose another template",
     "对话模板 {0} 以 EOS 结束答案，但分词器没有指明 EOS；请在 tokenizer_config.json 中设置 "
     "eos_token，或选择另一模板"},
    {"the model has no chat template of its own (template: model); name one, for example template: chatml",
     "模型没有自带的对话模板（template: model）；请指明一个，例如 template: chatml"},
    {"the model's chat template asks for {0}, which the tokenizer does not name; set {1} in "
     "tokenizer_config.json, or choose "
     "a named template such as template: chatml",
     "模型的对话模板需要 {0}，而分词器没有指明；请在 tokenizer_config.json 中设置 {1}，或选择具名模板，例如 "
     "template: chatml"},
    {"the chat template {0} has no place for a system text", "对话模板 {0} 没有放系统文本的位置"},
    {"two messages of the same side follow each other (the first is \"{0}\"), and the chat template {1} "
     "writes a question only "
     "with its answer; join them in the data, or use template: model",
     "同一方的两条消息相连（第一条是 \"{0}\"），而对话模板 {1} "
     "只把问题和答案一起书写；请在数据中合并它们，或使用 template: model"},
    {"the model's chat template marks {#0} answers of {#1}; choose a named template",
     "模型的对话模板标出了 {1} 个答案中的 {0} 个；请选择具名模板"},
    {"the model's chat template changes earlier text when message {#0} is added, so that the answer cannot "
     "be located; choose "
     "a named template",
     "加入第 {0} 条消息时，模型的对话模板改动了之前的文本，因此无法定位答案；请选择具名模板"},
    // Token samples and caches.
    {"input_ids is missing; write {\"input_ids\": [...], \"labels\": [...]}",
     "缺少 input_ids；请写 {\"input_ids\": [...], \"labels\": [...]}"},
    {"unknown key \"{0}\"; `format: tokens` takes input_ids and labels",
     "未知的键 \"{0}\"；`format: tokens` 只用 input_ids 和 labels"},
    {"{0} must be an array of whole numbers", "{0} 必须是整数数组"},
    {"input_ids at position {#0} is not a whole number", "input_ids 第 {0} 位不是整数"},
    {"id {#0} at position {#1} is outside the model's vocabulary of {#2} ids; tokenise the data with this "
     "model's tokenizer",
     "第 {1} 位的编号 {0} 超出模型词表（{2} 个）；请用该模型的分词器处理数据"},
    {"labels at position {#0} is not a whole number", "labels 第 {0} 位不是整数"},
    {"label {#0} at position {#1} is neither -100 nor the id there ({#2}); labels stand beside their ids, "
     "not shifted",
     "第 {1} 位的标签 {0} 既不是 -100，也不是该处的编号（{2}）；标签与编号对齐，不移位"},
    {"{#0} labels for {#1} input_ids; give one label an id",
     "{1} 个 input_ids 有 {0} 个标签；请为每个编号给一个标签"},
    {"attention_mask at position {#0} is not 1; give samples without padding",
     "attention_mask 第 {0} 位不是 1；请给出没有填充的样本"},
    {"{0}: not a token cache: {1}; prepare the job again", "{0}：不是词元缓存：{1}；请重新准备任务"},
    {"the data has no training samples", "数据中没有训练样本"},
};

}  // namespace

std::span<const Template> DataTemplates() { return kTemplates; }

}  // namespace ft::client
