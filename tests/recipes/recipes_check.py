"""Trains each training recipe for one step, by the name that a user types: its base model at two small layers as the real one is
stored (small_models.py), a sample of each of its sources laid out as the real one is (sources.py). Models and data sets come
from a hub on this machine (tests/e2e/hub_server.py), files from the folder where the user is, and a coordinator with one worker of
two cores trains them.

    recipes_check.py                   all names: make recipes-check
    recipes_check.py --cover           the fewest names that walk every model, method, task and source: the test checks.recipes_train
    recipes_check.py --only REGEX      names that match

What is said: a line for each name that fails, at the end how many of each model and method trained and how long it took. Exit
status 1 when a name fails, or when not_built.txt says something that is not so any more. Environment: FT_BIN, the programs.
Needs the Python of .deps/checks (cmake/setup.sh --python-checks).
"""

import argparse
import collections
import json
import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "e2e")]

import cover  # noqa: E402
import daemons  # noqa: E402
import hub_server  # noqa: E402
import not_built  # noqa: E402
import small_models  # noqa: E402
import sources  # noqa: E402

IN_FLIGHT = 5  # Two train, two are prepared, one waits.
NAME_SECONDS = 300
MOST_LOSS = 20  # A random model of some hundred words has about 6.5.
# One step on one core; what a sample chat says does not matter here. Of eight GPUs there are two cores.
CHANGES = ("train.max_steps=1", "train.evaluate.max_new_tokens=4", "resources.threads=1", "resources.device=cpu")
OF_EIGHT = ("parallel.ranks=2",)
# Of MMLU, which one recipe asks while it trains.
QUESTIONS = [{"input": f"{2 + i} + {i} =\nA. 2\nB. 4\nC. 6\nD. 8\nAnswer:", "output": "BCD"[i], "subject": "elementary_mathematics"}
             for i in range(3)]


class Trial:
    """One name on its way."""

    def __init__(self, name, changes):
        self.name = name
        self.changes = list(changes)
        self.answered = set()  # Lines of not_built.txt.
        self.job = ""
        self.begin = 0.0


class Check:
    def __init__(self, node, hub, lines, samples):
        self.node, self.hub, self.lines, self.samples = node, hub, lines, samples
        self.user = os.path.join(node.folder, "user")  # The folder where ftctl is called.
        self.used = set()
        self.failed = {}
        self.expected = {}
        self.trained = []

    # The world.

    def write_file(self, path, content):
        """A file where the user is."""
        place = os.path.join(self.user, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content)

    def serve_data(self):
        for sample in self.samples.values():
            files = sample.files
            if sample.kind == "file":
                for path, content in files.items():
                    self.write_file(path, content)
            else:
                self.hub.add(sample.name, files, large={path for path in files if path.endswith(".parquet")}, kind="datasets")
        self.write_file("data/mmlu/five_shot_mmlu_val.json", json.dumps(QUESTIONS).encode())

    def shown(self, name):
        return json.loads(self.node.ftctl("recipe", "show", name.name, "-o", "json"))

    def serve_models(self, names):
        """The base models of these names under their own addresses."""
        models = small_models.Models(sources.texts(self.samples))
        for model in sorted({name.model for name in names}):
            source = self.shown(next(name for name in names if name.model == model))["model"]["source"]
            files = models.make(model)
            large = {path for path in files if path.endswith((".bin", ".safetensors", ".model"))}
            self.hub.add(source.removeprefix("hf://"), files, large=large)

    def left_out(self, names):
        """The sources that none of these names trains on."""
        walked = {data["source"] for name in names for data in self.shown(name)["data"]}
        return sorted(name for name, sample in self.samples.items() if sample.address() not in walked)

    # A name.

    def submit(self, trial):
        """Whether it is on its way; otherwise it has failed."""
        while True:
            arguments = [word for change in trial.changes for word in ("--set", change)]
            done = self.node.run("submit", trial.name.name, *arguments, "-o", "json", cwd=self.user, **self.node.coordinator_only())
            if done.returncode == 0:
                trial.job = json.loads(done.stdout)["name"]
                trial.begin = time.monotonic()
                return True
            if not self.answered(trial, done.stderr):
                self.fail(trial, done.stderr)
                return False

    def answered(self, trial, refusal):
        """Whether the list knows what to do about a refusal that it was not asked about before; that is done."""
        new = {line: changes for line, changes in not_built.answers(self.lines, refusal).items() if line not in trial.answered}
        for line, changes in new.items():
            self.used.add(line)
            trial.answered.add(line)
            trial.changes += changes
        return bool(new)

    def fail(self, trial, why):
        line = not_built.of_name(self.lines, trial.name.name)
        if line:
            self.used.add(line)
            self.expected[trial.name] = line
        else:
            self.failed[trial.name] = " ".join(why.split())
            print(f"{trial.name.name}: {self.failed[trial.name]}", flush=True)

    def judge(self, trial, job):
        """A job that has ended. Whether it goes on with other settings."""
        if job["state"] != "SUCCEEDED":
            said = job.get("failure", {}).get("message") or job.get("state_message", "")
            if self.answered(trial, said):
                return self.submit(trial)
            self.fail(trial, f"{job['state']}: {said}")
            return False
        wrong = self.wrong_with(job)
        line = not_built.of_name(self.lines, trial.name.name)
        if wrong:
            self.fail(trial, wrong)
        elif line:
            self.failed[trial.name] = f"trains, but not_built.txt line {line.number} says that it does not: take the line out"
            print(f"{trial.name.name}: {self.failed[trial.name]}", flush=True)
        else:
            self.trained.append(trial.name)
        return False

    def wrong_with(self, job):
        """What is not as it must be after one step; empty = nothing."""
        if int(job["progress"]["step"]) != 1:
            return f"ended after {job['progress']['step']} steps"
        loss = float(job["progress"].get("loss", "nan"))
        if not 0 < loss < MOST_LOSS:
            return f"the loss of its step is {loss}"
        folder = job["result"]["adapter_dir"]
        if not any(os.path.exists(os.path.join(folder, name)) for name in ("adapter_model.safetensors", "model.safetensors")):
            return f"there is no result in {folder}"
        return ""

    # All names.

    def train(self, names):
        waiting = collections.deque(Trial(name, CHANGES + (OF_EIGHT if "_gpu8" in name.task else ())) for name in names)
        flying = {}
        while waiting or flying:
            while waiting and len(flying) < IN_FLIGHT:
                trial = waiting.popleft()
                if self.submit(trial):
                    flying[trial.job] = trial
            listed = {job["name"]: job for job in self.node.ask("list", "--limit", "20")["jobs"]}
            for name, trial in list(flying.items()):
                job = listed.get(name)
                ended = job and job["state"] in ("SUCCEEDED", "FAILED", "CANCELLED")
                if not ended and time.monotonic() - trial.begin < NAME_SECONDS:
                    continue
                del flying[name]
                if not ended:
                    self.node.run("cancel", name.rpartition("/")[2])
                    self.fail(trial, f"has not ended after {NAME_SECONDS} seconds")
                elif self.judge(trial, self.node.get(name.rpartition("/")[2])):
                    flying[trial.job] = trial
            time.sleep(0.1)

    def stale(self):
        """Lines of the list that nothing needed."""
        return [line for line in self.lines if line not in self.used]


