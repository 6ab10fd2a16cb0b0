"""Metrics as a cluster sees them: Prometheus scrapes coordinator and worker, with the labels that a pod monitor sets, while
a job trains. Metrics are clean for promtool, no label of ours collides, and every query of the dashboards has an answer.
"""

import glob
import json
import math
import os
import re
import shutil
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import daemons  # noqa: E402
from full_result_test import write_tokenizer  # noqa: E402

DEPLOY = os.path.join(daemons.ROOT, "deploy")
PROGRAMS = os.path.join(daemons.ROOT, ".deps", "prometheus", "usr", "bin")
PROMTOOL = os.path.join(PROGRAMS, "promtool")
ALERTS = os.path.join(DEPLOY, "prometheus", "alerts.yaml")
SCRAPE_SECONDS = 0.5
RANGE = "10s"


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def promtool(test, *arguments, text=None):
    """Fails the test unless promtool is content."""
    done = subprocess.run([PROMTOOL, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    test.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    return done.stdout + done.stderr


def dashboards():
    found = {}
    for path in sorted(glob.glob(os.path.join(DEPLOY, "grafana", "*.json"))):
        with open(path, encoding="utf-8") as file:
            found[os.path.basename(path)] = json.load(file)
    return found


def queries(dashboard):
    """{panel title and letter: expression}"""
    return {f"{panel['title']} {target['refId']}": target["expr"] for panel in dashboard["panels"]
            for target in panel.get("targets", [])}


def metrics_of(expression):
    return set(re.findall(r"\bfinetune_\w+", expression))


class Prometheus:
    """A server over two targets, labelled as a pod monitor would."""

    def __init__(self, node, folder):
        self.address = daemons.free_address()
        self.folder = folder
        config = {"global": {"scrape_interval": f"{int(1000 * SCRAPE_SECONDS)}ms", "evaluation_interval": "1s"},
                  "rule_files": [ALERTS],
                  "scrape_configs": [self._target("coordinator", node.metrics), self._target("worker", node.worker_metrics)]}
        self.config = os.path.join(folder, "prometheus.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump(config, file)
        self._log = open(os.path.join(folder, "prometheus.log"), "wb")
        self._process = subprocess.Popen(
            [os.path.join(PROGRAMS, "prometheus"), f"--config.file={self.config}", f"--web.listen-address={self.address}",
             f"--storage.tsdb.path={os.path.join(folder, 'tsdb')}"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=folder)
        daemons.wait_for("Prometheus is ready", self._ready, 30)

    @staticmethod
    def _target(name, address):
        labels = {"namespace": "finetuned", "pod": f"{name}-0", "container": name, "endpoint": "metrics", "node": "machine-1",
                  "instance": address}
        return {"job_name": f"finetune-{name}", "static_configs": [{"targets": [address], "labels": labels}]}

    def _ready(self):
        try:
            return "Ready" in fetch(f"http://{self.address}/-/ready")
        except OSError:
            return False

    def ask(self, path, **arguments):
        answer = json.loads(fetch(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"))
        return answer["data"]

    def has_data(self, expression):
        """Whether the query answers with at least one finite number now."""
        found = self.ask("query", query=expression)["result"]
        return any(math.isfinite(float(series["value"][1])) for series in found)

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(daemons.STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(daemons.STOP_TIMEOUT)
        self._log.close()


class MetricsTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(PROMTOOL):
            self.skipTest("Prometheus is not here: `cmake/setup.sh --python-checks` unpacks it into .deps/prometheus")

    def training_node(self):
        """Daemons with one ended job, and a long one that trains, evaluates and takes checkpoints."""
        config = self.write_config("worker", nvml=os.path.join(os.path.dirname(daemons.BIN), "tests", "control", "fakes", "libfake_nvml.so"))
        node = self.daemons(worker_arguments=["--config", config])
        data = self.write_tokens(daemons.random_samples(40))
        model = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), model, copy_function=shutil.copyfile)
        write_tokenizer(model)
        questions = [{"input": f"{n} + 1 =\nAnswer:", "output": "ABCD"[n], "subject": "anatomy"} for n in range(4)]
        evaluate = {"every_steps": 50, "sets": [self.write_file("questions.json", json.dumps(questions))],
                    "perplexity": [self.write_tokens(daemons.random_samples(5, seed=9), "held_out.jsonl")]}
        node.train(daemons.tokens_job("ended", self.small_model(), data, **{"train.max_steps": 2}))
        job = node.submit(daemons.tokens_job(
            "long", model, data,
            **{"holdout": 0.2, "train.epochs": 100000, "train.evaluate": evaluate,
               "train.checkpoint": {"every_steps": 200, "keep_last": 1}}))
        node.wait_step(job, 60)
        return node, job

    def test_every_query_of_the_dashboards_has_an_answer_while_a_job_trains(self):
        node, job = self.training_node()
        server = Prometheus(node, self.folder)
        self.addCleanup(server.stop)
        scraped = {name: fetch(f"http://{address}/metrics")
                   for name, address in (("coordinator", node.metrics), ("worker", node.worker_metrics))}
        for text in scraped.values():
            promtool(self, "check", "metrics", text=text)
        for name, dashboard in dashboards().items():
            for title, expression in queries(dashboard).items():
                with self.subTest(dashboard=name, panel=title):
                    self.check_query(server, job, expression, "".join(scraped.values()))
        self.check_labels(server)
        # The one for an absent coordinator is pending when rules are looked at before the first scrape.
        daemons.wait_for("no alert is left", lambda: server.ask("alerts")["alerts"] == [], 20, pause=0.3)
        promtool(self, "check", "config", server.config)
        node.ftctl("cancel", job)
        node.wait_state(job, "CANCELLED", 60)

    def check_query(self, server, job, expression, scraped):
        filled = expression.replace("$__rate_interval", RANGE).replace("$job_id", job.rpartition("/")[2])
        filled = filled.replace("$namespace", "finetuned")
        self.assertNotIn("$", filled)
        for metric in metrics_of(expression):
            base = re.sub(r"_(bucket|sum|count)$", "", metric)
            self.assertTrue(f"# TYPE {base} " in scraped, f"{metric} is exposed by neither daemon")
        daemons.wait_for(f"an answer to {filled}", lambda: server.has_data(filled), 20, pause=0.3)

    def check_labels(self, server):
        """No label that a pod monitor sets is also ours: it would arrive as exported_*."""
        labels = server.ask("labels")
        self.assertIn("job_id", labels)
        self.assertEqual([name for name in labels if name.startswith("exported_")], [])


class FilesTest(unittest.TestCase):
    """What can be checked without daemons."""

    def setUp(self):
        if not os.path.exists(PROMTOOL):
            self.skipTest("Prometheus is not here: `cmake/setup.sh --python-checks` unpacks it into .deps/prometheus")

    def test_dashboards_are_what_their_script_writes(self):
        script = os.path.join(DEPLOY, "grafana", "dashboards.py")
        done = subprocess.run([sys.executable, "-B", script, "--check"], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_alerts_and_scrape_configuration_pass_promtool(self):
        promtool(self, "check", "rules", ALERTS)
        promtool(self, "check", "config", os.path.join(DEPLOY, "prometheus", "prometheus.yaml"))

    def test_alerts_ask_only_for_metrics_of_the_source(self):
        with open(ALERTS, encoding="utf-8") as file:
            asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bfinetune_\w+", file.read())}
        known = set()
        for name in ("server/api/metrics.cc", "worker/node/agent/metrics.cc"):
            with open(os.path.join(daemons.ROOT, name), encoding="utf-8") as file:
                known.update(re.findall(r'"(finetune_\w+)"', file.read()))
        self.assertEqual(asked - known, set())

    def test_alerts_fire_when_they_should(self):
        promtool(self, "test", "rules", os.path.join(DEPLOY, "prometheus", "alerts_test.yaml"))

    def test_every_alert_has_its_entry_in_the_runbook(self):
        with open(ALERTS, encoding="utf-8") as file:
            alerts = re.findall(r"- alert: (\w+)[\s\S]*?runbook_url: (\S+)", file.read())
        with open(os.path.join(daemons.ROOT, "docs", "runbook.md"), encoding="utf-8") as file:
            headings = re.findall(r"(?m)^## (\w+)$", file.read())
        self.assertEqual(sorted(headings), sorted(name for name, _ in alerts))
        for name, url in alerts:
            self.assertEqual(url, f"docs/runbook.md#{name.lower()}")


if __name__ == "__main__":
    daemons.main()
