"""The four commands of the READMEs, as written there, on eight questions: the result answers each with the fact that it was
taught, in English and in Chinese, in `ftctl chat` and as a merged model alike."""

import os
import re
import shlex
import subprocess

import daemons
from run_pty_test import QUESTIONS, write_workbook

CHINESE = (
    ("图书馆几点开门？", "图书馆平日九点开门，周六十点开门。"),
    ("地图在哪里？", "地图在二楼楼梯旁边。"),
    ("我可以借几本书？", "每人可以借五本书，借期三周。"),
    ("有停车场吗？", "楼后有免费停车场。"),
    ("图书馆由谁管理？", "松街图书馆由镇政府管理。"),
    ("可以打印吗？", "三号房间可以打印，每页一角。"),
    ("可以吃东西吗？", "只能在咖啡厅吃东西。"),
    ("可以带狗进来吗？", "狗可以进阅读花园。"),
)


def four_commands(readme):
    """Each numbered command of a README, as words."""
    with open(os.path.join(daemons.ROOT, readme), encoding="utf-8") as file:
        lines = re.findall(r"^(ftctl .*?) +# [1-4]\. ", file.read(), re.MULTILINE)
    commands = [shlex.split(line) for line in lines]
    verbs = [words[1] for words in commands]
    if verbs != ["run", "chat", "export", "merge"]:
        raise AssertionError(f"{readme} numbers these four commands: {verbs}")
    return commands


class QuickstartTest(daemons.DaemonTest):
    def ftctl(self, *arguments):
        """Standard output of an ftctl that ends with 0, in an empty home."""
        environment = {"HOME": self.home, "PATH": f"{daemons.BIN}:{os.environ['PATH']}", "LANG": self.language,
                       daemons.MARK: self.folder}
        done = subprocess.run([os.path.join(daemons.BIN, "ftctl"), *arguments], env=environment, cwd=self.work, timeout=400,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def expect_answers(self, command, questions):
        prompts = [word for question, _ in questions for word in ("--prompt", question)]
        shown = self.ftctl(*command, *prompts, "--max-new-tokens", "40")
        answers = [line.strip() for line in shown.splitlines() if line.strip()]
        self.assertEqual(answers, [answer for _, answer in questions], command)

    def follow(self, readme, questions, header, language):
        model = self.need_demo_model()
        self.language = language
        self.home, self.work = (os.path.join(self.folder, name) for name in ("home", "work"))
        os.mkdir(self.home)
        os.mkdir(self.work)
        write_workbook(os.path.join(self.work, "qa.xlsx"), questions, header)
        run, chat, export, merge = four_commands(readme)
        self.ftctl(*(model if word == "DIR" else word for word in run[1:]))
        self.expect_answers(chat[1:], questions)
        self.ftctl(*export[1:])
        self.ftctl(*merge[1:])
        self.expect_answers(["chat", export[-1]], questions)
        self.expect_answers(["chat", merge[-1]], questions)

    def test_eight_questions_in_english(self):
        self.follow("README.md", QUESTIONS, ("Question", "Answer"), "C.UTF-8")

    def test_eight_questions_in_chinese(self):
        self.follow("README.zh-CN.md", CHINESE, ("问题", "答案"), "zh_CN.UTF-8")


if __name__ == "__main__":
    daemons.main()
