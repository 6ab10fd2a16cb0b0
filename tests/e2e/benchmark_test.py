"""Benchmarks that a job answers while it trains (train.evaluate.sets): their scores are those of `ftctl eval` of its result, whatever the
number of ranks, and a job that is paused meanwhile stops, and answers when it goes on.
"""

import json
import os
import random
import shutil
import time

import daemons
from full_result_test import write_tokenizer

SUBJECTS = ("anatomy", "college_physics", "jurisprudence", "marketing", "sociology")


class BenchmarkTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.model = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), self.model, copy_function=shutil.copyfile)
        write_tokenizer(self.model)

    def write_questions(self, count):
        """Any questions; the small model's answers to them are of all four letters."""
        source = random.Random(7)
        words = ["".join(source.choice("abcdefgh") for _ in range(source.randrange(2, 9))) for _ in range(50)]
        questions = [{"input": " ".join(source.choices(words, k=source.randrange(2, 8))) + "\nAnswer:",
                      "output": source.choice("ABCD"), "subject": source.choice(SUBJECTS)} for _ in range(count)]
        return self.write_file("questions.json", json.dumps(questions))

    def job(self, name, questions, **changes):
        data = self.write_tokens(daemons.random_samples(32))
        return daemons.tokens_job(name, self.model, data, **{
            "train.epochs": 2, "train.optimizer": {"lr": 5e-3}, "train.evaluate": {"sets": [questions]}, **changes})

    def scores(self, node, job):
        return [point["record"]["score"] for point in node.ask("metrics", job)["points"] if "score" in point["record"]]

    def test_scores_are_those_of_eval(self):
        node = self.daemons()
        questions = self.write_questions(75)
        for ranks, zero in ((1, 0), (2, 0), (2, 3)):
            name = f"of-{ranks}-{zero}"
            job = node.train(self.job(name, questions, parallel={"ranks": ranks, "max_ranks": ranks, "zero": zero}))
            scores = self.scores(node, name)
            last = int(job["progress"]["step"])
            self.assertEqual([int(score["step"]) for score in scores], [last // 2, last], "each epoch's end")
            self.assertEqual({(score["name"], int(score["questions"])) for score in scores}, {("questions", 75)})
            computed = json.loads(node.ftctl("eval", name, "--mmlu", questions, "--max-length", "64", "--dtype", "fp32", "--json"))
            for key in ("subjects", "subcategories", "categories", "average"):
                self.assertEqual(scores[-1][key], computed[key], f"{key} of {ranks} ranks")
            self.assertEqual(set(computed["subjects"]), set(SUBJECTS))
            self.assertTrue(0 < computed["average"] < 100, "answers differ")

    def test_ranks_that_divide_the_weights_answer_and_evaluate_as_one_does(self):
        node = self.daemons()
        questions = self.write_questions(37)
        seen = []
        for ranks, zero in ((1, 0), (2, 3)):
            name = f"of-{ranks}"
            job = node.train(self.job(name, questions, holdout=0.15, **{
                "parallel": {"ranks": ranks, "max_ranks": 2, "zero": zero},
                "train.evaluate": {"sets": [questions], "prompts": ["abc de", "fgh", "a"], "max_new_tokens": 8, "every_steps": 3},
                "train.accumulation": 2 // ranks}))
            records = [point["record"] for point in node.ask("metrics", name)["points"] if point["rank"] == 0]
            asked = [{kind: record[kind] for kind in ("eval", "sample", "score") if kind in record} for record in records]
            seen.append(([record for record in asked if record], job["result"]["adapter_sha256"]))
        self.assertEqual(seen[0], seen[1])
        self.assertGreaterEqual(sum("sample" in record for record in seen[0][0]), 9)
        self.assertGreaterEqual(sum("eval" in record for record in seen[0][0]), 3)

    def test_a_pause_does_not_wait_for_all_answers(self):
        node = self.daemons()
        job = node.submit(self.job("paused", self.write_questions(20_000)))
        daemons.wait_for("questions are answered", lambda: node.get(job)["progress"].get("phase") == "evaluate" and
                         int(node.get(job)["progress"]["step"]) > 0, 60)
        begin = time.monotonic()
        node.ftctl("pause", job)
        paused = node.wait_state(job, "PAUSED", 30)
        self.assertEqual(self.scores(node, job), [], "it stopped before it had answered")
        self.assertLess(time.monotonic() - begin, 20)
        self.assertLess(int(paused["progress"]["step"]), int(paused["progress"]["total_steps"]))
        node.ftctl("resume", job)
        done = node.finish(job, 300)
        last = int(done["progress"]["step"])
        self.assertEqual([int(score["step"]) for score in self.scores(node, job)], [last // 2, last])

    def test_wrong_questions_end_the_job_by_name(self):
        node = self.daemons()
        wrong = self.write_file("wrong.json", json.dumps([{"input": "Q", "output": "E", "subject": "anatomy"}]))
        node.submit(self.job("wrong", wrong))
        job = node.wait_state("wrong", "FAILED", 60)
        self.assertEqual(job["failure"]["failure_class"], "CONFIG")
        self.assertIn(f"train.evaluate.sets: {wrong}: entry 1: the answer is \"E\"; it must be A, B, C or D", job["failure"]["message"])


if __name__ == "__main__":
    daemons.main()
