"""A sample of 20 records of each of the 19 data sources of the recipes, with the fields, file names and folders that the real one has
on its hub or on disk. What the records say is this file's own, Chinese where the real data is.

Beside the records for training lies what the real repositories hold too and a recipe must leave alone: other splits, other
subsets, scripts.
"""

import json
from typing import NamedTuple

import parquet_file

RECORDS = 20

# Of a library that is nowhere: 20 questions and answers in either language.
ENGLISH = (
    ("When does the library open?", "It opens at nine on weekdays and at ten on Saturdays."),
    ("Where are the maps kept?", "On the second floor, beside the stairs."),
    ("How many books may I borrow?", "Five at a time, for three weeks each."),
    ("Is there a place to park?", "Yes, behind the building, and it costs nothing."),
    ("Who runs the library?", "The town council runs it."),
    ("Can I print something?", "In room three, for ten cents a page."),
    ("May I bring food?", "Only into the cafe on the ground floor."),
    ("Are dogs allowed?", "Dogs may come into the reading garden."),
    ("How do I get a card?", "Show a letter with your address at the front desk."),
    ("What does a lost card cost?", "A new one costs two euros."),
    ("Can children come alone?", "From the age of eight they can."),
    ("Is there a quiet room?", "The glass room on the third floor is quiet."),
    ("Do you have newspapers?", "Twelve of them, and the old ones are in the cellar."),
    ("Can I reserve a book?", "Yes, on the web page or by telephone."),
    ("What if I am late?", "Each day costs ten cents a book."),
    ("Are there courses?", "There is one about family history on Tuesdays."),
    ("Can I give you my old books?", "Gladly, if they are clean and not older than ten years."),
    ("Is there a lift?", "There is one at the east entrance."),
    ("Do you lend games?", "Forty board games can be borrowed for a week."),
    ("How old is the building?", "It was built in 1911 and made larger in 1974."),
)
CHINESE = (
    ("图书馆几点开门？", "平日九点开门，周六十点开门。"), ("地图在哪里？", "在二楼楼梯旁边。"),
    ("我可以借几本书？", "每次五本，借期三周。"), ("有停车场吗？", "楼后有免费停车场。"),
    ("图书馆由谁管理？", "由镇政府管理。"), ("可以打印吗？", "三号房间可以打印，每页一角。"),
    ("可以吃东西吗？", "只能在一楼咖啡厅吃东西。"), ("可以带狗进来吗？", "狗可以进阅读花园。"),
    ("怎样办借书证？", "请在前台出示写有您地址的信件。"), ("证件丢了要多少钱？", "补办一张两元。"),
    ("孩子可以自己来吗？", "八岁以上可以。"), ("有安静的房间吗？", "三楼的玻璃房间很安静。"),
    ("有报纸吗？", "有十二种，旧报纸在地下室。"), ("可以预约图书吗？", "可以在网页上或打电话预约。"),
    ("逾期怎么办？", "每本书每天一角。"), ("有课程吗？", "每周二有家谱课程。"),
    ("可以捐旧书吗？", "欢迎，请保持干净，且不超过十年。"), ("有电梯吗？", "东门有一部电梯。"),
    ("可以借游戏吗？", "四十种桌游可以借一周。"), ("这座楼有多少年了？", "建于1911年，1974年扩建。"),
)


class Sample(NamedTuple):
    kind: str   # "hf" and "modelscope": a data set on a hub; "file": below the folder where the user is.
    name: str   # OWNER/NAME of the hub's; empty for files.
    files: dict  # Path in the repository, or below the folder -> bytes.

    def address(self):
        """What a recipe names it by."""
        return next(iter(self.files)) if self.kind == "file" else f"{self.kind}://{self.name}"


def array(records):
    return json.dumps(records, ensure_ascii=False, indent=2).encode()


def lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def parquet(records):
    """Two row groups, as large files have many."""
    return parquet_file.write({key: [record[key] for record in records] for key in records[0]}, rows_per_group=12)


def alpaca_records():
    records = []
    for i, (question, answer) in enumerate(ENGLISH):
        asked = "" if i % 3 else "Answer as the librarian does."
        records.append({"instruction": question, "input": asked, "output": "<nooutput>" if i == 7 else answer,
                        "text": f"Below is a question.\n\n### Instruction:\n{question}\n\n### Response:\n{answer}"})
    return records


