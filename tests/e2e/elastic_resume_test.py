"""A job that loses machines goes on with fewer, and ends with the bytes of an undisturbed run: four ranks, of which one is killed; two of
its checkpoint, of which one is killed; one to the end. With gradients and moments divided among the ranks, at another stage each time.
"""

import json
import os
import signal
import time

import daemons
from ranks_test import Attempts, errors_of, results, said, small_job


class ElasticResumeTest(daemons.DaemonTest):
    def job(self, **parallel):
        # Steps of 32 micro-batches are slow enough to be killed at one.
        data = self.write_tokens(daemons.random_samples(64))
        return small_job(self.small_model(), data, **{
            "method.kind": "full", "method.dropout": 0, "train.checkpoint.every_steps": 3, "train.accumulation": 8,
            "parallel": dict({"ranks": 4, "max_ranks": 4}, **parallel)})

    def attempts(self, job, name):
        made = Attempts(os.path.join(self.folder, name), job)
        self.addCleanup(made.stop)
        return made

    def checkpoints(self, attempts):
        """Steps of the attempt's checkpoints."""
        folder = os.path.join(attempts.folder, "checkpoints")
        names = os.listdir(folder) if os.path.isdir(folder) else []
        return [int(name.rpartition("-s")[2]) for name in names if name.startswith(f"e{attempts.epoch}-s")]

    def killed(self, attempts, world_size, step, **options):
        """Kills a rank once the step is taken; answers the newest checkpoint."""
        attempt = attempts.write(world_size, "TRAIN", **options)
        ranks = [attempts.start(attempt, rank) for rank in range(world_size)]
        daemons.wait_for("the step", lambda: said(attempt, 0, f"step {step}:") or ranks[0].poll() is not None, 60)
        self.assertIsNone(ranks[0].poll(), errors_of(attempt, 0))
        ranks[-1].send_signal(signal.SIGKILL)
        for rank in ranks:
            rank.wait(30)
        newest = max(self.checkpoints(attempts))
        self.assertGreaterEqual(newest, step - 3)
        path = f"checkpoints/e{attempts.epoch}-s{newest}"
        # A file for each slice of the job, however many ranks wrote them.
        self.assertEqual(sorted(os.listdir(os.path.join(attempts.folder, path))),
                         ["manifest.json"] + [f"slice-{slice:04}.safetensors" for slice in range(4)])
        return path

    def weights(self, attempt):
        return daemons.sha256(os.path.join(attempt, "adapter", "model.safetensors"))

    def lose_ranks(self, exchange):
        changes = {"exchange": exchange, "zero": 3}
        undisturbed = self.attempts(self.job(**dict(changes, zero=0)), f"whole-{exchange}")
        expected = self.weights(undisturbed.train(1))
        attempts = self.attempts(self.job(**changes), f"elastic-{exchange}")
        checkpoint = self.killed(attempts, 4, 7)
        attempts.job = dict(attempts.job, parallel=dict(attempts.job["parallel"], zero=2))
        checkpoint = self.killed(attempts, 2, 13, resume=checkpoint)
        attempts.job = dict(attempts.job, parallel=dict(attempts.job["parallel"], zero=1))
        last = attempts.train(1, resume=checkpoint)
        self.assertEqual(self.weights(last), expected)

    def test_four_ranks_then_two_then_one_end_with_the_bytes_of_one(self):
        self.lose_ranks("micro_batch")

    def test_with_an_exchange_once_a_step(self):
        self.lose_ranks("step")

    def stand_still(self, rank, ranks, transport):
        """Stops a rank of a job at stage 3 for good: it is named, the gang trains again within a minute, and ends with the undisturbed bytes."""
        node = self.daemons(cores=ranks)
        changes = {"parallel": {"ranks": ranks, "max_ranks": ranks, "zero": 3, "transport": transport},
                   "train.checkpoint.every_steps": 5, "train.max_steps": 30, "train.accumulation": 8}
        data = self.write_tokens(daemons.random_samples(64))
        alone = node.train(dict(small_job(self.small_model(), data, **changes), name="alone"))
        name = node.submit(dict(small_job(self.small_model(), data, **changes), name="stands"))
        node.wait_step(name, 6)
        os.kill(node.pid_of_rank(name, rank), signal.SIGSTOP)
        start = time.monotonic()

        def events(kind):
            lines = [json.loads(line) for line in node.ftctl("events", name, "-o", "json").splitlines()]
            return [line["message"] for line in lines if line["type"] == kind]
        waits = daemons.wait_for("an event names the rank", lambda: events("GANG_WAITS"), 30)[0]
        named = time.monotonic() - start
        self.assertIn(f" waits for rank {rank} in ", waits)
        self.assertRegex(waits, r"in (all-gather of (embedding|block\.\d+|head)|tree sum|reduce-scatter|all-gather|broadcast) \d+,")
        self.assertLess(named, 12, waits)
        daemons.wait_for("the gang trains again", lambda: events("RECOVERED"), 90)
        again = time.monotonic() - start
        print(f"named after {named:.1f} s ({waits}), trains again after {again:.1f} s")
        self.assertLess(again, 60)
        done = node.finish(name, 200)
        self.assertGreater(int(done["epoch"]), int(alone["epoch"]))
        self.assertEqual(alone["result"]["adapter_sha256"], done["result"]["adapter_sha256"])

    def test_a_rank_that_stands_still_is_named_with_its_block_and_the_job_goes_on_without_help(self):
        self.stand_still(1, 2, "shm")

    def test_one_of_four_that_stands_still_over_gloo(self):
        self.stand_still(2, 4, "gloo")

    def test_a_checkpoint_of_the_other_order_is_refused(self):
        attempts = self.attempts(self.job(exchange="step", zero=1), "orders")
        attempts.train(2)
        checkpoint = f"checkpoints/e{attempts.epoch}-s18"
        attempts.job = dict(attempts.job, parallel=dict(attempts.job["parallel"], exchange="micro_batch"))
        attempt = attempts.write(1, "TRAIN", resume=checkpoint)
        self.assertEqual(attempts.start(attempt, 0).wait(60), 1)
        self.assertIn("was made with other training settings", errors_of(attempt, 0))


if __name__ == "__main__":
    daemons.main()
