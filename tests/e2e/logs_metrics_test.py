"""What can be read of a job and of the daemons: logs, series, events, Prometheus metrics, health."""

import json
import urllib.request

import daemons

STEPS = 12
# Label names that service discovery sets on a scrape; metrics with them are renamed or lost.
TAKEN_LABELS = ("job", "instance", "namespace", "pod", "node", "container", "service", "endpoint")


def scrape(address):
    """Name{labels} -> value of a /metrics page."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line and line[0] != "#"}


class LogsMetricsTest(daemons.DaemonTest):
    def trained(self, node, name="job", **changes):
        data = self.write_tokens(daemons.random_samples(40))
        settings = {"train.epochs": 100, "train.max_steps": STEPS, "holdout": 0.1, "train.evaluate": {"every_steps": 4}}
        settings.update(changes)
        return node.train(daemons.tokens_job(name, self.small_model(), data, **settings))

    def test_every_step_has_its_figures(self):
        node = self.daemons()
        self.trained(node)
        steps = node.steps("job")
        self.assertEqual([int(step["step"]) for step in steps], list(range(1, STEPS + 1)))
        for step in steps:
            self.assertGreater(step["loss"], 0)
            self.assertGreater(step["gradient_norm"], 0)
            self.assertGreater(step["seconds"], 0)
            self.assertGreater(int(step["supervised_tokens"]), 0)
            self.assertLessEqual(int(step["supervised_tokens"]), int(step["tokens"]))
            self.assertGreater(int(step["peak_memory_bytes"]), 1 << 20)
            self.assertFalse(step["skipped"])
        self.assertEqual([int(step["samples_seen"]) for step in steps], [2 * n for n in range(1, STEPS + 1)])
        self.assertEqual([int(record["step"]) for record in node.evaluations("job")], [0, 4, 8, 12])
        part = node.ask("metrics", "job", "--first", "3", "--last", "5")["points"]
        self.assertEqual([int(point["record"]["step"]["step"]) for point in part if "step" in point["record"]], [3, 4, 5])

    def test_series_can_be_followed_to_the_end(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(40))
        name = node.submit(daemons.tokens_job("job", self.small_model(), data,
                                              **{"train.epochs": 100, "train.max_steps": STEPS}))
        lines = node.ftctl("metrics", name, "-f", "-o", "json", timeout=60).splitlines()
        records = [json.loads(line)["record"] for line in lines]
        self.assertEqual([int(record["step"]["step"]) for record in records if "step" in record],
                         list(range(1, STEPS + 1)))

    def test_logs_of_a_rank_can_be_read_and_followed(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(40))
        name = node.submit(daemons.tokens_job("job", self.small_model(), data,
                                              **{"train.epochs": 100, "train.max_steps": STEPS}))
        followed = node.ftctl("logs", name, "-f", timeout=60)
        self.assertEqual(node.wait_state(name, "SUCCEEDED", 10)["state"], "SUCCEEDED")
        read = node.ftctl("logs", name)
        self.assertTrue(read.strip(), "a rank says what it does")
        self.assertEqual(followed.strip().splitlines()[-1], read.strip().splitlines()[-1])

    def test_events_tell_the_jobs_life(self):
        node = self.daemons()
        self.trained(node)
        events = [json.loads(line) for line in node.ftctl("events", "job", "-o", "json").splitlines()]
        states = [event["to_state"] for event in events if event["to_state"]]
        places = [states.index(state) for state in ("QUEUED", "STARTING", "RUNNING", "SUCCEEDED")]
        self.assertEqual(places, sorted(places), states)
        revisions = [int(event["revision"]) for event in events]
        self.assertEqual(revisions, sorted(revisions))

    def test_prometheus_metrics_of_both_daemons(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(40))
        name = node.submit(daemons.tokens_job("job", self.small_model(), data,
                                              **{"train.epochs": 100000, "train.max_steps": 100000,
                                                 "train.accumulation": 16}))
        node.wait_step(name, 2)
        coordinator = daemons.wait_for("the running job is counted", lambda: self.with_running_job(node), 15)
        worker = scrape(node.worker_metrics)
        steps = [value for key, value in worker.items() if key.startswith("finetune_train_step{")]
        self.assertTrue(steps and steps[0] >= 2, worker)
        self.assertTrue(any(f'job_id="{name}"' in key for key in worker), sorted(worker))
        self.assertTrue(any(key.startswith("finetune_train_loss{") for key in worker))
        self.assertTrue(any(key.startswith("finetune_build_info{") for key in coordinator))
        self.assertTrue(any(key.startswith("finetune_store_commit_duration_seconds_count") for key in coordinator))
        for key in list(coordinator) + list(worker):
            for label in TAKEN_LABELS:
                self.assertNotRegex(key, rf'[{{,]{label}="')
        node.ftctl("cancel", name)

    @staticmethod
    def with_running_job(node):
        found = scrape(node.metrics)
        running = [value for key, value in found.items() if key.startswith("finetune_jobs{") and "RUNNING" in key]
        return found if running and running[0] == 1 else None

    def test_a_listing_and_a_job_in_full(self):
        node = self.daemons()
        self.trained(node, "中文-job")
        self.assertEqual([job["display_name"] for job in node.ask("list")["jobs"]], ["中文-job"])
        shown = node.ftctl("get", "中文-job")
        self.assertIn("SUCCEEDED", shown)
        self.assertIn("held-out loss", shown)
        self.assertIn("中文-job", node.ftctl("list"))
        self.assertIn("READY", node.ftctl("nodes"))


if __name__ == "__main__":
    daemons.main()
