"""Cancel is final, pause keeps everything, resume goes on, delete removes."""

import os

import daemons


class CancelTest(daemons.DaemonTest):
    def long_job(self, node, name="long", **changes):
        settings = {"train.accumulation": 32, "train.epochs": 100000, "train.max_steps": 100000}
        settings.update(changes)
        data = self.write_tokens(daemons.random_samples(64))
        return node.submit(daemons.tokens_job(name, self.small_model(), data, **settings))

    def test_a_running_job_is_cancelled_for_good(self):
        node = self.daemons()
        name = self.long_job(node)
        rank = node.training_rank(name)
        node.wait_step(name, 1)
        node.ftctl("cancel", name, "--reason", "no longer wanted")
        job = node.wait_state(name, "CANCELLED", 30)
        daemons.wait_for("the rank is gone", lambda: not daemons.is_alive(rank), 15)
        self.assertIn("no longer wanted", job["state_message"])
        epoch = job["epoch"]
        # Also over a restart: no attempt starts afterwards.
        node.kill_coordinator()
        node.start_coordinator()
        self.assertEqual((node.get(name)["state"], node.get(name)["epoch"]), ("CANCELLED", epoch))
        self.assertEqual(node.rank_pids(), [])
        node.ftctl("cancel", name)

    def test_a_waiting_job_is_cancelled_and_its_device_is_free(self):
        node = self.daemons(cores=1)
        first = self.long_job(node, "first")
        node.wait_step(first, 1)
        second = self.long_job(node, "second")
        node.wait_state(second, "QUEUED", 60)
        node.ftctl("cancel", second)
        node.wait_state(second, "CANCELLED", 15)
        node.ftctl("cancel", first)
        node.wait_state(first, "CANCELLED", 30)
        data = self.write_tokens(daemons.random_samples(4), "third.jsonl")
        node.train(daemons.tokens_job("third", self.small_model(), data))

    def test_pause_keeps_the_last_step_and_resume_goes_on(self):
        node = self.daemons()
        steps = 60
        settings = {"train.max_steps": steps, "train.accumulation": 16}
        name = self.long_job(node, "paused", **settings)
        node.wait_step(name, 5)
        node.ftctl("pause", name, "--wait")
        paused = node.get(name)
        self.assertEqual(paused["state"], "PAUSED")
        at = int(paused["progress"]["checkpoint_step"])
        self.assertGreaterEqual(at, 5)
        self.assertEqual(node.rank_pids(), [])
        node.ftctl("resume", name, "--wait", timeout=120)
        whole = node.train(daemons.tokens_job("whole", self.small_model(), os.path.join(self.folder, "tokens.jsonl"),
                                              **{"train.epochs": 100000, **settings}))
        done = node.get(name)
        self.assertEqual(done["result"]["adapter_sha256"], whole["result"]["adapter_sha256"])
        self.assertEqual([int(step["step"]) for step in node.steps(name)], list(range(1, steps + 1)))

    def test_delete_removes_an_ended_job_and_refuses_a_running_one(self):
        node = self.daemons()
        name = self.long_job(node)
        node.training_rank(name)
        refused = node.run("delete", name)
        self.assertEqual(refused.returncode, 1, refused.stderr)
        node.ftctl("cancel", name)
        node.wait_state(name, "CANCELLED", 30)
        run_dir = node.get(name)["run_dir"]
        node.ftctl("delete", name)
        self.assertEqual(node.run("get", name).returncode, 1)
        self.assertNotIn(name, node.ftctl("list"))
        daemons.wait_for("its files are gone", lambda: not os.path.exists(run_dir), 15)


if __name__ == "__main__":
    daemons.main()
