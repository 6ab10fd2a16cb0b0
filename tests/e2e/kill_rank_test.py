"""A rank that is killed at random moments ends with the bytes of one that was left alone: adapter, ledger, every digest.
And two runs whose data differ in one token are told apart, by step and tensor.

FT_SOAK=1 kills ten times instead of three. FT_SEED repeats a run; the seed is printed.
"""

import glob
import json
import os
import signal
import time

import daemons

KILLS = 10 if daemons.SOAK else 3
STEPS = 120 if daemons.SOAK else 40
SAMPLES = 256
DEMO_STEPS = 40
FOUR_SLICES = {"ranks": 1, "max_ranks": 4}  # Whose checkpoints are four files.


def slow_job(name, model, data, **changes):
    """Steps of many micro-batches, so that a run takes seconds, with a checkpoint every other step."""
    settings = {"train.accumulation": 32, "train.epochs": 1000, "train.max_steps": STEPS,
                "train.checkpoint": {"every_steps": 2, "keep_last": 2}, "method.dropout": 0.1}
    settings.update(changes)
    return daemons.tokens_job(name, model, data, **settings)


class KillRankTest(daemons.DaemonTest):
    def undisturbed(self, node, job):
        """A run that nobody disturbs, and how many seconds its ranks took."""
        name = node.submit(job)
        node.training_rank(name)
        start = time.monotonic()
        done = node.finish(name, timeout=600)
        return done, time.monotonic() - start

    def killed(self, node, job, step_seconds):
        """The same job with its rank killed at random moments; a rank that comes back after the next one dies at once."""
        moments = daemons.random_moments(daemons.seeded_random(), KILLS, job["train"]["max_steps"])
        name = node.submit(job)
        rank = 0
        for moment in moments:
            rank = node.training_rank(name, other_than=rank)
            node.wait_moment(name, moment, step_seconds)
            self.assertTrue(daemons.is_alive(rank), "the rank ended before it was killed")
            os.kill(rank, signal.SIGKILL)
        return node.finish(name, timeout=600)

    def compare(self, kind):
        model = self.small_model()
        data = self.write_tokens(daemons.random_samples(SAMPLES))
        node = self.daemons()
        one, seconds = self.undisturbed(node, slow_job("left-alone", model, data, **{"method.kind": kind}))
        two = self.killed(node, slow_job("killed", model, data, **{"method.kind": kind}), seconds / STEPS)
        print(f"undisturbed {seconds:.1f} s")
        self.check_equal(node, one, two, STEPS)

    def check_equal(self, node, one, two, count):
        """The killed run against the one left alone: attempts, bytes and steps."""
        print(f"the killed run took {two['epoch']} attempts")
        self.assertGreaterEqual(int(two["epoch"]), int(one["epoch"]) + KILLS)
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertRegex(one["result"][key], "^[0-9a-f]{64}$")
            self.assertEqual(one["result"][key], two["result"][key], key)
        for job in (one, two):
            adapter = os.path.join(job["result"]["adapter_dir"], "adapter_model.safetensors")
            self.assertEqual(daemons.sha256(adapter), job["result"]["adapter_sha256"])
        answer = node.ask("diff", "left-alone", "killed")
        self.assertEqual(answer, {"equal": True, "steps": count})
        steps = [int(step["step"]) for step in node.steps("killed")]
        self.assertEqual(steps, list(range(1, count + 1)))

    def damaged(self, node, job, damage):
        """The same job, stopped at some step, damaged in its two newest checkpoints (the newer last) and killed; answers its id and the
        last step that was taken."""
        name = node.submit(job)
        rank = node.training_rank(name)
        node.wait_step(name, 7)
        os.kill(rank, signal.SIGSTOP)
        folder = os.path.join(node.get(name)["run_dir"], "checkpoints")

        def committed():
            steps = sorted(int(entry.rpartition("-s")[2]) for entry in os.listdir(folder) if not entry.startswith("."))
            return steps[-2:] if steps[-1] == int(node.get(name)["progress"]["checkpoint_step"]) else None
        older, newer = (glob.glob(os.path.join(folder, f"e*-s{step}"))[0]
                        for step in daemons.wait_for("the newest checkpoint's commit", committed, 30))
        last = int(node.get(name)["progress"]["step"])
        damage(older, newer)
        os.kill(rank, signal.SIGKILL)
        return name, last

    def flip(self, path):
        with open(path, "r+b") as file:
            file.seek(-3, os.SEEK_END)
            byte = file.read(1)[0]
            file.seek(-3, os.SEEK_END)
            file.write(bytes([byte ^ 1]))

    def test_the_checkpoint_before_a_damaged_one_is_taken(self):
        model, data = self.small_model(), self.write_tokens(daemons.random_samples(SAMPLES))
        node = self.daemons()
        one, _ = self.undisturbed(node, slow_job("left-alone", model, data, parallel=FOUR_SLICES))
        paths = []

        def damage(older, newer):
            paths.extend([older, os.path.join(newer, "slice-0002.safetensors")])
            self.flip(paths[1])
        name, _ = self.damaged(node, slow_job("damaged", model, data, parallel=FOUR_SLICES), damage)
        two = node.finish(name, timeout=600)
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertRegex(one["result"][key], "^[0-9a-f]{64}$")
            self.assertEqual(one["result"][key], two["result"][key], key)
        events = [json.loads(line) for line in node.ftctl("events", name, "-o", "json").splitlines()]
        said = [event["message"] for event in events if event["type"] == "RANK_CHECKPOINT_DAMAGED"]
        self.assertEqual(said, [f"{paths[1]} differs from its manifest: the checkpoint is damaged; going on from "
                                f"checkpoints/{os.path.basename(paths[0])} instead"])

    def test_with_no_checkpoint_left_the_job_fails_and_takes_no_step(self):
        model, data = self.small_model(), self.write_tokens(daemons.random_samples(SAMPLES))
        node = self.daemons()
        paths = []

        def damage(older, newer):
            paths.append(os.path.join(newer, "slice-0003.safetensors"))
            os.remove(paths[0])
            os.truncate(os.path.join(older, "slice-0001.safetensors"), 100)
        name, last = self.damaged(node, slow_job("damaged", model, data, parallel=FOUR_SLICES), damage)
        failed = node.wait_state(name, "FAILED", 120)
        self.assertIn(f"{paths[0]} is missing: the checkpoint is damaged; no older one can be taken either, of 1",
                      failed["state_message"])
        self.assertEqual(failed["failure"]["failure_class"], "DATA")
        self.assertEqual(int(node.steps(name)[-1]["step"]), last)

    @daemons.only_in_soak
    def test_the_demo_model_killed_at_random_moments_has_the_same_bits(self):
        model = self.need_demo_model()
        data = self.write_tokens(daemons.random_samples(64, shortest=64, longest=128))
        settings = {"method": {"kind": "qlora", "rank": 16, "alpha": 32, "dropout": 0.1}, "train.max_steps": DEMO_STEPS,
                    "model.dtype": "bf16", "train.accumulation": 4, "train.micro_batch": 1,
                    "train.max_length": 128, "train.epochs": 1000,
                    "train.checkpoint": {"every_steps": 1, "keep_last": 2}, "resources": {"device": "cpu", "threads": 2}}
        node = self.daemons()
        one, seconds = self.undisturbed(node, daemons.tokens_job("left-alone", model, data, **settings))
        two = self.killed(node, daemons.tokens_job("killed", model, data, **settings), seconds / DEMO_STEPS)
        self.check_equal(node, one, two, DEMO_STEPS)

    def test_lora_killed_at_random_moments_has_the_same_bits(self):
        self.compare("lora")

    def test_qlora_killed_at_random_moments_has_the_same_bits(self):
        self.compare("qlora")

    def test_diff_names_step_and_tensor_of_one_changed_token(self):
        model = self.small_model()
        samples = daemons.random_samples(24)
        changed = [list(sample) for sample in samples]
        changed[17][5] = changed[17][5] % 255 + 3
        node = self.daemons()
        jobs = {"one": self.write_tokens(samples, "one.jsonl"), "other": self.write_tokens(changed, "other.jsonl")}
        for name, data in jobs.items():
            node.train(daemons.tokens_job(name, model, data, **{"train.shuffle": False}))
        answer = node.ask("diff", "one", "other", status=1)
        # Two samples a step, in the file's order: sample 17 belongs to step 9.
        self.assertEqual((answer["equal"], answer["step"], answer["kind"]), (False, 9, "GRADIENT"))
        self.assertRegex(answer["tensor"], r"layers\.\d+\..*lora_[AB]")
        shown = node.ftctl("diff", "one", "other", status=1)
        self.assertIn("step 9", shown)
        self.assertIn(answer["tensor"], shown)


if __name__ == "__main__":
    daemons.main()
