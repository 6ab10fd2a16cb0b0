"""Files that a job evaluates itself on while it trains (train.evaluate.prompt_files and perplexity): what it reports are the figures and
answers of `ftctl eval` of its result, whatever the number of ranks; what is wrong with a file ends the job by name before it trains.
Also what chat ends its answers at.
"""

import json
import math
import os
import shutil

import daemons
from full_result_test import write_tokenizer

PROMPTS = ("abc de", "fgh", "hello there")
NEW_TOKENS = 24


class EvaluationFilesTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.model = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), self.model, copy_function=shutil.copyfile)
        write_tokenizer(self.model)

    def job(self, name, **changes):
        data = self.write_tokens(daemons.random_samples(32))
        return daemons.tokens_job(name, self.model, data, **{"train.epochs": 2, "train.optimizer": {"lr": 5e-3}, **changes})

    def evaluation(self, **changes):
        texts = "\n\n".join(f"a text of {n} words that nobody trains on" for n in range(3, 9))
        questions = "".join(json.dumps({"question": prompt}) + "\n" for prompt in PROMPTS[1:])
        return {"prompts": [PROMPTS[0]], "max_new_tokens": NEW_TOKENS, "template": "none",
                "prompt_files": [self.write_file("questions.jsonl", questions)],
                "perplexity": [self.write_tokens(daemons.random_samples(5, seed=9), "held_out.jsonl"), self.write_file("wiki.txt", texts)],
                **changes}

    def records(self, node, job, kind):
        return [point["record"][kind] for point in node.ask("metrics", job)["points"] if kind in point["record"]]

    def test_figures_and_answers_are_those_of_eval(self):
        node = self.daemons()
        evaluate = self.evaluation()
        held_out, wiki = evaluate["perplexity"]
        seen = []
        for ranks, zero in ((1, 0), (2, 0), (2, 3)):
            name = f"of-{ranks}-{zero}"
            job = node.train(self.job(name, **{"parallel": {"ranks": ranks, "max_ranks": 2, "zero": zero}, "train.accumulation": 2 // ranks,
                                               "train.evaluate": evaluate}))
            last = int(job["progress"]["step"])
            evals, samples = self.records(node, name, "eval"), self.records(node, name, "sample")
            self.assertEqual([(int(one.get("step", 0)), one["name"]) for one in evals],
                             [(step, set_) for step in (0, last) for set_ in ("held_out", "wiki")])
            self.assertEqual([(int(one.get("step", 0)), one["prompt"]) for one in samples],
                             [(step, prompt) for step in (0, last) for prompt in PROMPTS])
            self.assertLess(evals[-1]["loss"], math.log(259) * 3)
            newest = [(one["name"], int(one["step"]), one["loss"]) for one in job["progress"]["evaluations"]]
            self.assertEqual(newest, [(one["name"], last, one["loss"]) for one in evals[2:]])
            seen.append((evals, samples))
            lines = node.ftctl("eval", name, "--perplexity", held_out, "--perplexity", wiki, "--dtype", "fp32", "--json").splitlines()
            for line, told in zip(map(json.loads, lines), evals[2:], strict=True):
                self.assertEqual((line["loss"], line["tokens"]), (told["loss"], int(told["supervised_tokens"])), line["file"])
                self.assertAlmostEqual(line["perplexity"], math.exp(line["loss"]), delta=1e-9 * line["perplexity"])
            lines = node.ftctl("eval", name, "--prompts", evaluate["prompt_files"][0], "--dtype", "fp32", "--template", "none",
                               "--max-new-tokens", str(NEW_TOKENS), "--json").splitlines()
            self.assertEqual([json.loads(line) for line in lines],
                             [{"prompt": one["prompt"], "answer": one["text"]} for one in samples[-2:]])
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0], seen[2])

    def test_get_and_the_data_report_tell_them(self):
        node = self.daemons()
        job = node.train(self.job("told", **{"train.evaluate": self.evaluation()}))
        shown = node.ftctl("get", "told")
        loss = job["progress"]["evaluations"][1]["loss"]
        self.assertRegex(shown, rf"Evaluation: +wiki at step \d+: loss {loss:.4f}, perplexity {math.exp(loss):.4g}\n")
        self.assertIn("wiki.txt: 6 samples for perplexity, ", shown)
        self.assertRegex(node.ftctl("eval", "told", "--perplexity", os.path.join(self.folder, "wiki.txt"), "--dtype", "fp32"),
                         rf"wiki.txt: perplexity {math.exp(loss):.4g}, loss {loss:.4f} over \d+ tokens of 6 samples\n$")

    def test_wrong_files_end_the_job_before_it_trains(self):
        node = self.daemons()
        prompts = self.write_file("no_prompts.jsonl", '{"a": "x", "b": "y"}\n')
        text = self.write_file("no_tokens.jsonl", '{"input_ids": [1, 2, 99999], "labels": [1, 2, 3]}\n')
        for name, key, file, told in (("asks", "prompt_files", prompts, "line 1: no field is a prompt"), ("reads", "perplexity", text, "99999")):
            node.submit(self.job(name, **{"train.evaluate": {key: [file]}}))
            failure = node.wait_state(name, "FAILED", 60)["failure"]
            self.assertEqual(failure["failure_class"], "DATA")
            self.assertIn(f"train.evaluate.{key}: ", failure["message"])
            self.assertIn(file, failure["message"])
            self.assertIn(told, failure["message"])
            self.assertEqual(node.steps(name), [])

    def test_chat_ends_where_it_is_told(self):
        node = self.daemons()
        node.train(self.job("talk"))
        ask = ("chat", "talk", "--template", "none", "--prompt", "abc de", "--dtype", "fp32", "--max-new-tokens", "40")
        whole = json.loads(node.ftctl(*ask, "--json"))["answer"]
        at = next(i for i in range(4, len(whole) - 3) if whole[i:i + 2].isprintable() and whole.find(whole[i:i + 2]) == i and
                  not whole[i - 1:i + 2].isspace())
        word = whole[at:at + 2]
        cut = json.loads(node.ftctl(*ask, "--json", "--stop-word", word))
        self.assertEqual(cut["answer"], whole[:at])
        self.assertEqual(node.ftctl(*ask, "--stop-word", word), whole[:at] + "\n", "what is shown as it comes")
        self.assertNotEqual(json.loads(node.ftctl(*ask, "--json", "--repetition-penalty", "1.8"))["answer"], whole)
        named = json.loads(node.ftctl(*ask, "--json", "--system-template", "coder"))["answer"]
        plain = json.loads(node.ftctl(*ask, "--json", "--system", "You are a professional programer. Please provide the corresponding code "
                                      "based on the description of Human.\n"))["answer"]
        self.assertEqual(named, plain)
        for words, told in ((("--system-template", "codr"), "there is no text called 'codr', did you mean 'coder'?"),
                            (("--bot-name", "B"), "--bot-name is of --system-template only"),
                            (("--stop-word", ""), "--stop-word is empty"),
                            (("--repetition-penalty", "0"), "the repetition penalty above 0")):
            done = node.run(*ask, *words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(told, done.stderr)


if __name__ == "__main__":
    daemons.main()
