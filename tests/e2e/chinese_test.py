"""With a Chinese locale plans, data reports, refusals and results are Chinese throughout, whoever says them."""

import json
import os
import re
import shutil

import daemons
from full_result_test import write_tokenizer

# Names of settings, paths and what is quoted are no words of a sentence.
NO_WORDS = re.compile(r"ftctl \w+|\"[^\"]*\"|'[^']*'|`[^`]*`|\S*[/=]\S*|\{[^{}]*\}")
ENGLISH = re.compile(r"[a-z]{2,} [a-z]{2,}")
QUESTIONS = (("图书馆几点开门？", "九点。"), ("地图在哪里？", "在二楼。"))


class ChineseTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.node = self.daemons(start=False)
        self.addCleanup(lambda: self.node.run("down"))
        self.model = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), self.model, copy_function=shutil.copyfile)
        write_tokenizer(self.model)
        lines = [json.dumps({"question": question, "answer": answer}, ensure_ascii=False) for question, answer in QUESTIONS]
        self.data = self.write_file("qa.jsonl", "\n".join(lines) + "\n")

    def ftctl(self, *arguments, status=0, data=None, **options):
        """ftctl with a Chinese locale; what it printed on both outputs."""
        if arguments[0] in ("plan", "preview", "run"):
            arguments += ("--model", self.model, "--data", data or self.data, "--set", "train.max_length=200")
        done = self.node.run(*arguments, environment={"LANG": "zh_CN.UTF-8"}, timeout=120, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout, done.stderr

    def assert_chinese(self, text):
        for line in text.splitlines():
            self.assertNotRegex(NO_WORDS.sub("", line), ENGLISH, text)

    def test_a_plan(self):
        shown, said = self.ftctl("plan")
        self.assert_chinese(shown + said)
        for words in ("方法", "学习率", "数据：2 条样本", "预计每个进程的内存：", "够用", "预计训练时间：约"):
            self.assertIn(words, shown)

    def test_a_preview_leaves_the_samples_as_they_are(self):
        shown, _ = self.ftctl("preview")
        self.assertIn(f"{self.data}：question 为问题，answer 为答案（按名称猜测）", shown)
        self.assertIn(f"样本 1，{self.data} 第 1 行：", shown)
        self.assertIn("assistant九点。", shown)

    def test_refusals_of_data_and_models(self):
        table = self.write_file("q.csv", "渠道,读者提问,标准答复\n网站,几点开门？,九点。\n")
        for verb in (("plan",), ("preview",), ("run",)):
            _, said = self.ftctl(*verb, data=table, status=1 if verb == ("run",) else 2)
            self.assertIn("看不出哪些字段是问题和答案；请指明各列，也许是（按内容猜测）：--map input=读者提问,output=标准答复 ", said)
            self.assert_chinese(said.replace("ft-rank plan", "").replace("ft-rank preview", ""))
        empty = self.write_file("empty.jsonl", '{"question": "q", "answer": ""}\n')
        _, said = self.ftctl("run", "--no-plan", data=empty, status=1)
        self.assertIn("1 条样本中有 1 条被拒绝：", said)
        # Lines break where the terminal ends, which depends on how long the path is.
        self.assertIn(f"{empty} 第 1 行：答案或文本为空".replace(" ", ""), "".join(said.split()))
        _, said = self.ftctl("convert", self.model, self.folder, status=1)
        self.assertIn("已经存在：请给出新的文件夹", said)

    def test_a_run_and_its_report(self):
        shown, said = self.ftctl("run", "--set", "method.rank=4")
        self.assertIn("正在节点", shown)
        self.assertIn("在第 20 步后完成", shown)
        self.assertIn("最长的样本有", shown)
        self.assert_chinese(said)
        shown, _ = self.ftctl("get", "qa")
        self.assertIn("2 条样本（留出 0 条）", shown)


if __name__ == "__main__":
    daemons.main()
