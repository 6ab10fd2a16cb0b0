"""What only the running ftctl shows: sentences for what newcomers type, and runs that share the private daemons."""

import json
import os
import pwd
import shutil
import signal
import struct
import subprocess
import time

import daemons
import small_disk


def write_wide_model(folder, source, rows):
    """The small model `source` with so many rows of vocabulary, those that are new all zero: its result is large and its steps
    are quick."""
    with open(os.path.join(source, "model.safetensors"), "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = file.read()
    tensors, offset, parts = {}, 0, []
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        begin, end = tensor["data_offsets"]
        data, shape = body[begin:end], tensor["shape"]
        if name in ("lm_head.weight", "model.embed_tokens.weight"):
            data += bytes((rows - shape[0]) * (len(data) // shape[0]))
            shape = [rows, shape[1]]
        tensors[name] = {"dtype": tensor["dtype"], "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
        parts.append(data)
    text = json.dumps(tensors).encode()
    os.mkdir(folder)
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(parts))
    with open(os.path.join(source, "config.json"), encoding="utf-8") as file:
        config = {**json.load(file), "vocab_size": rows}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def without(value, *keys):
    """A JSON value without what only a coordinator knows to the digit."""
    if isinstance(value, list):
        return [without(item, *keys) for item in value]
    if isinstance(value, dict):
        return {key: without(item, *keys) for key, item in value.items() if key not in keys}
    return value


class CasesClientTest(small_disk.SmallDisk, daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.node = self.daemons(start=False)
        self.addCleanup(lambda: self.node.run("down"))

    def said(self, *arguments, status=2, **options):
        """What ftctl says when it refuses."""
        done = self.node.run(*arguments, **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        self.assertNotRegex(done.stderr, "[\x00-\x08\x0b-\x1f]")
        return " ".join(done.stderr.split())

    def job(self, name, **changes):
        data = self.write_tokens(daemons.random_samples(8), f"{name}.jsonl")
        return self.node.write_job(daemons.tokens_job(name, changes.pop("model", self.small_model()), data, **changes))

    def start_run(self, job):
        return subprocess.Popen([os.path.join(daemons.BIN, "ftctl"), "run", job, "--no-plan"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder,
                                env=self.node.environment())

    # 190
    def test_the_last_of_two_runs_stops_the_daemons(self):
        first = self.start_run(self.job("short", **{"train.epochs": 30}))
        daemons.wait_for("the daemons answer", lambda: self.node.run("nodes").returncode == 0, 40)
        second = self.start_run(self.job("long", **{"train.epochs": 600}))
        shown, _ = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0, shown)
        self.assertIn("stay up, for ", shown)
        shown, _ = second.communicate(timeout=60)
        self.assertEqual(second.returncode, 0, shown)
        self.assertNotIn("contact with the coordinator is lost", shown)
        self.assertIn("long succeeded", " ".join(shown.split()))
        self.assertIn("Nothing of this user's is running", self.node.run("down").stdout)
        # First hour: what was trained is found without a daemon, with ids that can be copied.
        listed = self.node.run("list")
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertRegex(listed.stdout, r"short +j[0-9a-f]{19} +yes +120/120")
        self.assertRegex(self.node.run("get", "long").stdout, r"Adapter: +/")

    def test_a_run_whose_daemons_are_gone_says_so_and_ends(self):
        run = self.start_run(self.job("gone", **{"train.epochs": 100000}))
        daemons.wait_for("it trains", lambda: '"RUNNING"' in self.node.run("list", "-o", "json").stdout, 60)
        time.sleep(1)
        self.node.run("down", timeout=60)
        shown, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 3, shown)
        self.assertIn("the private coordinator has stopped", " ".join(shown.split()))
        self.assertIn("ftctl up", shown)

    # 191
    def said_by_the_run(self, shown, words, timeout=60):
        """Waits until a run has printed words into its file, broken between lines or not."""
        def probe():
            with open(shown, encoding="utf-8") as file:
                return words in " ".join(file.read().split())
        daemons.wait_for(f"the run says: {words}", probe, timeout)

    def run_into_a_full_disk(self, job, fill):
        """A run whose disk is too small or gets full says so and ends when it is told to; with room the same command goes on."""
        shown = os.path.join(self.folder, "shown")
        command = [os.path.join(daemons.BIN, "ftctl"), "run", job, "--no-plan"]
        with open(shown, "w", encoding="utf-8") as file:
            run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=self.folder,
                                   env=self.node.environment())
        filler = fill(shown)
        self.said_by_the_run(shown, "the disk is full: cannot write", 90)
        self.said_by_the_run(shown, "No space left on device")
        self.assertIsNone(run.poll(), "it waits for room")
        run.send_signal(signal.SIGINT)
        self.assertEqual(run.wait(60), 1)
        self.said_by_the_run(shown, "cannot be brought to an end; make room, then the same command goes on", 0)
        self.assertIn("Nothing of this user's is running", self.node.ftctl("down"))
        if filler:
            os.remove(filler)
        self.enlarge_disk(self.node.data, "96m")
        done = self.node.run("run", job, "--no-plan", timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("succeeded: step", " ".join(done.stderr.split()))

    def test_a_disk_too_small_for_the_result_is_said_to_be_full(self):
        if not self.in_a_namespace_that_may_mount():
            return
        wide = os.path.join(self.folder, "wide")
        write_wide_model(wide, self.small_model(), 24000)
        job = self.job("full", model=wide, method={"kind": "full"})
        # The run's own copy finds room, that of the coordinator does not.
        with self.small_disk(self.node.data, "24m"):
            self.run_into_a_full_disk(job, lambda shown: None)

    def test_a_disk_that_gets_full_while_it_trains_is_said_to_be(self):
        if not self.in_a_namespace_that_may_mount():
            return
        job = self.job("busy", **{"train.epochs": 600, "train.checkpoint": {"every_steps": 50, "keep_last": 1}})

        def fill(shown):
            self.said_by_the_run(shown, "RUNNING")
            return self.fill(self.node.data)
        with self.small_disk(self.node.data, "32m"):
            self.run_into_a_full_disk(job, fill)

    # 193
    def test_a_failed_run_does_not_hide_an_earlier_result(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(8))
        earlier = node.train(daemons.tokens_job("qa", self.small_model(), data))
        broken = os.path.join(self.folder, "notamodel")
        os.mkdir(broken)
        job = node.submit(daemons.tokens_job("qa", broken, data))
        node.wait_state(job, "FAILED", 60)
        earlier_id = earlier["name"].rpartition("/")[2]
        done = node.run("get", "qa")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, "State: +FAILED")
        self.assertIn(f"The newest qa has no result; an earlier one has: `ftctl get {earlier_id}`", done.stderr)
        # Of one that has a result there is nothing to remark.
        self.assertEqual(node.run("get", earlier_id).stderr, "")
        # Another machine sees neither run's files: the coordinator has the result.
        os.rename(os.path.join(node.worker_data, "runs"), os.path.join(self.folder, "elsewhere"))
        home = os.path.join(self.folder, "another")
        os.mkdir(home)
        away = {"XDG_DATA_HOME": home, "FTCTL_SERVER": f"unix:{node.socket}"}
        out = os.path.join(self.folder, "out")
        done = node.run("export", "qa", out, environment=away)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"the newest qa has no result: this is the one of {earlier_id}", done.stderr)
        self.assertEqual(daemons.sha256(os.path.join(out, "adapter_model.safetensors")), earlier["result"]["adapter_sha256"])
        # What is there is not overwritten, and what never had a result is not made one.
        self.assertIn("is not empty: name a new folder", node.run("export", "qa", out, environment=away).stderr)
        done = node.run("export", job, os.path.join(self.folder, "none"), environment=away)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "none")))

    def test_files_answer_as_the_coordinator_does(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(8))
        job = node.train(daemons.tokens_job("qa", self.small_model(), data, holdout=0.25,
                                            **{"train.epochs": 2, "train.evaluate": {"every_steps": 2}}))
        asked = {verb: node.run(*verb) for verb in (
            ("list", "-o", "json"), ("get", "qa", "-o", "json"), ("get", "qa", "--resolved"), ("metrics", "qa"),
            ("metrics", "qa", "-o", "json", "--first", "2"), ("logs", "qa"), ("logs", "qa", "-o", "json"),
            ("logs", job["name"], "--attempt", "1", "--stream", "stdout", "--tail", "20"))}
        self.assertIn("step 1: loss", asked[("logs", "qa")].stdout)
        node.stop()
        for verb, before in asked.items():
            after = node.run(*verb)
            self.assertEqual((after.returncode, before.returncode), (0, 0), after.stderr)
            self.assertIn("No coordinator runs: this is what the files in ", after.stderr)
            if verb[0] == "logs" or verb[-1] in ("--resolved", "qa"):
                self.assertEqual(after.stdout, before.stdout, verb)
                continue
            self.assertEqual(*(without(json.loads(done.stdout), "config_yaml", "etag", "eta", "phase", "create_time",
                                       "start_time", "end_time", "tokens_per_second") for done in (after, before)))
        for verb in ("logs", "metrics"):
            done = node.run(verb, "qa", "--follow")
            self.assertEqual(done.returncode, 3)
            self.assertRegex(done.stderr, "^ftctl: no coordinator runs, so there is nothing to follow: [^\n]*\n$")
            self.assertIn("no job called 'nobody' has files", node.run(verb, "nobody").stderr)
        # Of another coordinator these files know nothing.
        self.assertEqual(node.run("logs", "qa", **node.coordinator_only()).returncode, 3)

    # 194
    def test_names_that_cannot_be_typed_are_refused_at_once(self):
        for name in ("a/b", "..", "-dash"):
            said = self.said("run", "--model", self.folder, "--data", __file__, f"--name={name}")
            self.assertIn(f"name: '{name}'", said)
        # The API refuses them too, and hub addresses.
        node = self.daemons()
        for changes, words in (({"name": "a/b"}, "holds a '/'"),
                               ({"model": {"source": "https://hub/a/b"}}, "download it first and give the file")):
            with open(self.job("x"), encoding="utf-8") as file:
                job = json.load(file)
            path = self.write_file("wrong.json", json.dumps({**job, **changes}))
            done = node.run("submit", path)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, " ".join(done.stderr.split()))

    # 197, 198
    def test_what_newcomers_type_is_answered_with_what_to_type(self):
        book = os.path.join(self.folder, "q.xlsx")
        with open(book, "wb") as file:
            file.write(b"PK\x03\x04\0\0")
        data = self.write_tokens([[1, 2, 3]], "a.jsonl")
        self.assertIn("q.xlsx is a workbook and no job file: give it with --data", self.said("run", book))
        self.assertIn("give it with --data", self.said("preview", data))
        self.assertIn("did you mean run?", self.said("train"))
        self.assertIn("did you mean --model?", self.said("run", "--modle", "x", "--data", data))
        model = ("--model", self.small_model())
        self.assertIn("did you mean 'train.epochs'?", self.said("run", *model, "--data", data, "--set", "epochs=5"))
        self.assertIn("give it with --data", self.said("run", *model, "--data", data, data))
        for verb in ("run", "plan"):
            said = self.said(verb, "--model", "https://huggingface.co/a/b", "--data", data)
            self.assertIn("download it first and give the file", said)
        self.assertRegex(self.node.ftctl("--version"), r"^ftctl \d")

    def test_without_a_home_nothing_goes_where_others_share_it(self):
        environment = self.node.environment()
        del environment["HOME"], environment["XDG_DATA_HOME"]

        def said(*prefix):
            return subprocess.run([*prefix, os.path.join(daemons.BIN, "ftctl"), "nodes"], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=30, check=False, env=environment)
        # The list of users knows a home where the environment names none.
        home = pwd.getpwuid(os.getuid()).pw_dir
        self.assertIn(f"coordinator at {os.path.join(home, '.local/share/finetuned/finetuned.sock')}", said().stderr)
        nobody = ("unshare", "--user", "--map-user=54321")
        if subprocess.run([*nobody, "true"], capture_output=True, timeout=10, check=False).returncode != 0:
            self.skipTest("a user whom nobody knows needs a user namespace")
        done = said(*nobody)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("this user has no home folder: set HOME, or XDG_DATA_HOME", done.stderr)

    def test_places_that_cannot_hold_the_daemons_are_refused(self):
        job = self.job("x")
        said = self.said("run", job, environment={"XDG_DATA_HOME": os.path.join(self.folder, "d" * 100)})
        self.assertIn("set XDG_DATA_HOME to a shorter folder", said)
        done = subprocess.run(["bash", "-c", 'ulimit -n 20; exec "$@"', "-", os.path.join(daemons.BIN, "ftctl"), "run", job],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
                              env=self.node.environment())
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("ulimit -n", done.stderr)


if __name__ == "__main__":
    daemons.main()