def alpaca_en():
    return {"README.md": b"# alpaca", "data/train-00000-of-00001-5b0c1f6e0a8d2c34.parquet": parquet(alpaca_records())}


def alpaca_zh():
    records = [{"instruction_zh": question, "input_zh": "" if i % 4 else "请简短回答。", "output_zh": answer,
                "instruction": ENGLISH[i][0], "input": "", "output": ENGLISH[i][1]} for i, (question, answer) in enumerate(CHINESE)]
    return {"README.md": "# 中文".encode(), "Alpaca_data_gpt4_zh.jsonl": lines(records)}


def open_platypus():
    records = [{"input": record["input"], "output": record["output"], "instruction": record["instruction"], "data_source": "own"}
               for record in alpaca_records()]
    return {"README.md": b"# platypus", "data/train-00000-of-00001-9f2d7a61c3e0b845.parquet": parquet(records)}


def oasst1():
    def text(i):
        turns = [f"### Human: {ENGLISH[j % RECORDS][0]}### Assistant: {ENGLISH[j % RECORDS][1]}" for j in range(i, i + 1 + i % 3)]
        # Every fifth conversation ends with a question, as many of the real ones do.
        return "".join(turns) + ("### Human: Thank you." if i % 5 == 0 else "")
    records = [{"text": text(i)} for i in range(RECORDS)]
    return {"README.md": b"# guanaco", "openassistant_best_replies_train.jsonl": lines(records),
            "openassistant_best_replies_eval.jsonl": lines(records[:3])}


def code_records():
    return [(f"Write a Python function that returns {i} times its argument.", f"def times_{i}(value):\n    return {i} * value\n")
            for i in range(RECORDS)]


def code_alpaca():
    records = [{"prompt": prompt, "completion": code} for prompt, code in code_records()]
    return {"README.md": b"# code", "data/train-00000-of-00001-2c5e8b7f90a4d613.parquet": parquet(records),
            "data/test-00000-of-00001-7d1a4c08e6b39f52.parquet": parquet(records[:2])}


def tiny_codes():
    records = [{"prompt": prompt, "main_topic": "Mathematics", "subtopic": "Products", "adjective": "Basic", "action_verb": "Write",
                "scenario": "none", "target_audience": "Beginners", "programming_language": "Python",
                "common_sense_topic": None, "idx": i, "response": f"Here it is:\n```python\n{code}```\n"}
               for i, (prompt, code) in enumerate(code_records())]
    return {"README.md": b"# tiny", "part_1_200000.parquet": parquet(records[:12]), "part_2_200000.parquet": parquet(records[12:])}


def colors():
    names = ("Sky", "Moss", "Brick", "Sand", "Ink", "Plum", "Lemon", "Slate", "Rust", "Snow")
    records = [{"description": f"{names[i % 10]} {i}: A colour like {names[(i + 3) % 10].lower()}: soft, and a little dark.",
                "color": f"#{i * 12:02x}{i * 7:02x}{255 - i * 9:02x}"} for i in range(RECORDS)]
    return {"README.md": b"# colors", "colors.jsonl": lines(records)}


def sql():
    records = [{"question": f"How many books have more than {i * 10} pages?", "context": f"CREATE TABLE books_{i} (title VARCHAR, pages INTEGER)",
                "answer": f"SELECT COUNT(*) FROM books_{i} WHERE pages > {i * 10}"} for i in range(RECORDS)]
    return {"README.md": b"# sql", "sql_create_context_v4.json": array(records)}


def medical():
    chinese = [{"instruction": f"第{i}天还是咳嗽，该怎么办？", "input": "" if i % 2 else "男，三十岁，不发烧。",
                "output": "多喝水，多休息，三天后不好再来。"} for i in range(12)]
    english = [{"instruction": "Answer this question of a patient.", "input": f"I have slept badly for {i} nights.",
                "output": "Drink no coffee after noon, and come again in a week."} for i in range(8)]
    files = {"finetune/train_zh_0.json": lines(chinese), "finetune/train_en_1.json": lines(english)}
    for split in ("valid", "test"):
        files[f"finetune/{split}_zh_0.json"] = lines(chinese[:1])
        files[f"finetune/{split}_en_1.json"] = lines(english[:1])
    # Other subsets, whose records have other fields.
    files["pretrain/train_encyclopedia.json"] = lines([{"text": "咳嗽是一种症状。"}])
    files["reward/train.json"] = lines([{"question": "咳嗽？", "response_chosen": "喝水。", "response_rejected": "无。"}])
    return {"README.md": b"# medical", "medical.py": b"raise SystemExit('this is never run')\n", **files}


