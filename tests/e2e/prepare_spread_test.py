"""Preparations are spread over the nodes, as many at a time on each as it has slots."""

import time

import daemons
import history

NODES = ("a", "b", "c")
JOBS = 60
LEAST = 12  # Of each node.


class PrepareSpreadTest(daemons.DaemonTest):
    def start(self):
        node = self.daemons(start=False)
        node.start_coordinator()
        for name in NODES:
            config = self.write_config(f"worker-{name}", node_id=name, cores=2, nvml="none", rank_binary=history.FAKE_RANK, poll="5ms",
                                       coordinator="unix:" + node.worker_socket)
            node.start_other_worker(name, ["--config", config])

        def ready():
            done = node.run("nodes", "-o", "json", timeout=5)
            return done.returncode == 0 and [n["state"] for n in daemons.json.loads(done.stdout)["nodes"]] == ["READY"] * 3
        daemons.wait_for("all nodes are there", ready, 30)
        return node

    def test_each_node_takes_its_share_one_at_a_time(self):
        node = self.start()
        data = self.write_tokens([[1, 2, 3]])
        jobs = [node.submit(daemons.tokens_job(f"job{i}", self.folder, data, labels={"fake_prepare_ms": "150", "fake_steps": "1"}))
                for i in range(JOBS)]
        for job in jobs:
            node.wait_state(job, {"QUEUED", "STARTING", "RUNNING", "SUCCEEDED"}, 180)
        events = [daemons.json.loads(line) for line in node.ftctl("events", "--limit", "10000", "-o", "json").splitlines()]
        running, prepared, idle_since = {name: 0 for name in NODES}, {name: 0 for name in NODES}, {}
        place = {}
        waiting = 0
        for event in events:
            subject = event["subject"]
            if event["type"] == "JOB_CREATED":
                waiting += 1
            if event["type"] == "ATTEMPT_STARTED" and event["message"].startswith("prepare on "):
                name = event["message"].split()[2].rstrip(",")
                place[subject] = name
                running[name] += 1
                waiting -= 1
                self.assertEqual(running[name], 1, f"{name} prepares two at a time")
                idle_since.pop(name, None)
            if event["type"] == "ATTEMPT_ENDED" and subject in place and event["epoch"] == "1":
                name = place[subject]
                running[name] -= 1
                prepared[name] += 1
                if waiting:
                    idle_since[name] = self.seconds(event)
            now = self.seconds(event)
            for name, since in idle_since.items():
                self.assertLess(now - since, 2, f"{name} is idle while {waiting} job(s) wait")
            if not waiting:
                idle_since.clear()
        print(prepared)
        self.assertEqual(sum(prepared.values()), JOBS)
        for name in NODES:
            self.assertGreaterEqual(prepared[name], LEAST, prepared)

    @staticmethod
    def seconds(event):
        stamp, _, fraction = event["time"].rstrip("Z").partition(".")
        return time.mktime(time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))


if __name__ == "__main__":
    daemons.main()
