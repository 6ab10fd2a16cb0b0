"""Whoever dies, at whatever moment: the job succeeds with the bytes of a run that was left alone.

Victims are a rank, the agent, the supervisor with its ranks, and the coordinator; the supervisor restarts the agent, the test
the others. history_check judges what happened. FT_SOAK=1 kills each ten times instead of twice; FT_SEED repeats a run, and
the seed is printed; FT_RANKS is the number of ranks.
"""

import os
import signal
import statistics
import time

import daemons
import history

KILLS = 10 if daemons.SOAK else 2
RANKS = int(os.environ.get("FT_RANKS") or 2)
STEPS = 60
# Micro-batches a step, of all ranks together: what dies needs a second to come back, and the run
# is to outlast all kills.
MICRO_BATCHES = 480 if daemons.SOAK else 96


def matrix_job(name, model, data):
    """60 steps of many micro-batches, so that each takes 50 ms or more, with a checkpoint every fifth."""
    return daemons.tokens_job(name, model, data, **{
        "train.accumulation": MICRO_BATCHES // RANKS, "train.epochs": 1000, "train.max_steps": STEPS, "method.dropout": 0.1,
        "train.checkpoint": {"every_steps": 5, "keep_last": 2}, "parallel": {"ranks": RANKS}})


class KillMatrixTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        print(f"FT_RANKS={RANKS}")
        self.random = daemons.seeded_random()

    def ranks_of(self, node, name):
        """Pids of the ranks that train a job, all of the gang; empty while there is not a whole one."""
        def trains(pid):
            run = node.attempt_of(pid).get("run", {})
            return (run.get("job_id"), run.get("kind")) == (name, "TRAIN")
        found = [pid for pid in node.rank_pids() if trains(pid)]
        return found if len(found) == RANKS else []

    def wait_ranks(self, node, name):
        return daemons.wait_for(f"{RANKS} rank(s) train {name}", lambda: self.ranks_of(node, name), 60)

    def undisturbed(self, node, model, data):
        name = node.submit(matrix_job("left-alone", model, data))
        self.wait_ranks(node, name)
        start = time.monotonic()
        done = node.finish(name, timeout=300)
        took = statistics.median(float(step["seconds"]) for step in node.steps(name))
        self.assertGreaterEqual(took, 0.05, "a step is too short for kills to meet it")
        return done, time.monotonic() - start

    @staticmethod
    def ledger_of(node, name, epoch):
        return history.read_ledger(os.path.join(node.worker_data, "runs", name, "attempts", str(epoch), "ledger.ftr"))

    def compare(self, node, one, two):
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertRegex(one["result"][key], "^[0-9a-f]{64}$")
            self.assertEqual(one["result"][key], two["result"][key], key)
        adapter = os.path.join(two["result"]["adapter_dir"], "adapter_model.safetensors")
        self.assertEqual(daemons.sha256(adapter), two["result"]["adapter_sha256"])
        self.assertEqual([int(step["step"]) for step in node.steps("killed")], list(range(1, STEPS + 1)))
        # What successive attempts computed twice is the same, and the same as in the run that was left alone.
        undisturbed = one["name"].rpartition("/")[2], int(one["epoch"])
        known, repeated = self.ledger_of(node, *undisturbed), 0
        self.assertEqual(sorted(known), list(range(1, STEPS + 1)))
        seen = set()
        for epoch in range(2, int(two["epoch"]) + 1):
            ledger = self.ledger_of(node, two["name"].rpartition("/")[2], epoch)
            repeated += len(seen & set(ledger))
            seen |= set(ledger)
            for step, entry in ledger.items():
                self.assertEqual(known[step], entry, f"step {step} of attempt {epoch}")
        print(f"{two['epoch']} attempts, {repeated} steps ran twice")

    def run_killed(self, kill, costs_no_step):
        model = self.small_model()
        data = self.write_tokens(daemons.random_samples(256))
        config = self.write_config("worker", agent_backoff="500ms")
        node = self.daemons(cores=max(2, RANKS), history=True, worker_arguments=["--config", config])
        one, seconds = self.undisturbed(node, model, data)
        name = node.submit(matrix_job("killed", model, data))
        first = self.wait_ranks(node, name)
        for moment in daemons.random_moments(self.random, KILLS, STEPS):
            node.wait_moment(name, moment, seconds / STEPS)
            kill(node, name)
            if costs_no_step:
                self.assertTrue(all(daemons.is_alive(pid) for pid in first), "the ranks live on")
        two = node.finish(name, timeout=600)
        if costs_no_step:
            self.assertEqual(int(two["epoch"]), int(one["epoch"]))
        else:
            self.assertGreaterEqual(int(two["epoch"]), int(one["epoch"]) + KILLS)
        self.compare(node, one, two)
        node.history.judge(self)

    def kill_a_rank(self, node, name):
        victim = self.random.choice(self.wait_ranks(node, name))
        node.note_fault("rank")
        os.kill(victim, signal.SIGKILL)
        daemons.wait_for("the gang is stopped", lambda: victim not in self.ranks_of(node, name), 30)
        self.wait_ranks(node, name)

    def kill_the_agent(self, node, _):
        agent = node.agent_pid()
        node.note_fault("agent")
        os.kill(agent, signal.SIGKILL)
        node.agent_pid(other_than=agent)

    def kill_the_supervisor(self, node, name):
        ranks = self.wait_ranks(node, name)
        node.note_fault("worker", "begin")
        node.worker.kill()
        node.worker.wait(daemons.STOP_TIMEOUT)
        daemons.wait_for("the ranks die with it", lambda: not any(daemons.is_alive(pid) for pid in ranks), 10)
        node.start_worker(wait=False)
        self.wait_ranks(node, name)

    def kill_the_coordinator(self, node, _):
        node.kill_coordinator()
        node.start_coordinator()

    def test_rank(self):
        self.run_killed(self.kill_a_rank, costs_no_step=False)

    def test_agent(self):
        self.run_killed(self.kill_the_agent, costs_no_step=True)

    def test_supervisor_with_its_ranks(self):
        self.run_killed(self.kill_the_supervisor, costs_no_step=False)

    def test_coordinator(self):
        self.run_killed(self.kill_the_coordinator, costs_no_step=True)


if __name__ == "__main__":
    daemons.main()
