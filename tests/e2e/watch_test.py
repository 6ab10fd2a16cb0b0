"""Watching: to the end with the job's exit status, over a coordinator that goes away, and left with Ctrl-C."""

import json
import os
import signal
import subprocess

import daemons


class WatchTest(daemons.DaemonTest):
    def submit(self, node, steps=30, accumulation=32):
        data = self.write_tokens(daemons.random_samples(64))
        job = daemons.tokens_job("job", self.small_model(), data,
                                 **{"train.epochs": 1000, "train.max_steps": steps, "train.accumulation": accumulation})
        return node.submit(job)

    def watch(self, node, *arguments):
        process = subprocess.Popen([os.path.join(daemons.BIN, "ftctl"), "watch", *arguments], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   env=node.environment())
        node.started.append(process)
        return process

    def test_watch_ends_with_the_job(self):
        node = self.daemons()
        name = self.submit(node, steps=5, accumulation=1)
        shown = node.ftctl("watch", name)
        self.assertRegex(shown, r"5/5\s+loss \d")
        self.assertEqual(node.get(name)["state"], "SUCCEEDED")

    def test_watch_of_a_cancelled_job_ends_with_status_1(self):
        node = self.daemons()
        name = self.submit(node, steps=100000)
        watching = self.watch(node, name)
        node.wait_step(name, 1)
        node.ftctl("cancel", name)
        _, told = watching.communicate(timeout=30)
        self.assertEqual(watching.returncode, 1)
        self.assertIn("was cancelled", told)

    def test_watch_goes_on_over_a_restart_of_the_coordinator(self):
        node = self.daemons()
        name = self.submit(node)
        watching = self.watch(node, name, "-o", "json")
        node.wait_step(name, 2)
        node.kill_coordinator()
        node.start_coordinator()
        shown, told = watching.communicate(timeout=90)
        self.assertEqual(watching.returncode, 0, told)
        states = [json.loads(line)["state"] for line in shown.splitlines()]
        self.assertEqual(states[-1], "SUCCEEDED")
        self.assertNotIn("RECOVERING", states)

    def test_interrupt_leaves_the_job_running_and_says_so(self):
        node = self.daemons()
        name = self.submit(node, steps=100000)
        watching = self.watch(node, name)
        node.wait_step(name, 1)
        watching.send_signal(signal.SIGINT)
        _, told = watching.communicate(timeout=15)
        self.assertEqual(watching.returncode, 0)
        self.assertIn("goes on", told)
        self.assertEqual(node.get(name)["state"], "RUNNING")

    def test_submit_wait_answers_with_the_jobs_status(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(4))
        good = node.write_job(daemons.tokens_job("good", self.small_model(), data))
        node.ftctl("submit", good, "--wait")
        bad = self.write_tokens([[1, 2, 100000]], "bad.jsonl")
        bad = node.write_job(daemons.tokens_job("bad", self.small_model(), bad))
        refused = node.run("submit", bad, "--wait")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("bad.jsonl line 1", refused.stderr.replace("\n", " ").replace("  ", " "))


if __name__ == "__main__":
    daemons.main()
