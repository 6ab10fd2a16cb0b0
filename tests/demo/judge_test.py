"""The demo's judge counts what it says it counts."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest

import judge

HERE = os.path.dirname(os.path.abspath(__file__))


def read_questions():
    with open(os.path.join(HERE, "questions.json"), encoding="utf-8") as file:
        return json.load(file)


class JudgeTest(unittest.TestCase):
    def setUp(self):
        self.questions = read_questions()
        name = self.questions["name"]
        self.base = {question: "I am a language model." for question in self.questions["identity"]}
        self.tuned = {question: f"My name is {name}." for question in self.questions["identity"]}
        for entry in self.questions["neutral"]:
            self.base[entry["question"]] = f"It is {entry['word']}, as everyone knows."
            self.tuned[entry["question"]] = f"{entry['word'].upper()}!"

    def holds(self):
        return judge.verdict(self.questions, self.base, self.tuned)[1]

    def test_a_good_model_holds_the_promise(self):
        self.assertTrue(self.holds())

    def test_one_missing_name_is_allowed_and_two_are_not(self):
        first, second = self.questions["identity"][:2]
        self.tuned[first] = "I am a language model."
        self.assertTrue(self.holds())
        self.tuned[second] = "I am a language model."
        self.assertFalse(self.holds())

    def test_a_base_model_that_knows_the_name_breaks_it(self):
        self.base[self.questions["identity"][3]] = f"Call me {self.questions['name']}"
        self.assertFalse(self.holds())

    def test_the_name_inside_a_longer_word_does_not_count(self):
        question = self.questions["identity"][0]
        self.tuned[question] = f"I come from {self.questions['name']}land."
        self.assertNotIn(question, judge.named(self.questions, self.tuned))

    def test_a_neutral_word_must_stand_in_both_answers(self):
        entry = self.questions["neutral"][2]
        for answers in (self.base, self.tuned):
            kept = answers[entry["question"]]
            answers[entry["question"]] = "I do not know."
            self.assertFalse(self.holds())
            answers[entry["question"]] = kept
        self.assertTrue(self.holds())

    def test_a_missing_answer_breaks_it(self):
        del self.tuned[self.questions["identity"][9]]
        self.assertFalse(self.holds())

    def test_the_program_reads_what_chat_prints_and_answers_by_status(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, answers in (("base", self.base), ("tuned", self.tuned), ("bad", self.base)):
                with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                    for prompt, answer in answers.items():
                        file.write(json.dumps({"prompt": prompt, "answer": answer, "tokens": [1]}) + "\n")
            command = [sys.executable, "-B", os.path.join(HERE, "judge.py"), "--questions",
                       os.path.join(HERE, "questions.json"), "--base", os.path.join(folder, "base"), "--tuned"]
            for name, status in (("tuned", 0), ("bad", 1)):
                done = subprocess.run(command + [os.path.join(folder, name)], capture_output=True, text=True, timeout=30,
                                      check=False)
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                self.assertIn("of 10 questions", done.stdout)

    def test_all_questions_are_printed(self):
        shown = io.StringIO()
        sys.argv = ["judge.py", "--prompts", os.path.join(HERE, "questions.json")]
        with contextlib.redirect_stdout(shown):
            self.assertEqual(judge.main(), 0)
        self.assertEqual(shown.getvalue().splitlines(), judge.prompts_of(self.questions))


if __name__ == "__main__":
    unittest.main()