def all_names(node):
    listed = json.loads(node.ftctl("recipe", "list", "--training", "-o", "json"))
    return [cover.Name(entry["name"], entry["model"], entry["method"], entry["task"]) for entry in listed]


def table(names, trained, expected):
    """How many of how many of each model and method trained."""
    methods = sorted({name.method for name in names})
    lines = [f"{'':20}" + "".join(f"{method:>12}" for method in methods)]
    for model in sorted({name.model for name in names}):
        cells = ""
        for method in methods:
            there = [name for name in names if (name.model, name.method) == (model, method)]
            cells += f"{f'{sum(name in trained for name in there)}/{len(there)}' if there else '':>12}"
        lines.append(f"{model:20}{cells}")
    lines.append(f"{len(trained)} of {len(names)} names trained" + (f", {len(expected)} are not built" if expected else ""))
    return "\n".join(lines)


def choose(options, names):
    if options.cover:
        return cover.cover(names)
    return [name for name in names if re.search(options.only, name.name)]


def run(options, folder):
    begin = time.monotonic()
    hub = hub_server.HubServer()
    node = daemons.Daemons(folder, start=False, worker_arguments=["--config", os.path.join(folder, "worker.yaml")])
    with open(os.path.join(folder, "worker.yaml"), "w", encoding="utf-8") as file:
        file.write("prepare_slots: 2\n")
    node.variables = {"HF_ENDPOINT": hub.endpoint, "MODELSCOPE_ENDPOINT": hub.endpoint, "HF_HUB_CACHE": os.path.join(folder, "hf"),
                      "MODELSCOPE_CACHE": os.path.join(folder, "ms")}
    lines = not_built.read()
    try:
        names = choose(options, all_names(node))
        if not names:
            print(f"no name matches {options.only}")
        check = Check(node, hub, lines, sources.samples())
        check.serve_data()
        check.serve_models(names)
        node.start()
        made = time.monotonic() - begin
        check.train(names)
        if options.logs and check.failed:
            print(node.describe(), file=sys.stderr)
    finally:
        node.stop()
        hub.close()
    left_out = [] if options.only else check.left_out(names)
    for source in left_out:
        print(f"no name trained on the source {source}")
    stale = [] if options.only else check.stale()
    for line in stale:
        print(f"not_built.txt line {line.number}: nothing needed '{line.pattern}' any more: take the line out")
    print(table(names, check.trained, check.expected))
    print(f"{time.monotonic() - begin:.1f} seconds, {made:.1f} of them for models, data and daemons")
    return 1 if check.failed or stale or left_out or not names else 0


def main():
    parser = argparse.ArgumentParser(description="Trains each recipe for one step on a small model and a sample of its data.")
    parser.add_argument("--cover", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--logs", action="store_true", help="print the programs' logs where a name fails")
    options = parser.parse_args()
    # Short, because a Unix socket's path must fit 107 bytes.
    folder = tempfile.mkdtemp(prefix="ftr")
    try:
        return run(options, folder)
    finally:
        daemons.kill_marked(folder)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