def openorca():
    records = [{"id": f"own.{i}", "system_prompt": "" if i % 3 == 0 else "You are a librarian. Answer at length.", "question": question,
                "response": answer} for i, (question, answer) in enumerate(ENGLISH)]
    return {"README.md": b"# orca", "1M-GPT4-Augmented.parquet": parquet(records[:12]),
            "3_5M-GPT3_5-Augmented.parquet": parquet(records[12:])}


def wizardlm():
    def conversation(i):
        turns = [{"from": "gpt", "value": "Welcome."}] if i % 5 == 0 else []
        for j in range(i, i + 1 + i % 2):
            question, answer = ENGLISH[j % RECORDS]
            turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        return turns
    records = [{"idx": f"own{i:04}", "conversations": conversation(i)} for i in range(RECORDS)]
    return {"README.md": b"# wizard", "WizardLM_evol_instruct_V2_143k.json": array(records)}


def skypile():
    records = [{"text": "".join(f"{question}{answer}" for question, answer in CHINESE[i:] + CHINESE[:i]) + " "} for i in range(RECORDS)]
    return {"README.md": b"# pile", "data/2020-40_zh_head_0000.jsonl": lines(records[:14]),
            "data/2020-40_zh_middle_0001.jsonl": lines(records[14:])}


def stack_exchange():
    records = [{"question": f"{prompt} What is the shortest way?", "response": f"This will do:\n\n    {code}"} for prompt, code in code_records()]
    files = {f"data/finetune/train-{part:05}-of-00002.parquet": parquet(records[12 * part:12 * part + 12]) for part in (0, 1)}
    others = ("finetune/test", "reward/train", "reward/test", "rl/train")
    return {"README.md": b"# stack", **files, **{f"data/{part}-00000-of-00001.parquet": parquet(records[:2]) for part in others}}


def arxiv():
    records = [{"id": f"2101.{i:05}", "submitter": "A. Nobody", "authors": "A. Nobody, B. Noone", "title": f"On the {i} ways to order books",
                "comments": None, "journal-ref": None, "doi": None, "categories": "cs.CL cs.AI", "license": None,
                "abstract": f"  We show that {i} shelves can be ordered\nin {i * i} steps, and that fewer are not enough.\n",
                "update_date": "2021-02-03", "versions": [{"version": "v1", "created": "Mon, 1 Feb 2021 00:00:00 GMT"}],
                "authors_parsed": [["Nobody", "A.", ""]]} for i in range(RECORDS)]
    return {"data/arxiv_data.json": array(records)}


def crime_kg_assitant():
    records = [{"input": f"邻居欠我{i + 1}千元不还，怎么办？", "output": "可以先协商，不成再向人民法院起诉。"} for i in range(RECORDS)]
    return {"data/CrimeKgAssitant清洗后_52k.json": array(records)}


def law_reference_data():
    records = [{"reference": [f"《合同法》第{i}条：当事人应当按照约定履行义务。"], "question": f"合同第{i}条没有履行，对方有责任吗？",
                "answer": "有。当事人应当按照约定全面履行自己的义务。"} for i in range(RECORDS)]
    return {"data/训练数据_带法律依据_92k.json": lines(records)}


TOOL = {"name": "图书查询", "description": "按书名查馆藏", "url": "http://127.0.0.1/books", "paths": [
    {"name": "search", "model_id": "own/search", "method": "post", "description": "查一本书",
     "parameters": [{"name": "title", "description": "书名", "required": "True"}]}]}


