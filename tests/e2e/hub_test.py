"""Models and data from hubs, against a hub on this machine that both Python clients accept (hub_server.py): every way in which a
download may go wrong, Python's caches read and written, and a job from addresses to an answer.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import daemons
import full_result_test
import hub_server
import small_disk

RANGE = 64 << 20  # As core/hub/download.h has it.
MIB = 1 << 20
NAME = "owner/name"
PEERS = os.path.join(daemons.ROOT, ".deps", "checks", "bin", "python3")


def digest(content):
    return hashlib.sha256(content).hexdigest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def random_bytes(size, seed):
    source = random.Random(seed)
    return b"".join(source.randbytes(min(32 * MIB, size - at)) for at in range(0, size, 32 * MIB))


class HubTest(small_disk.SmallDisk, daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.hub = hub_server.HubServer()
        self.addCleanup(self.hub.close)
        self.node = self.daemons(start=False)
        self.cache = os.path.join(self.folder, "hf")
        self.modelscope_cache = os.path.join(self.folder, "ms")

    def variables(self, **changes):
        return {"HF_ENDPOINT": self.hub.endpoint, "MODELSCOPE_ENDPOINT": self.hub.endpoint, "HF_HUB_CACHE": self.cache,
                "MODELSCOPE_CACHE": self.modelscope_cache, **changes}

    def model(self, size=3 * MIB, seed=1, **changes):
        files = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}" * 50, "README.md": b"# about",
                 "onnx/model.onnx": b"x" * 99, "model.safetensors": random_bytes(size, seed)}
        return self.hub.add(NAME, {**files, **changes}, large={"model.safetensors", "onnx/model.onnx"})

    def fetch(self, source, *arguments, **variables):
        """`ftctl cache fetch`, its answer parsed; a text when it refuses."""
        done = self.node.run("cache", "fetch", source, *arguments, "-o", "json", environment=self.variables(**variables), timeout=120)
        return json.loads(done.stdout) if done.returncode == 0 else " ".join(done.stderr.split())

    def check(self, answer, repository):
        self.assertIsInstance(answer, dict, answer)
        for file in answer["files"]:
            self.assertEqual(read(os.path.join(answer["folder"], file["path"])), repository.files[file["path"]], file["path"])
        self.assertEqual(self.unfinished(), [])
        return {file["path"] for file in answer["files"]}

    def final_names(self):
        """Whatever bears a final name is whole."""
        for folder, _, names in os.walk(self.cache):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.basename(folder) == "blobs" and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", name):
                    content = read(path)
                    self.assertIn(name, (digest(content), hub_server.git_sha1(content)))
                if "/snapshots/" in path:
                    self.assertTrue(os.path.exists(path), f"{path} leads nowhere")

    def unfinished(self):
        return [name for root in (self.cache, self.modelscope_cache) for _, _, names in os.walk(root) for name in names
                if ".finetuned-" in name]

    def python(self, script, **variables):
        """Runs a script with the pinned Python clients; its output."""
        if not os.path.exists(PEERS):
            self.skipTest("the Python clients are not here: `cmake/setup.sh --python-checks` installs them")
        environment = {**self.node.environment(), **self.variables(**variables), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        done = subprocess.run([PEERS, "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip().splitlines()[-1]

    # What both bring.

    def test_both_bring_the_same_from_hugging_face(self):
        repository = self.model()
        paths = self.check(self.fetch(f"hf://{NAME}"), repository)
        self.assertEqual(paths, {"config.json", "tokenizer.json", "model.safetensors"})
        # Python finds all of it without asking, and the other way round.
        script = f"from huggingface_hub import snapshot_download as s; print(s('{NAME}', allow_patterns={sorted(paths)!r}))"
        folder = self.python(script, HF_HUB_OFFLINE="1")
        for path in paths:
            self.assertEqual(read(os.path.join(folder, path)), repository.files[path])
        shutil.rmtree(self.cache)
        self.python(f"from huggingface_hub import snapshot_download as s; print(s('{NAME}'))")
        self.hub.forget()
        answer = self.fetch(f"hf://{NAME}", HF_HUB_OFFLINE="1")
        self.assertEqual(self.check(answer, repository), paths)
        self.assertEqual(answer["downloaded_bytes"], 0)
        self.assertEqual(self.hub.requests, [])

    def test_both_bring_the_same_from_modelscope(self):
        repository = self.model()
        paths = self.check(self.fetch(f"modelscope://{NAME}"), repository)
        self.assertIn("model.safetensors", paths)
        script = f"from modelscope import snapshot_download as s; print(s('{NAME}', local_files_only=%s))"
        folder = self.python(script % True)
        for path in paths:
            self.assertEqual(read(os.path.join(folder, path)), repository.files[path])
        shutil.rmtree(self.modelscope_cache)
        self.python(script % False)
        self.hub.forget()
        answer = self.fetch(f"modelscope://{NAME}")
        self.assertEqual(self.check(answer, repository), paths)
        self.assertEqual(self.hub.sent("hub") + self.hub.sent("storage"), 0, "what Python brought is taken")
        # As its clients up to 1.37 laid it out.
        models = os.path.join(self.modelscope_cache, "models")
        shutil.move(os.path.join(models, "owner--name", "snapshots", "master"), os.path.join(models, "owner", "name"))
        shutil.rmtree(os.path.join(models, "owner--name"))
        self.assertEqual(self.check(self.fetch(f"modelscope://{NAME}"), repository), paths)
        self.assertEqual(self.hub.sent("hub") + self.hub.sent("storage"), 0, "so is what older ones brought")

    def test_data_sets_of_both(self):
        rows = b'{"text": "a"}\n' * 40
        files = {"data/train-0.jsonl": rows, "data/train-1.jsonl": rows[:14], "data/test.jsonl": rows, "README.md": b"x"}
        repository = self.hub.add("owner/set", files, large={"data/train-0.jsonl"}, kind="datasets")
        for scheme in ("hf", "modelscope"):
            source = f"{scheme}://datasets/owner/set"
            self.assertEqual(self.check(self.fetch(source), repository), {"data/train-0.jsonl", "data/train-1.jsonl"})
            self.assertEqual(self.check(self.fetch(source, "--split", "test"), repository), {"data/test.jsonl"})
            self.assertIn("has no split: validation", self.fetch(source, "--split", "validation"))

    def test_listings_of_3000_entries(self):
        extra = {f"folder{number % 7}/file{number}.json": b"{}" for number in range(3000)}
        repository = self.model(**extra)
        self.assertIn("config.json", self.check(self.fetch(f"hf://{NAME}"), repository))
        self.assertEqual(sum("/tree/" in request["path"] for request in self.hub.requests), 4, "page by page")
        self.assertIn("config.json", self.check(self.fetch(f"modelscope://{NAME}"), repository))
        self.assertTrue(any("Root=folder6" in request["path"] for request in self.hub.requests), "folder by folder")
        with open(os.path.join(self.modelscope_cache, "models", "owner--name", ".finetuned", "master.json"), encoding="utf-8") as file:
            self.assertEqual(set(json.load(file)["files"]), set(repository.files))

    # What goes wrong on the way.

    def test_cut_connections_go_on_where_they_ended(self):
        repository = self.model(size=150 * MIB)
        offsets = daemons.seeded_random().sample(range(150 * MIB), 20)
        self.hub.faults.cuts = list(offsets)
        self.check(self.fetch(f"hf://{NAME}"), repository)
        self.assertEqual(self.hub.faults.cuts, [], "all of the connections were cut")
        # What was on the way when a connection was cut may come again, and no more.
        self.assertLess(self.hub.sent("storage"), 150 * MIB + RANGE)

    def test_a_killed_process_goes_on_where_it_ended(self):
        repository = self.model(size=3 * RANGE)
        self.hub.faults.storage_delay = 0.02
        fetch = subprocess.Popen([os.path.join(daemons.BIN, "ftctl"), "cache", "fetch", f"hf://{NAME}"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.node.environment(**self.variables()))
        self.addCleanup(fetch.communicate)
        state = os.path.join(self.cache, "models--owner--name", "blobs", repository.sha256["model.safetensors"] + ".finetuned-ranges")
        daemons.wait_for("a range is there", lambda: os.path.exists(state), 60)
        fetch.kill()
        fetch.wait(10)
        self.final_names()
        self.assertEqual(self.node.ask("cache", "list", environment=self.variables())[0]["unfinished_bytes"] > 0, True)
        self.hub.forget()
        self.hub.faults.storage_delay = 0
        self.check(self.fetch(f"hf://{NAME}"), repository)
        self.assertLessEqual(self.hub.sent("storage"), 2 * RANGE, "a range that was there is not brought again")

    def test_ctrl_c_keeps_what_came(self):
        repository = self.model(size=100 * MIB)
        self.hub.faults.storage_delay = 0.02
        fetch = subprocess.Popen([os.path.join(daemons.BIN, "ftctl"), "cache", "fetch", f"hf://{NAME}"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.node.environment(**self.variables()))
        self.addCleanup(fetch.communicate)
        daemons.wait_for("some of it came", lambda: self.hub.sent("storage") > 20 * MIB, 60)
        fetch.send_signal(signal.SIGINT)
        self.assertEqual(fetch.wait(10), 1)
        came = self.hub.sent("storage")
        self.hub.forget()
        self.hub.faults.storage_delay = 0
        self.check(self.fetch(f"hf://{NAME}"), repository)
        self.assertLess(self.hub.sent("storage"), 100 * MIB - came + 16 * MIB)

    def test_ranges_that_are_ignored(self):
        repository = self.model(size=70 * MIB)
        self.hub.faults.ignore_ranges = True
        self.hub.faults.cuts = [69 * MIB]
        self.check(self.fetch(f"hf://{NAME}"), repository)

    def test_addresses_that_lapse(self):
        repository = self.model(size=300 * MIB)
        self.hub.faults.lapse_after = 1
        self.check(self.fetch(f"hf://{NAME}"), repository)
        self.assertGreater(sum("/resolve/" in request["path"] for request in self.hub.requests), 3)

    def test_too_many_requests_are_waited_for(self):
        repository = self.model()
        self.hub.faults.limits = [("/revision/", "ratelimit", 1), ("/tree/", "retry-after", 1), ("/resolve/", "date", 2)]
        self.hub.faults.hiccups = 1
        begin = time.monotonic()
        self.check(self.fetch(f"hf://{NAME}"), repository)
        self.assertGreater(time.monotonic() - begin, 4)
        self.hub.faults.limits = [("/repo/files", "retry-after", 1)]
        self.check(self.fetch(f"modelscope://{NAME}"), repository)

    def test_a_wrong_hash_is_tried_twice_and_fails(self):
        repository = self.model()
        self.hub.faults.wrong_bytes = 1 << 30
        said = self.fetch(f"hf://{NAME}")
        self.assertIn("twice: something on the way changes it", said)
        self.assertEqual(self.unfinished(), [])
        self.final_names()
        self.hub.faults.wrong_bytes = 1
        self.check(self.fetch(f"hf://{NAME}"), repository)

    def test_sizes_that_do_not_fit(self):
        self.model()
        self.hub.faults.lies_about_size = 100
        said = self.fetch(f"hf://{NAME}")
        self.assertRegex(said, "ended before the end|another size than the hub lists|HTTP status 416")
        self.final_names()

    def test_a_full_disk_is_said_before_the_first_byte_and_while_it_fills(self):
        if not self.in_a_namespace_that_may_mount():
            return
        repository = self.model(size=80 * MIB)
        disk = os.path.join(self.folder, "disk")
        with self.small_disk(disk, 100 * MIB):
            said = self.fetch(f"hf://{NAME}", HF_HUB_CACHE=os.path.join(disk, "hub"))
            self.assertRegex(said, "needs 80.0 MiB more in .*, and .* are free: make room")
            self.assertEqual(self.hub.sent("storage"), 0)
            self.enlarge_disk(disk, 170 * MIB)
            # Somebody else takes the room after the look, while the first file comes.
            self.hub.faults.before_content = lambda: self.fill(disk)
            said = self.fetch(f"hf://{NAME}", HF_HUB_CACHE=os.path.join(disk, "hub"))
            self.assertIn("No space left on device", said)
            self.hub.faults.before_content = None
            os.remove(os.path.join(disk, "filler"))
            said = self.fetch(f"hf://{NAME}", HF_HUB_CACHE=os.path.join(disk, "hub"))
            self.assertEqual(read(os.path.join(said["folder"], "model.safetensors")), repository.files["model.safetensors"])

    def test_gated_private_and_absent(self):
        repository = self.model()
        repository.tokens = {"hf_good"}
        repository.gated = True
        self.assertIn("is not open to everybody: accept its terms at", self.fetch(f"hf://{NAME}"))
        self.assertIn("is not open to this token", self.fetch(f"hf://{NAME}", HF_TOKEN="hf_other"))
        self.check(self.fetch(f"hf://{NAME}", HF_TOKEN="hf_good"), repository)
        self.assertIn("is not open to everybody", self.fetch(f"hf://{NAME}"), "what another may read is no one else's")
        repository.gated = False
        said = self.fetch(f"hf://{NAME}", HF_TOKEN="hf_other")
        self.assertIn("does not take the token: set HF_TOKEN", said)
        self.assertNotIn("hf_other", said)
        self.assertIn("is not at 127.0.0.1, or is private", self.fetch("hf://owner/none"))
        self.assertIn("there is no such revision", self.fetch(f"hf://{NAME}@v9", HF_TOKEN="hf_good"))
        self.assertIn("is not at 127.0.0.1, or is private", self.fetch("modelscope://owner/none"))
        repository.tokens = None
        shutil.rmtree(self.cache)
        self.hub.faults.missing = {"tokenizer.json"}
        self.assertIn("tokenizer.json: hf://owner/name: a file is not there any more", self.fetch(f"hf://{NAME}"))

    def test_no_token_goes_to_another_host(self):
        other = hub_server.HubServer()
        self.addCleanup(other.close)
        repository = self.model()
        other.repositories = self.hub.repositories
        other.faults.lapse_after = 0
        other.is_good = lambda key: True
        self.hub.faults.redirect_to = f"http://127.0.0.1:{other.storage.server_port}"
        for scheme, variable in (("hf", "HF_TOKEN"), ("modelscope", "MODELSCOPE_API_TOKEN")):
            self.check(self.fetch(f"{scheme}://{NAME}", **{variable: "secret"}), repository)
        self.assertTrue(other.requests)
        for request in other.requests:
            self.assertNotIn("secret", json.dumps(request))
        with_token = [request for request in self.hub.requests if "secret" in json.dumps(request["headers"])]
        self.assertEqual(len(with_token), len(self.hub.requests), "the hub itself is always told")

    def test_a_renamed_repository_keeps_its_token(self):
        repository = self.model()
        repository.tokens = {"hf_good"}
        self.hub.renamed["models", "owner/old"] = NAME
        self.check(self.fetch("hf://owner/old", HF_TOKEN="hf_good"), repository)

    def test_two_processes_and_one_download(self):
        self.model(size=120 * MIB)
        self.hub.faults.storage_delay = 0.01
        environment = self.node.environment(**self.variables())
        both = [subprocess.Popen([os.path.join(daemons.BIN, "ftctl"), "cache", "fetch", f"hf://{NAME}"], env=environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate(timeout=120) for process in both]
        self.assertEqual([process.returncode for process in both], [0, 0], said)
        self.assertEqual(said[0][0], said[1][0])
        self.assertIn("another process on this machine downloads", said[0][1] + said[1][1])
        self.assertEqual(self.hub.sent("storage"), 120 * MIB)
        self.final_names()

    def test_offline_means_no_connection(self):
        repository = self.model()
        said = self.fetch(f"hf://{NAME}", HF_HUB_OFFLINE="1")
        self.assertIn("and hubs are offline here", said)
        self.check(self.fetch(f"hf://{NAME}"), repository)
        if shutil.which("strace") is None:
            self.skipTest("strace is not here")
        trace = os.path.join(self.folder, "trace")
        done = subprocess.run(["strace", "-f", "-o", trace, "-e", "trace=connect,sendto,sendmsg", os.path.join(daemons.BIN, "ftctl"),
                               "cache", "fetch", f"hf://{NAME}"], env=self.node.environment(**self.variables(HF_HUB_OFFLINE="1")),
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotRegex(read(trace).decode(), r"AF_INET|sin_port")

    def test_endpoints_that_would_show_tokens(self):
        self.assertIn("would show tokens to everybody on the way", self.fetch(f"hf://{NAME}", HF_ENDPOINT="http://hub.example"))

    def test_what_is_kept_is_listed_and_removed(self):
        self.model()
        self.fetch(f"hf://{NAME}")
        environment = self.variables()
        kept = self.node.ask("cache", "list", environment=environment)
        self.assertEqual([entry["source"] for entry in kept], [f"hf://{NAME}"])
        self.assertGreaterEqual(kept[0]["bytes"], 3 * MIB)
        self.assertIn(f"hf://{NAME}", self.node.ftctl("cache", "list", environment=environment))
        self.node.ftctl("cache", "remove", f"hf://{NAME}", environment=environment)
        self.assertEqual(self.node.ask("cache", "list", environment=environment), [])
        done = self.node.run("cache", "remove", f"hf://{NAME}", environment=environment)
        self.assertIn("is not in the cache", done.stderr)

    # Jobs.

    def add_small_model(self, name=NAME):
        folder = self.model_folder = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), folder, copy_function=shutil.copyfile)
        full_result_test.write_tokenizer(folder)
        files = {file: read(os.path.join(folder, file)) for file in os.listdir(folder)
                 if os.path.isfile(os.path.join(folder, file))}
        return self.hub.add(name, files, large={"model.safetensors"})

    def hub_job(self, name, **changes):
        job = daemons.tokens_job(name, f"hf://{NAME}", "hf://owner/tokens", **changes)
        lines = [json.dumps({"input_ids": ids, "labels": ids}) + "\n" for ids in daemons.random_samples(32)]
        self.hub.add("owner/tokens", {"train-0.jsonl": "".join(lines[:20]).encode(), "train-1.jsonl": "".join(lines[20:]).encode(),
                                      "test.jsonl": b"{}"}, large={"train-0.jsonl"}, kind="datasets")
        return job

    def test_a_job_from_addresses_is_that_from_files(self):
        repository = self.add_small_model()
        job = self.hub_job("far")
        node = self.node
        self.start_with(node)
        done = node.train(job)
        lines = json.dumps(done["prepared"]["report"])
        self.assertIn(f"hf://{NAME} is version {repository.commit}", lines)
        self.assertEqual(int(done["prepared"]["samples"]), 32)
        data = os.path.join(self.folder, "all.jsonl")
        with open(data, "wb") as file:
            for part in ("train-0.jsonl", "train-1.jsonl"):
                file.write(self.hub.repositories["datasets", "owner/tokens"].files[part])
        near = node.train(daemons.tokens_job("near", self.model_folder, data))
        self.assertEqual(done["result"]["adapter_sha256"], near["result"]["adapter_sha256"])
        # The branch moves on; the job keeps to what it was prepared with, and asks nobody.
        repository.commit = "f" * 40
        self.hub.forget()
        said = [node.ftctl("chat", job, "--prompt", "hello", "--max-new-tokens", "4", environment=self.variables(), timeout=120)
                for job in ("far", "near")]
        self.assertEqual(said[0], said[1])
        merged = os.path.join(self.folder, "merged")
        node.ftctl("merge", "far", merged, environment=self.variables(), timeout=120)
        self.assertTrue(os.path.exists(os.path.join(merged, "config.json")))
        self.assertEqual(self.hub.requests, [])

    def start_with(self, node):
        """The daemons with the hub's variables in their environment, and a token that no job may use."""
        original = node.spawn

        def spawn(name, arguments, prefix=(), log_name="", **environment):
            return original(name, arguments, prefix, log_name, **{**self.variables(HF_TOKEN="hf_of_the_daemon"), **environment})
        node.spawn = spawn
        node.start()

    def test_the_owners_token_reads_for_the_job_and_is_shown_to_nobody(self):
        self.add_small_model().tokens = {"hf_owner", "hf_of_the_daemon"}
        node = self.node
        self.start_with(node)
        job = node.write_job(self.hub_job("private"))
        refused = node.ask("submit", job)["name"].rpartition("/")[2]
        failed = daemons.wait_for("it is refused", lambda: self.ended(node, refused), 60)
        self.assertIn("or is private", failed["failure"]["message"])
        self.assertEqual(failed["failure"]["failure_class"], "CONFIG")
        environment = {**node.coordinator_only()["environment"], "HF_TOKEN": "hf_owner"}
        name = node.ask("submit", job, environment=environment)["name"].rpartition("/")[2]
        node.finish(name)
        for arguments in (["get", name, "-o", "json"], ["events", name], ["logs", name]):
            self.assertNotIn("hf_owner", node.run(*arguments).stdout)
        node.stop()
        told = {os.path.relpath(os.path.join(folder, file), self.folder) for folder, _, names in os.walk(self.folder)
                for file in names if b"hf_owner" in read(os.path.join(folder, file))}
        self.assertEqual({path for path in told if not path.startswith(("0/data/finetuned/finetuned.db", "0/data/finetuned/state.db"))}, set())
        asked = {request["headers"].get("Authorization") for request in self.hub.requests}
        self.assertEqual(asked - {None}, {"Bearer hf_owner"}, "the daemon's own token is nobody's")

    @staticmethod
    def ended(node, job):
        answer = node.get(job)
        return answer if answer["state"] in ("FAILED", "SUCCEEDED") else None

    def test_run_from_addresses(self):
        self.add_small_model()
        job = self.node.write_job(self.hub_job("quick"))
        self.addCleanup(lambda: self.node.run("down"))
        done = self.node.run("run", job, environment=self.variables(), timeout=180)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("steps", done.stdout, "the plan is shown")
        said = self.node.run("chat", f"hf://{NAME}", "--prompt", "hello", "--max-new-tokens", "4", environment=self.variables(), timeout=120)
        self.assertEqual(said.returncode, 0, said.stderr)


if __name__ == "__main__":
    daemons.main()
