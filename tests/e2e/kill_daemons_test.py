"""Coordinator and agent may die at any moment: the rank trains on, no step is lost, no attempt is repeated."""

import os
import signal

import daemons

STEPS = 40


class KillDaemonsTest(daemons.DaemonTest):
    def begin(self, node, **changes):
        """Submits a job of some seconds; answers its name and the pid of the rank that trains it."""
        settings = {"train.accumulation": 32, "train.epochs": 1000, "train.max_steps": STEPS,
                    "train.checkpoint": {"every_steps": 5, "keep_last": 2}}
        settings.update(changes)
        data = self.write_tokens(daemons.random_samples(256))
        name = node.submit(daemons.tokens_job("job", self.small_model(), data, **settings))
        return name, node.training_rank(name)

    def check_nothing_lost(self, node, name, rank, epoch):
        """SUCCEEDED by the same rank in the same attempt, with every step told exactly once."""
        done = node.finish(name, timeout=120)
        self.assertEqual(int(done["epoch"]), epoch)
        self.assertEqual([int(step["step"]) for step in node.steps(name)], list(range(1, STEPS + 1)))
        ended = [event for event in self.events(node, name) if event["type"] == "ATTEMPT_ENDED"]
        self.assertEqual([int(event["epoch"]) for event in ended], list(range(1, epoch + 1)))
        adapter = os.path.join(done["result"]["adapter_dir"], "adapter_model.safetensors")
        self.assertEqual(daemons.sha256(adapter), done["result"]["adapter_sha256"])
        self.assertFalse(daemons.is_alive(rank))

    @staticmethod
    def events(node, name):
        return [daemons.json.loads(line) for line in node.ftctl("events", name, "-o", "json").splitlines()]

    def test_coordinator_killed_in_mid_job(self):
        node = self.daemons()
        name, rank = self.begin(node)
        node.wait_step(name, 3)
        epoch = int(node.get(name)["epoch"])
        node.kill_coordinator()
        self.assertTrue(daemons.is_alive(rank))
        node.start_coordinator()
        self.assertTrue(daemons.is_alive(rank), "the rank outlives the coordinator")
        self.check_nothing_lost(node, name, rank, epoch)

    def test_coordinator_away_until_the_rank_has_ended(self):
        node = self.daemons()
        name, rank = self.begin(node)
        node.wait_step(name, 3)
        epoch = int(node.get(name)["epoch"])
        node.kill_coordinator()
        daemons.wait_for("the rank ends", lambda: not daemons.is_alive(rank), 60)
        node.start_coordinator()
        self.check_nothing_lost(node, name, rank, epoch)

    def test_agent_killed_in_mid_job(self):
        node = self.daemons()
        name, rank = self.begin(node)
        node.wait_step(name, 3)
        epoch = int(node.get(name)["epoch"])
        agent = node.agent_pid()
        os.kill(agent, signal.SIGKILL)
        # The supervisor starts another one.
        node.agent_pid(other_than=agent)
        self.assertTrue(daemons.is_alive(rank), "the rank outlives the agent")
        self.check_nothing_lost(node, name, rank, epoch)

    def test_both_killed_in_mid_job(self):
        node = self.daemons()
        name, rank = self.begin(node)
        node.wait_step(name, 3)
        epoch = int(node.get(name)["epoch"])
        os.kill(node.agent_pid(), signal.SIGKILL)
        node.kill_coordinator()
        node.start_coordinator()
        self.assertTrue(daemons.is_alive(rank))
        self.check_nothing_lost(node, name, rank, epoch)

    def test_coordinator_killed_after_submit_still_has_the_job(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(16))
        name = node.submit(daemons.tokens_job("early", self.small_model(), data))
        node.kill_coordinator()
        node.start_coordinator()
        self.assertEqual(node.get(name)["display_name"], "early")
        node.finish(name)
        self.assertEqual([int(step["step"]) for step in node.steps(name)], list(range(1, 9)))

    def test_supervisor_killed_takes_its_ranks_and_the_job_goes_on(self):
        node = self.daemons()
        name, rank = self.begin(node)
        node.wait_step(name, 6)
        node.worker.kill()
        node.worker.wait(daemons.STOP_TIMEOUT)
        daemons.wait_for("the rank dies with its supervisor", lambda: not daemons.is_alive(rank), 10)
        node.start_worker(wait=False)
        done = node.finish(name, timeout=120)
        self.assertGreater(int(done["epoch"]), 2)
        self.assertEqual([int(step["step"]) for step in node.steps(name)], list(range(1, STEPS + 1)))


if __name__ == "__main__":
    daemons.main()
