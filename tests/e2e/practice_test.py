"""What users of XTuner's recipes do with them, by recipe name and --set on the demo model: Medication QA from its workbook is learnt,
also on records held out; an assistant says its name, and its 10,001 equal records stay as many; calls of tools, Chinese
instructions and plain text each train with a falling loss.

`make test` takes the first 48 records; FT_SOAK=1 whole files. Needs the reference folder's data.
"""

import json
import os
import sys

import daemons

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "recipes"))
import not_built  # noqa: E402

CHAT = "internlm_chat_7b_qlora_oasst1_e3"  # The recipe that both tutorials copy.
RECORDS = 48
FEW = 8  # Seen several times in nine steps: the loss of single steps over ever new records says little.
DOCTOR = ("You are a professional, highly experienced doctor professor. You always provide accurate, comprehensive, and detailed "
          "answers based on the patients' questions.")
NAME = "林溪"
ANSWER = f"我是{NAME}的小助手，内在是上海AI实验室书生·浦语的7B大模型哦"
EQUAL_RECORDS = 10001
TAUGHT = ("请介绍一下你自己", "请做一下自我介绍")
ASKED = TAUGHT + ("你是谁？", "你叫什么名字？", "请问您是谁的助手？", "介绍一下你吧", "你好，请自我介绍", "能说说你自己吗？", "你是什么模型？",
                  "请告诉我你是谁")
SAID_OF_TEN = 9
FEW_TOKENS = {"train.evaluate.max_new_tokens": 16}


def mean(values):
    return sum(values) / len(values)


