"""A worker that is asked to stop loses nothing: its gang checkpoints, goes on elsewhere, and ends with the bytes of a run that
was left alone, having done every step once.

Two ranks over two of three workers that share their storage; SIGTERM meets one of the two at random steps. FT_SOAK=1 stops
ten times instead of three; FT_SEED repeats a run, and the seed is printed.
"""

import os
import signal
import time

import daemons
import history

STOPS = 10 if daemons.SOAK else 3
STEPS = 60
EXIT_LIMIT = 10
MICRO_BATCHES = 64  # A step takes some tens of milliseconds, so that a stop meets the middle of one.


def drain_job(name, model, data):
    return daemons.tokens_job(name, model, data, **{
        "train.accumulation": MICRO_BATCHES // 2, "train.epochs": 1000, "train.max_steps": STEPS, "method.dropout": 0.1,
        "train.checkpoint": {"every_steps": 500, "keep_last": 2}, "parallel": {"ranks": 2}})


class DrainTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.random = daemons.seeded_random()

    def start(self, workers=("a", "b", "c"), stop_grace="60s"):
        self.node = self.daemons(start=False)
        self.node.start_coordinator()
        self.grace = stop_grace
        self.workers = {}
        for name in workers:
            self.start_worker(name)
        self.wait_ready(len(workers))

    def start_worker(self, name):
        config = self.write_config(f"worker-{name}", node_id=name, cores=1, shared=os.path.join(self.folder, "shared"),
                                   coordinator="unix:" + self.node.worker_socket, stop_grace=self.grace, nvml="none")
        self.workers[name] = self.node.start_other_worker(name, ["--config", config])

    def states(self):
        done = self.node.run("nodes", "-o", "json", timeout=5)
        return daemons.json.loads(done.stdout)["nodes"] if done.returncode == 0 else []

    def wait_ready(self, count):
        daemons.wait_for(f"{count} node(s) are READY",
                         lambda: sum(node["state"] == "READY" for node in self.states()) == count, 30)

    def ranks_of(self, job):
        """Names of the nodes that run the job now."""
        return [node["node_id"] for node in self.states() if any(name.endswith(job) for name in node["jobs"])]

    def train_alone(self, model, data):
        done = self.node.finish(self.node.submit(drain_job("alone", model, data)), timeout=300)
        self.assertEqual(int(done["epoch"]), 2)
        return done

    def wait_gang(self, job, step):
        self.node.wait_step(job, step, 120)
        return daemons.wait_for("both ranks run", lambda: len(self.ranks_of(job)) == 2 and self.ranks_of(job), 60)

    def stop(self, name):
        """SIGTERM; the exit status and how long it took."""
        start = time.monotonic()
        self.workers[name].send_signal(signal.SIGTERM)
        status = self.workers[name].wait(60)
        return status, time.monotonic() - start

    def done_twice(self, job):
        """Steps that more than one attempt's ledger holds."""
        seen, twice = set(), set()
        folder = os.path.join(self.folder, "shared", "runs", job, "attempts")
        for epoch in os.listdir(folder):
            steps = set(history.read_ledger(os.path.join(folder, epoch, "ledger.ftr")))
            twice |= seen & steps
            seen |= steps
        self.assertEqual(sorted(seen), list(range(1, STEPS + 1)))
        return twice

    def compare(self, alone, done, job, twice=frozenset()):
        self.assertEqual(self.done_twice(job), set(twice))
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertRegex(alone["result"][key], "^[0-9a-f]{64}$")
            self.assertEqual(alone["result"][key], done["result"][key], key)
        self.assertFalse(done.get("failure"), "nothing is charged to the job")

    def test_a_stop_costs_no_step(self):
        model, data = self.small_model(), self.write_tokens(daemons.random_samples(256))
        self.start()
        alone = self.train_alone(model, data)
        job = self.node.submit(drain_job("drained", model, data))
        for stop in range(STOPS):
            running = self.wait_gang(job, int((stop + self.random.random()) * 0.8 * STEPS / STOPS))
            leaves = self.random.choice(running)
            status, seconds = self.stop(leaves)
            self.assertEqual(status, 0)
            self.assertLess(seconds, EXIT_LIMIT)
            self.start_worker(leaves)
        done = self.node.finish(job, timeout=300)
        self.assertGreater(int(done["epoch"]), 2, "no stop met the run")
        self.compare(alone, done, job)

    def test_a_stop_before_the_ranks_have_met(self):
        """A rank that waits for a peer which is not started any more does not wait for the end of stop_grace."""
        model, data = self.small_model(), self.write_tokens(daemons.random_samples(256))
        self.start()
        alone = self.train_alone(model, data)
        job = self.node.submit(drain_job("drained", model, data))
        for _ in range(STOPS):
            # As soon as the gang has its places.
            leaves = self.random.choice(daemons.wait_for("both ranks have a place", lambda: len(self.ranks_of(job)) == 2 and
                                                         self.ranks_of(job), 60, pause=0.005))
            status, seconds = self.stop(leaves)
            self.assertEqual(status, 0)
            self.assertLess(seconds, EXIT_LIMIT)
            self.start_worker(leaves)
        self.compare(alone, self.node.finish(job, timeout=300), job)

    def test_a_stop_while_the_coordinator_is_away(self):
        model, data = self.small_model(), self.write_tokens(daemons.random_samples(256))
        self.start()
        alone = self.train_alone(model, data)
        job = self.node.submit(drain_job("drained", model, data))
        leaves = self.random.choice(self.wait_gang(job, 10))
        self.node.kill_coordinator()
        self.workers[leaves].send_signal(signal.SIGTERM)
        time.sleep(2)
        self.assertIsNone(self.workers[leaves].poll(), "it waits for somebody to take what it has")
        self.node.start_coordinator()
        self.assertEqual(self.workers[leaves].wait(60), 0)
        self.compare(alone, self.node.finish(job, timeout=300), job)

    def test_past_stop_grace_the_rest_goes_out_at_the_next_start(self):
        model, data = self.small_model(), self.write_tokens(daemons.random_samples(256))
        self.start(workers=("a", "b"), stop_grace="3s")
        alone = self.train_alone(model, data)
        job = self.node.submit(drain_job("drained", model, data))
        leaves = self.random.choice(self.wait_gang(job, 10))
        self.node.kill_coordinator()
        status, seconds = self.stop(leaves)
        self.assertEqual(status, 0)
        self.assertLess(seconds, EXIT_LIMIT)
        self.node.start_coordinator()
        self.start_worker(leaves)
        self.compare(alone, self.node.finish(job, timeout=300), job)

    def test_up_after_a_drain_says_how_to_uncordon(self):
        node = self.daemons(start=False)
        self.addCleanup(node.run, "down")
        node.ftctl("up")
        name = node.ask("nodes")["nodes"][0]["node_id"]
        node.ftctl("drain", name, "--wait")
        node.ftctl("down")
        begin = time.monotonic()
        up = node.run("up")
        self.assertEqual(up.returncode, 0, up.stderr)
        self.assertLess(time.monotonic() - begin, 20)
        hint = f"Node {name} was cordoned or drained and takes nothing new: `ftctl uncordon {name}`"
        self.assertIn(hint, " ".join(up.stderr.split()))
        self.assertIn(hint, " ".join(node.run("up").stderr.split()), "and so it does for who asks again")
        self.assertIn(f"{name} was cordoned or drained", node.run("doctor").stdout)
        node.ftctl("uncordon", name)
        self.assertNotIn("uncordon", node.run("up").stderr)
        self.assertTrue(node.node_is_ready())


if __name__ == "__main__":
    daemons.main()
