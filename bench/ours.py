"""Our side: jobs sent with ftctl to one coordinator and one worker, as a user would; what a step took is read from the
records that `ftctl metrics -o json` gives.
"""

import os
import sys
import time

import memory

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
import daemons  # noqa: E402, the harness of the tests

TIMEOUT = 1200


def job(name, model, data, /, **changes):
    """A QLoRA job in bf16 over one data source: rank 64 on all linear layers, one row a step. Keys with dots set nested
    values."""
    made = {"name": name, "model": {"source": model.path, "dtype": "bf16"}, "data": [data],
            "method": {"kind": "qlora", "rank": 64, "alpha": 16, "dropout": 0.0},
            "train": {"epochs": 1000, "micro_batch": 1, "accumulation": 1, "shuffle": False, "optimizer": {"lr": 1e-4},
                      "schedule": {"kind": "constant", "warmup": 0}, "checkpoint": {"every_steps": 1000000}},
            "resources": {"device": "cpu"}}
    for path, value in changes.items():
        *groups, last = path.split(".")
        node = made
        for key in groups:
            node = node.setdefault(key, {})
        node[last] = value
    return made


class Node:
    """A coordinator and a worker in a folder of their own; use as a context."""

    def __init__(self, programs, folder, threads, worker_arguments=(), variables=None):
        """`variables` are added to the environment of all that starts."""
        self.threads = threads
        os.makedirs(folder, exist_ok=True)
        self.daemons = daemons.Daemons(folder, start=False, cores=threads, programs=programs, worker_arguments=worker_arguments)
        self.daemons.variables = variables or {}

    def __enter__(self):
        self.daemons.start()
        return self

    def __exit__(self, *_):
        self.daemons.stop()

    def _children(self):
        """The supervisor's children: cheaper to ask for than to search, since it is asked often."""
        pid = self.daemons.worker.pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                return [int(child) for child in file.read().split()]
        except OSError:
            return []

    def train(self, made, timeout=TIMEOUT):
        """Trains a job to its end. {"start": of the submission, "first_step": its start, "ends": of each step, "seconds",
        "tokens" and "losses" of each step, "memory" and "anonymous": peaks of the rank, of several the largest, "each": of every one,
        "device_memory": the peak on its device, of its host where it has none, "optimizer_seconds": of each step behind backward}.
        A rank has all threads, or as many as the job says."""
        path = self.daemons.write_job({**made, "resources": {"threads": self.threads, **made["resources"]}})
        watch = memory.Watch(self._children)
        try:
            start = time.time()
            name = self.daemons.ask("submit", path)["name"].rpartition("/")[2]
            # A stream, where asking again and again would take a part of the cores.
            self.daemons.run("watch", name, timeout=timeout)
        finally:
            peaks = watch.stop()
        self.daemons.finish(name, timeout=10)
        records = [point["record"] for point in self.daemons.ask("metrics", name)["points"] if "step" in point["record"]]
        steps = [record["step"] for record in records]
        ends = [int(record["unix_nanos"]) / 1e9 for record in records]
        self.daemons.ftctl("delete", name)
        return {"start": start, "first_step": ends[0] - steps[0]["seconds"], "ends": ends,
                "seconds": [step["seconds"] for step in steps], "tokens": [int(step["tokens"]) for step in steps],
                "losses": [step["loss"] for step in steps], **peaks,
                "device_memory": max(int(step["peak_memory_bytes"]) for step in steps),
                "optimizer_seconds": [step["phase_seconds"]["optimizer"] for step in steps]}

    def list_milliseconds(self, count=20):
        """Times of `ftctl list`, from the start of its process to its end."""
        times = []
        for _ in range(count + 1):
            start = time.perf_counter()
            self.daemons.ftctl("list")
            times.append(1000 * (time.perf_counter() - start))
        return times[1:]
