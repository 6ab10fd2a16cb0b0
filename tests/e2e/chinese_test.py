"""With a Chinese locale help, tables, plans, data reports, refusals and results are Chinese throughout, whoever says them."""

import json
import os
import re
import shutil

import daemons
from full_result_test import write_tokenizer

# Names of settings, paths and what is quoted are no words of a sentence.
NO_WORDS = re.compile(r"(?:ftctl|ft-rank) \w+|\"[^\"]*\"|'[^']*'|`[^`]*`|\S*[/=]\S*|\{[^{}]*\}")
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")
# An example of help, up to what is said of it.
EXAMPLE = re.compile(r"((?<=^  )|(?<=示例：)|(?<=用法: )|(?<=用法：))(source <\()?(ftctl|ft-rank) \S[ -~]*")
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
            self.assertNotRegex(NO_WORDS.sub("", EXAMPLE.sub("", line)), ENGLISH, text)

    def test_help_and_refused_command_lines(self):
        shown, _ = self.ftctl("--help")
        self.assert_chinese(shown)
        self.assertIn("训练模型:", shown)
        script, _ = self.ftctl("completion")
        verbs = re.findall(r"^    (\w+)\) words=", script, re.MULTILINE)
        self.assertGreater(len(verbs), 25)
        for verb in verbs:
            shown, _ = self.ftctl("help", verb)
            self.assertIn("用法: ftctl " + verb, shown)
            self.assertIn("显示本帮助并退出", shown)
            self.assert_chinese(shown.replace("Hugging Face", ""))
        for arguments, refusal in ((("nonsense",), "没有命令 'nonsense'"), (("list", "--limit", "0"), "--limit：0 不在 1 到 100000 之间"),
                                   (("get",), "缺少 JOB；见 ftctl get --help"), (("list", "--modle"), "没有选项 --modle")):
            _, said = self.ftctl(*arguments, status=2)
            self.assertIn(refusal, said)
            self.assert_chinese(said)

    def test_before_anything_runs(self):
        done = self.node.run("doctor", environment={"LANG": "zh_CN.UTF-8"}, timeout=60)
        self.assert_chinese(done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^正常 +数据文件夹 +/")
        self.assertRegex(done.stdout, r"(?m)^提示 +协调器 +无法连接\s")
        checks = json.loads(self.node.run("doctor", "-o", "json", environment={"LANG": "zh_CN.UTF-8"}, timeout=60).stdout)
        self.assertIn(("ok", "data folder"), [(check["verdict"], check["check"]) for check in checks])
        for verb in (("list",), ("nodes",), ("explain", "qa")):
            _, said = self.ftctl(*verb, status=3)
            self.assertIn("无法连接协调器", said)
            self.assert_chinese(said)
        job = self.write_file("job.yaml", "model: m\ndata: d\ntrain:\n  epocs: 1\n")
        _, said = self.ftctl("submit", job, status=2)
        self.assertIn("job.yaml:4：train.epocs：未知的键，是否想写 'epochs'？", said)
        self.assert_chinese(said)
        for text, refusal in (("model: [\n", "不是 YAML：缺少 ]"), ("data: d\n", "model：缺失：请给出模型文件夹或 .gguf 文件")):
            _, said = self.ftctl("submit", self.write_file("job.yaml", text), status=2)
            self.assertIn(refusal, said)

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
        shown, said = self.ftctl("run", "--set", "method.rank=4", "--set", "train.checkpoint.every_steps=8")
        self.assertIn("正在节点", shown)
        self.assertIn("在第 20 步后完成", shown)
        self.assertIn("最长的样本有", shown)
        self.assert_chinese(said)
        self.assertRegex(shown, r"(?m)^qa：运行中，正在 \S+ 上运行$")
        shown, _ = self.ftctl("get", "qa")
        self.assertIn("2 条样本（留出 0 条）", shown)
        self.ftctl("up")
        for verb, words in ((("list",), ("名称", "状态", "已完成")), (("nodes",), ("节点", "设备", "就绪")), (("get", "qa"), ("运行文件夹：", "第 20 步，共 20 步")),
                            (("explain", "qa"), ("qa：已完成，在第 20 步后完成",)), (("events", "qa"), ("JOB_STATE 启动中 -> 运行中：",)),
                            (("metrics", "qa"), ("学习率", "梯度范数", "损失 ")), (("checkpoints", "qa"), ("尝试", "清单"))):
            shown, said = self.ftctl(*verb)
            for word in words:
                self.assertIn(word, shown)
            self.assert_chinese(said + shown.partition("样本 1")[0])
        self.assertEqual(json.loads(self.ftctl("list", "-o", "json")[0])["jobs"][0]["state"], "SUCCEEDED")
        _, said = self.ftctl("pause", "qa", status=1)
        self.assertIn("的状态为已完成，不能暂停", said)
        _, said = self.ftctl("get", "nobody", status=1)
        self.assertIn("没有任务 'nobody'：ftctl list 显示全部任务", said)


if __name__ == "__main__":
    daemons.main()
