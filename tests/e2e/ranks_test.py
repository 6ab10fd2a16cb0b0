"""Many ranks without daemons: real ft-rank processes started on a prepared attempt folder, as a node's supervisor starts
them. The number of ranks and what carries their exchange change no byte; a rank that dies ends its peers; a checkpoint of
two ranks goes on with one or four.
"""

import glob
import json
import os
import signal
import socket
import subprocess
import time

import daemons

STEPS = 20


class Attempts:
    """One job's run folder, with an attempt folder for each run of it."""

    def __init__(self, folder, job):
        self.folder = folder
        self.job = job
        self.epoch = 0
        self.ranks = []
        os.makedirs(folder)
        attempt = self.write(1, "PREPARE")
        self.start(attempt, 0).wait(60)
        caches = glob.glob(os.path.join(folder, "cache", "data", "*.ftt"))
        assert len(caches) == 1, daemons.tail(os.path.join(attempt, "rank0", "stderr.log"))
        self.cache = caches[0]

    def write(self, world_size, kind, store="file", resume="", transport="auto"):
        """A new attempt's folder with its job.json; answers its path."""
        self.epoch += 1
        attempt = os.path.join(self.folder, "attempts", str(self.epoch))
        for rank in range(world_size):
            os.makedirs(os.path.join(attempt, f"rank{rank}"))
        spec = dict(self.job, parallel=dict(self.job.get("parallel", {}), transport=transport))
        run = {"job_id": "job", "epoch": self.epoch, "kind": kind, "world_size": world_size, "threads": 1,
               "run_dir": self.folder, "cache_dir": os.path.join(self.folder, "cache"), "resume_path": resume,
               "rendezvous": {"store": store, "path": "rendezvous", "host": "127.0.0.1"}}
        if kind == "TRAIN":
            run["prepared_cache"] = self.cache
            run["prepared_sha256"] = os.path.basename(self.cache).removesuffix(".ftt")
        with open(os.path.join(attempt, "job.json"), "w", encoding="utf-8") as file:
            json.dump({"spec": spec, "run": run}, file)
        return attempt

    def start(self, attempt, rank, control=None):
        """One rank's process; `control` is the rank's end of its command socket."""
        command = [os.path.join(daemons.BIN, "ft-rank"), "run", "--attempt", attempt, "--rank", str(rank)]
        if control is not None:
            command += ["--control-fd", str(control.fileno())]
        folder = os.path.join(attempt, f"rank{rank}")
        with open(os.path.join(folder, "stdout.log"), "ab") as out, open(os.path.join(folder, "stderr.log"), "ab") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       pass_fds=[] if control is None else [control.fileno()],
                                       env=dict(os.environ, OMP_NUM_THREADS="1"))
        self.ranks.append(process)
        return process

    def train(self, world_size, seconds=240, **options):
        """Runs an attempt on so many ranks to its end; answers its folder."""
        attempt = self.write(world_size, "TRAIN", **options)
        ranks = [self.start(attempt, rank) for rank in range(world_size)]
        for rank, process in enumerate(ranks):
            if process.wait(seconds) != 0:
                raise RuntimeError(f"rank {rank} of {world_size}: {errors_of(attempt, rank)}")
        return attempt

    def stop(self):
        for process in self.ranks:
            if process.poll() is None:
                process.kill()
            process.wait(10)


def errors_of(attempt, rank):
    return daemons.tail(os.path.join(attempt, f"rank{rank}", "stderr.log"))


def said(attempt, rank, text):
    return text in daemons.tail(os.path.join(attempt, f"rank{rank}", "stdout.log"), 1 << 20)


def results(attempt):
    """What must not change with the ranks: the bytes of adapter and ledger."""
    paths = (os.path.join(attempt, "adapter", "adapter_model.safetensors"), os.path.join(attempt, "ledger.ftr"))
    return [daemons.sha256(path) for path in paths]


def small_job(model, data, **changes):
    settings = {"train.epochs": 1000, "train.max_steps": STEPS, "train.accumulation": 1, "method.dropout": 0.1,
                "parallel": {"ranks": 4, "max_ranks": 4}}
    settings.update(changes)
    return daemons.tokens_job("ranks", model, data, **settings)