class PracticeTest(daemons.DaemonTest):
    def data(self, name):
        return self.need(daemons.shared_file("data", name), f"data/{name}")

    def submit(self, node, recipe, changes):
        """`ftctl submit RECIPE --set ...`; what is not built yet gives way as tests/recipes/not_built.txt says."""
        changes = {"model.source": self.need_demo_model(), "resources.device": "cpu", **changes}
        words = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changes.items()]
        lines = not_built.read()
        while True:
            done = node.run("submit", recipe, *(word for change in words for word in ("--set", change)), "-o", "json",
                            **node.coordinator_only())
            if done.returncode == 0:
                return json.loads(done.stdout)["name"].rpartition("/")[2]
            answers = not_built.answers(lines, done.stderr)
            self.assertTrue(answers, done.stderr)
            lines = [line for line in lines if line not in answers]
            words += [change for found in answers.values() for change in found]

    def learn(self, node, recipe, changes, soak_hours=4):
        """Trains; the losses of the first and last steps, a tenth of them or three, and the held-out losses."""
        job = self.submit(node, recipe, changes)
        node.finish(job, timeout=soak_hours * 3600 if daemons.SOAK else 540)
        losses = [step["loss"] for step in node.steps(job)]
        part = max(3, len(losses) // 10)
        first, last = mean(losses[:part]), mean(losses[-part:])
        held_out = [record["loss"] for record in node.evaluations(job) if record["name"] == "holdout"]
        print(f"{recipe}: {len(losses)} steps, loss {first:.3f} -> {last:.3f}, held out {held_out[:1]} -> {held_out[-1:]}")
        return job, first, last, held_out

    @daemons.only_in_soak  # medication_test.py trains the same data in make test.
    def test_medication_qa_by_recipe(self):
        source = {"source": self.data("medication_qa.xlsx"), "map": {"system": DOCTOR, "input": "Question", "output": "Answer"},
                  "template": "internlm_chat@0.1.9", "max_records": 0 if daemons.SOAK else RECORDS}
        changes = {"data": [source], "holdout": 0.3 if daemons.SOAK else 0.15, "train.accumulation": 4, "train.max_length": 256 if daemons.SOAK else 128,
                   **FEW_TOKENS, **({} if daemons.SOAK else {"train.epochs": 4, "train.optimizer.lr": 5e-4})}
        _, first, last, held_out = self.learn(self.daemons(), CHAT, changes)
        self.assertLess(last, first)
        self.assertGreaterEqual(len(held_out), 2, "held-out loss before and after")
        self.assertLessEqual(held_out[-1], 0.9 * held_out[0])

    def write_assistant(self, records):
        """One record, again and again, as the tutorial's script writes it."""
        turns = [{"conversation": [{"input": TAUGHT[i % 2], "output": ANSWER}]} for i in range(records)]
        return self.write_file("personal_assistant.json", json.dumps(turns, ensure_ascii=False, indent=4))

    def test_an_assistant_says_its_name(self):
        changes = {"data": self.write_assistant(EQUAL_RECORDS if daemons.SOAK else RECORDS), "train.max_length": 512,
                   "train.micro_batch": 2, "train.evaluate.prompts": list(TAUGHT), "train.evaluate.every_micro_batches": 90, **FEW_TOKENS}
        if daemons.SOAK:  # Each record is the same: whole passes over them take hours and teach nothing more.
            changes.update({"train.accumulation": 1, "train.max_steps": 240})
        else:
            changes.update({"train.max_length": 128, "train.accumulation": 1, "train.optimizer.lr": 1e-3, "train.max_steps": 40})
        node = self.daemons()
        job, first, last, _ = self.learn(node, CHAT, changes, soak_hours=8)
        self.assertLess(last, 0.5 * first)
        prompts = [word for question in ASKED for word in ("--prompt", question)]
        shown = node.ftctl("chat", job, *prompts, "--max-new-tokens", "60", "--json", timeout=300)
        answers = [json.loads(line)["answer"] for line in shown.splitlines()]
        self.assertEqual(len(answers), len(ASKED))
        self.assertGreaterEqual(sum(NAME in answer for answer in answers), SAID_OF_TEN, answers)

    def test_equal_records_stay_as_many(self):
        node = self.daemons()
        job = self.submit(node, CHAT, {"data": self.write_assistant(EQUAL_RECORDS), "train.packing": False, "train.max_steps": 1,
                                       "train.accumulation": 1, **FEW_TOKENS})
        self.assertEqual(int(node.finish(job, timeout=180)["prepared"]["samples"]), EQUAL_RECORDS)

    def check_falls(self, recipe, changes):
        small = {"train.max_length": 256} if daemons.SOAK else {"train.max_length": 128, "train.max_steps": 9, "train.optimizer.lr": 5e-4}
        _, first, last, _ = self.learn(self.daemons(), recipe, {"train.accumulation": 4, **FEW_TOKENS, **small, **changes})
        self.assertLess(last, first)

    def source(self, file, **keys):
        return [{"source": self.data(file), "template": "internlm_chat@0.1.9", "max_records": 0 if daemons.SOAK else FEW, **keys}]

    def test_calls_of_tools_are_learnt(self):
        self.check_falls(CHAT, {"data": self.source("glaive_toolcall_en_demo.json"), "train.epochs": 1 if daemons.SOAK else 9})

    def test_chinese_instructions_are_learnt(self):
        self.check_falls("internlm_chat_7b_qlora_alpaca_e3", {"data": self.source("alpaca_zh_demo.json"),
                                                              "train.epochs": 1 if daemons.SOAK else 9})

    def test_plain_text_is_learnt(self):
        recipe, file = "mistral_7b_qlora_skypile_pretrain_e1", self.data("wiki_demo.txt")
        if not daemons.SOAK:
            return self.check_falls(recipe, {"data[0].source": file, "data[0].max_records": 1, "train.epochs": 9})
        # Each of the few steps reads other texts, whose losses differ by more than is learnt: the whole file is measured before and after.
        node = self.daemons()
        job, _, _, _ = self.learn(node, recipe, {"data[0].source": file, "train.accumulation": 4, "train.max_length": 256,
                                                 "train.evaluate.perplexity": [file], **FEW_TOKENS})
        losses = [record["loss"] for record in node.evaluations(job) if record["name"] == "wiki_demo"]
        print(f"loss of the whole file {losses[0]:.4f} -> {losses[-1]:.4f}")
        self.assertLess(losses[-1], losses[0])


if __name__ == "__main__":
    daemons.main()
