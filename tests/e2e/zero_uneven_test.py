"""Data that does not come out even, with four real ranks that divide the weights: each case ends with the bytes of one rank that has
everything, in seconds, and with its held-out losses and answers. worker/train/trainer/zero_uneven_test.cc has it on threads, with samples that have
no label too, which no preparation leaves in a set.
"""

import os
import re
import shutil

import daemons
from full_result_test import write_tokenizer
from ranks_test import Attempts, small_job

SECONDS = 30  # Of one attempt.
TIME = re.compile(r", \d+\.\d+ s$")


class ZeroUnevenTest(daemons.DaemonTest):
    def tell(self, attempt):
        """What rank 0 prints of steps, held-out losses and answers, without the time that they took."""
        path = os.path.join(attempt, "rank0", "stdout.log")
        with open(path, encoding="utf-8") as file:
            return [TIME.sub("", line.rstrip()) for line in file if re.match(r"step \d+: (?!checkpoint)", line)]

    def ends_as_one(self, samples, model=None, holdout=0.0, **changes):
        """Trains on one rank at stage 0 and on four at stages 2 and 3; answers what the one said."""
        job = small_job(model or self.small_model(), self.write_tokens(samples), holdout=holdout, **{
            "method.kind": "full", "method.dropout": 0.0, "train.micro_batch": 1, "train.epochs": 1, "train.max_steps": 0,
            "train.accumulation": 4, "parallel": {"ranks": 1, "max_ranks": 4}, **changes})
        attempts = Attempts(os.path.join(self.folder, "run"), job)
        self.addCleanup(attempts.stop)
        seen = []
        for ranks, zero in ((1, 0), (4, 2), (4, 3)):
            attempts.job = dict(job, parallel=dict(job["parallel"], zero=zero))
            attempt = attempts.train(ranks, seconds=SECONDS)
            weights, ledger = os.path.join(attempt, "adapter", "model.safetensors"), os.path.join(attempt, "ledger.ftr")
            seen.append((self.tell(attempt), daemons.sha256(weights), daemons.sha256(ledger)))
        for found, (ranks, zero) in zip(seen[1:], ((4, 2), (4, 3))):
            self.assertEqual(found, seen[0], f"{ranks} ranks at stage {zero}")
        return seen[0][0]

    def steps(self, told):
        return [line for line in told if re.match(r"step \d+: loss", line)]

    def test_a_last_step_of_one_micro_batch(self):
        self.assertEqual(len(self.steps(self.ends_as_one(daemons.random_samples(9)))), 3)

    def test_a_last_round_of_five_of_eight(self):
        told = self.ends_as_one(daemons.random_samples(26), **{"train.accumulation": 13, "parallel": {"ranks": 1, "max_ranks": 8}})
        self.assertEqual(len(self.steps(told)), 2)

    def test_five_held_out_samples(self):
        told = self.ends_as_one(daemons.random_samples(20), holdout=0.25, **{"train.evaluate": {"every_steps": 2}})
        self.assertTrue(any("holdout loss" in line for line in told), told)

    def test_no_held_out_sample(self):
        told = self.ends_as_one(daemons.random_samples(8), holdout=0.0, **{"train.evaluate": {"every_steps": 1}})
        self.assertFalse(any("holdout loss" in line for line in told), told)

    def test_three_prompts(self):
        model = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), model, copy_function=shutil.copyfile)
        write_tokenizer(model)
        told = self.ends_as_one(daemons.random_samples(12), model=model, **{
            "train.evaluate": {"prompts": ["abc de", "fgh", "a"], "max_new_tokens": 8, "every_steps": 2}})
        self.assertGreaterEqual(sum("->" in line for line in told), 6, told)


if __name__ == "__main__":
    daemons.main()