class RanksTest(daemons.DaemonTest):
    def attempts(self, job, name="run"):
        made = Attempts(os.path.join(self.folder, name), job)
        self.addCleanup(made.stop)
        return made

    def tokens(self, count=64, **options):
        return self.write_tokens(daemons.random_samples(count, **options))

    def compare(self, attempts):
        one = results(attempts.train(1))
        for world_size in (2, 4):
            for transport in ("shm", "gloo"):
                other = results(attempts.train(world_size, transport=transport))
                self.assertEqual(one, other, f"{world_size} ranks over {transport}")

    def test_one_two_and_four_ranks_give_the_same_bytes_with_lora(self):
        self.compare(self.attempts(small_job(self.small_model(), self.tokens(), holdout=0.2)))

    def test_one_two_and_four_ranks_give_the_same_bytes_with_qlora(self):
        job = small_job(self.small_model(), self.tokens(), **{"method.kind": "qlora", "model.dtype": "bf16",
                                                              "train.packing": True})
        self.compare(self.attempts(job))

    def test_one_two_and_four_ranks_give_the_same_bytes_on_the_demo_model(self):
        model = self.need_demo_model()
        data = self.tokens(16, vocabulary=40000, shortest=40, longest=60)
        job = small_job(model, data, **{"model.dtype": "auto", "method.kind": "qlora", "train.max_steps": 3,
                                        "train.micro_batch": 1})
        self.compare(self.attempts(job))

    def test_a_job_submitted_for_one_rank_equals_one_submitted_for_four(self):
        model, data = self.small_model(), self.tokens()
        four = self.attempts(small_job(model, data), "four")
        one = self.attempts(small_job(model, data, **{"train.accumulation": 4, "parallel": {"ranks": 1, "max_ranks": 4}}), "one")
        self.assertEqual(results(one.train(1)), results(four.train(4)))

    def test_a_checkpoint_of_two_ranks_goes_on_with_one_or_four(self):
        job = small_job(self.small_model(), self.tokens(), **{"train.checkpoint.every_steps": 8})
        attempts = self.attempts(job)
        whole = attempts.train(2)
        checkpoint = f"checkpoints/e{attempts.epoch}-s8"
        self.assertTrue(os.path.isdir(os.path.join(attempts.folder, checkpoint)))
        ends = [attempts.train(ranks, resume=checkpoint) for ranks in (1, 4)]
        for attempt in ends:
            self.assertEqual(results(attempt)[0], results(whole)[0])
            self.assertTrue(said(attempt, 0, f"steps 9 to {STEPS}"))
        self.assertEqual(results(ends[0]), results(ends[1]))

    def test_a_stop_that_one_rank_hears_stops_all_at_the_same_step(self):
        job = small_job(self.small_model(), self.tokens(), **{"train.max_steps": 100000})
        attempts = self.attempts(job)
        attempt = attempts.write(2, "TRAIN")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ranks = [attempts.start(attempt, 0), attempts.start(attempt, 1, theirs)]
            daemons.wait_for("a step", lambda: said(attempt, 0, "step 5:"), 30)
            ours.sendall(b"stop\n")
            self.assertEqual([process.wait(30) for process in ranks], [0, 0])
        steps = [daemons.tail(os.path.join(attempt, f"rank{rank}", "stdout.log")).rpartition("stopped after step ")[2].split()[0]
                 for rank in (0, 1)]
        self.assertEqual(steps[0], steps[1])
        self.assertTrue(os.path.isdir(os.path.join(attempts.folder, f"checkpoints/e{attempts.epoch}-s{steps[0]}")))

    def killed(self, transport, victim):
        job = small_job(self.small_model(), self.tokens(), **{"train.max_steps": 100000})
        attempts = self.attempts(job)
        attempt = attempts.write(2, "TRAIN", transport=transport)
        ranks = [attempts.start(attempt, rank) for rank in (0, 1)]
        daemons.wait_for("a step", lambda: said(attempt, 0, "step 3:"), 30)
        ranks[victim].send_signal(signal.SIGKILL)
        start = time.monotonic()
        left = 1 - victim
        self.assertEqual(ranks[left].wait(20), 1)
        self.assertLess(time.monotonic() - start, 5)
        self.assertRegex(errors_of(attempt, left), f"NETWORK: rank {left} of 2: .* over {transport}")

    def test_a_killed_rank_ends_its_peer_over_shm(self):
        self.killed("shm", victim=1)

    def test_a_killed_rank_0_ends_its_peer_over_gloo(self):
        self.killed("gloo", victim=0)

    def test_ranks_of_several_nodes_meet_where_rank_0_says(self):
        attempts = self.attempts(small_job(self.small_model(), self.tokens()))
        expected = results(attempts.train(1))
        attempt = attempts.write(2, "TRAIN", store="tcp")
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ranks = [attempts.start(attempt, 0), attempts.start(attempt, 1, theirs)]
            log = os.path.join(attempt, "rank0", "stdout.log")
            daemons.wait_for("rank 0's address", lambda: said(attempt, 0, "peers meet at "), 30)
            address = daemons.tail(log).partition("peers meet at ")[2].split()[0]
            self.assertRegex(address, r"^127\.0\.0\.1:\d+$")
            ours.sendall(f"rendezvous {address}\n".encode())
            self.assertEqual([process.wait(120) for process in ranks], [0, 0])
        self.assertEqual(results(attempt), expected)


if __name__ == "__main__":
    daemons.main()