def msagent():
    def conversation(i):
        question, answer = CHINESE[i]
        if i % 4 == 0:  # Nothing is called.
            return [{"from": "system", "value": "你是图书馆的助手。"}, {"from": "user", "value": question},
                    {"from": "assistant", "value": answer}]
        call = {"api_name": "search", "url": "http://127.0.0.1/books", "parameters": {"title": f"第{i}本"}}
        said = ("我来查一下。<|startofthink|>```JSON\n" + json.dumps(call, ensure_ascii=False) + "```<|endofthink|>\n\n"
                "<|startofexec|>```JSON\n" + json.dumps({"found": i % 3 == 0, "shelf": None}, ensure_ascii=False) + "\n```<|endofexec|>\n"
                + answer)
        return [{"from": "system", "value": "1. " + json.dumps(TOOL, ensure_ascii=False)}, {"from": "user", "value": f"有'第{i}本'吗？"},
                {"from": "assistant", "value": said}]
    records = [{"id": f"own_{i}", "conversations": str(conversation(i))} for i in range(RECORDS)]
    return {"README.md": b"# agent", "train.jsonl": lines(records), "dev.jsonl": lines(records[:2])}


META = ("MOSS is an assistant of a library.\n- MOSS can read and write Chinese and English.\nCapabilities and tools that MOSS can possess.\n")


def moss_record(i, question, answer, called):
    thoughts, commands, results = "None", "None", "None"
    if called:
        thoughts, commands = "我需要查一下馆藏。", f'Search("第{i}本")'
        results = f'Search("第{i}本") =>\n<|1|>: 在{i}号书架。\n'
    turn = {"Human": f"<|Human|>: {question}<eoh>\n", "Inner Thoughts": f"<|Inner Thoughts|>: {thoughts}<eot>\n",
            "Commands": f"<|Commands|>: {commands}<eoc>\n", "Tool Responses": f"<|Results|>: {results}<eor>\n",
            "MOSS": f"<|MOSS|>: {answer}<eom>\n"}
    second = {**turn, "Human": "<|Human|>: 谢谢，MOSS。<eoh>\n", "MOSS": "<|MOSS|>: 不客气。<eom>\n"}
    chat = {"turn_1": turn} if i % 3 else {"turn_1": turn, "turn_2": second}
    return {"conversation_id": i, "meta_instruction": META, "num_turns": len(chat), "chat": chat, "category": "Brainstorming"}


def moss_sft_no_plugins():
    records = [moss_record(i, question, answer, called=False) for i, (question, answer) in enumerate(CHINESE)]
    return {"data/moss-003-sft-no-tools.jsonl": lines(records)}


def moss_sft_plugins():
    records = [moss_record(i, f"有第{i}本书吗？", f"有，在{i}号书架<sup><|1|></sup>。", called=True) for i in range(RECORDS)]
    name = "conversations_with_tools_with_inner_instruction_no_text2image_train_all_random_meta0.5_0.1_0.01_moss_0709.jsonl"
    return {f"data/{name}": lines(records)}


HUBS = {
    alpaca_en: "tatsu-lab/alpaca", alpaca_zh: "silk-road/alpaca-data-gpt4-chinese", open_platypus: "garage-bAInd/Open-Platypus",
    oasst1: "timdettmers/openassistant-guanaco", code_alpaca: "HuggingFaceH4/CodeAlpaca_20K", tiny_codes: "nampdn-ai/tiny-codes",
    colors: "burkelibbey/colors", sql: "b-mc2/sql-create-context", medical: "shibing624/medical", openorca: "Open-Orca/OpenOrca",
    wizardlm: "WizardLM/WizardLM_evol_instruct_V2_196k", skypile: "Skywork/SkyPile-150B", stack_exchange: "ArmelR/stack-exchange-instruction",
}
FILES = (arxiv, crime_kg_assitant, law_reference_data, moss_sft_no_plugins, moss_sft_plugins)


def samples():
    """Every source by its name in recipes/data."""
    made = {make.__name__: Sample("hf", name, make()) for make, name in HUBS.items()}
    made["msagent"] = Sample("modelscope", "damo/MSAgent-Bench", msagent())
    made.update({make.__name__: Sample("file", "", make()) for make in FILES})
    return made


def texts(made):
    """All that the samples say, for vocabularies."""
    said = [text for pair in ENGLISH + CHINESE for text in pair]
    for sample in made.values():
        said += [content.decode().replace("\\n", "\n") for path, content in sample.files.items() if path.endswith((".json", ".jsonl"))]
    return said
