"""What only the running ftctl shows: sentences for what newcomers type, and runs that share the private daemons."""

import json
import os
import subprocess
import time

import daemons


class CasesClientTest(daemons.DaemonTest):
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
        return self.node.write_job(daemons.tokens_job(name, self.small_model(), data, **changes))

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
        self.assertRegex(listed.stdout, r"short +j[0-9a-f]{19} +yes")
        self.assertRegex(self.node.run("get", "long").stdout, r"Result: +/")

    def test_a_run_whose_daemons_are_gone_says_so_and_ends(self):
        run = self.start_run(self.job("gone", **{"train.epochs": 100000}))
        daemons.wait_for("it trains", lambda: '"RUNNING"' in self.node.run("list", "-o", "json").stdout, 60)
        time.sleep(1)
        self.node.run("down", timeout=60)
        shown, _ = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 3, shown)
        self.assertIn("the private coordinator has stopped", " ".join(shown.split()))
        self.assertIn("ftctl up", shown)

    # 194
    def test_names_that_cannot_be_typed_are_refused_at_once(self):
        for name in ("a/b", "..", "-dash"):
            said = self.said("run", "--model", self.folder, "--data", __file__, f"--name={name}")
            self.assertIn(f"name: '{name}'", said)
        # The API refuses them too, and hub addresses.
        node = self.daemons()
        for changes, words in (({"name": "a/b"}, "holds a '/'"),
                               ({"model": {"source": "https://hub/a/b"}}, "download it first and give the folder")):
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
            self.assertIn("download it first and give the folder", said)
        self.assertRegex(self.node.ftctl("--version"), r"^ftctl \d")

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
