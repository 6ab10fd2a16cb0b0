"""What is wrong outside a single program is refused in one clear sentence, and nothing that was there is lost: the rows
of docs/errors.md that need running programs."""

import os
import socket
import time

import daemons
import small_disk


class RefusalsTest(small_disk.SmallDisk, daemons.DaemonTest):
    def one_line(self, done):
        """The text that ftctl printed on standard error, as one line."""
        return " ".join(done.stderr.split())

    def small_job(self, name="job", **changes):
        data = self.write_tokens(daemons.random_samples(8))
        return daemons.tokens_job(name, self.small_model(), data, **changes)

    # Reaching the coordinator.

    def test_coordinator_unreachable(self):
        node = self.daemons(start=False)
        for verb in (["list"], ["get", "x"], ["watch", "x"], ["submit", node.write_job(self.small_job())]):
            done = node.run(*verb)
            self.assertEqual(done.returncode, 3, verb)
            self.assertIn(f"cannot reach the coordinator at {node.socket}", self.one_line(done))
            self.assertIn("`ftctl up`", self.one_line(done))
            self.assertEqual(len(done.stderr.strip().splitlines()), 1)

    def test_coordinator_that_was_killed_leaves_a_dead_socket(self):
        node = self.daemons()
        node.kill_coordinator()
        done = node.run("list")
        self.assertEqual(done.returncode, 3)
        self.assertIn("cannot reach the coordinator", self.one_line(done))
        # The dead socket is no obstacle for the next one.
        node.start_coordinator()
        self.assertEqual(node.ask("list")["jobs"], [])

    def test_unknown_job(self):
        node = self.daemons()
        done = node.run("get", "no-such-job")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no-such-job", done.stderr)

    # Addresses and folders that are taken.

    def test_port_in_use(self):
        node = self.daemons()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            other = os.path.join(self.folder, "other")
            for flag in ("--listen", "--worker-listen", "--metrics"):
                metrics = [] if flag == "--metrics" else ["--metrics", "0"]
                said = self.refused_daemon(node, "finetuned", ["--data", other, flag, address] + metrics)
                self.assertIn(address, said)
        self.assertEqual(node.ask("list")["jobs"], [])

    def test_address_that_is_not_loopback(self):
        node = self.daemons(start=False)
        said = self.refused_daemon(node, "finetuned", ["--data", node.data, "--listen", "0.0.0.0:4000", "--metrics", "0"])
        self.assertIn("0.0.0.0:4000", said)
        self.assertIn("loopback", said)

    def test_data_folder_of_another_coordinator(self):
        node = self.daemons()
        said = self.refused_daemon(node, "finetuned", ["--data", node.data, "--metrics", "0"])
        self.assertIn(node.data, said)
        self.assertRegex(said, "in use|another coordinator")
        self.assertEqual(node.ask("list")["jobs"], [])

    def test_data_folder_of_another_worker(self):
        node = self.daemons()
        said = self.refused_daemon(node, "ft-worker", ["--data", node.worker_data, "--metrics", "0", "--coordinator",
                                                       "unix:" + node.worker_socket])
        self.assertIn(node.worker_data, said)
        self.assertTrue(node.node_is_ready())

    def test_data_folder_that_cannot_be_written(self):
        node = self.daemons(start=False)
        in_the_way = os.path.join(self.folder, "file")
        with open(in_the_way, "w", encoding="utf-8"):
            pass
        said = self.refused_daemon(node, "finetuned", ["--data", os.path.join(in_the_way, "data"), "--metrics", "0"])
        self.assertIn(in_the_way, said)

    # Devices.

    def test_more_threads_than_cores(self):
        node = self.daemons()
        name = node.submit(self.small_job(**{"resources.threads": 99}))
        node.wait_state(name, "QUEUED", 60)
        answer = daemons.wait_for("a reason is given", lambda: self.explained(node, name, "99"), 15)
        self.assertIn("it needs 99 cores, more than the nodes that it may use have", answer["reason"])
        self.assertEqual(node.get(name)["state"], "QUEUED")
        node.ftctl("cancel", name)

    def test_no_such_device(self):
        node = self.daemons()
        name = node.submit(self.small_job(**{"resources.device": "gpu"}))
        answer = daemons.wait_for("a reason is given", lambda: self.explained(node, name, "GPU"), 30)
        self.assertIn("and a GPU, more than the nodes that it may use have", answer["reason"])
        self.assertIn("use resources.device: cpu in a new job", answer["unblock"])
        node.ftctl("cancel", name)

    def test_no_worker(self):
        node = self.daemons(start=False)
        node.start_coordinator()
        name = node.submit(self.small_job())
        answer = node.ask("explain", name)
        self.assertEqual(answer["state"], "PREPARING")
        self.assertRegex(answer["reason"], "worker|node")
        node.start_worker()
        node.finish(name)

    @staticmethod
    def explained(node, name, word):
        answer = node.ask("explain", name)
        return answer if word in answer["reason"] else None

    def test_more_ranks_than_exist(self):
        node = self.daemons()
        name = node.submit(self.small_job(**{"parallel": {"ranks": 4, "max_ranks": 4}}))
        answer = daemons.wait_for("the job is explained", lambda: self.explained(node, name, "ranks of"), 30)
        self.assertIn("it needs 4 ranks of 1 core each, more than the nodes that it may use have", answer["reason"])

    def test_offload(self):
        node = self.daemons()
        done = node.run("submit", node.write_job(self.small_job(**{"method": {"kind": "full"}, "parallel": {"ranks": 2, "offload": {"parameters": "cpu"}}})))
        self.assertEqual(done.returncode, 2)
        self.assertIn("parallel.offload.parameters needs zero: 3, or a base that is not trained: set one of the two, or none", done.stderr)
        self.assertEqual(node.ask("list")["jobs"], [])

    # Job files and paths.

    def test_a_wrong_job_file_names_every_problem_and_starts_nothing(self):
        node = self.daemons()
        path = os.path.join(self.folder, "wrong.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("model: m\ndata: d\ntrain:\n  epocs: 1\n  micro_batch: 0\nmethod: {rank: x}\n")
        done = node.run("submit", path)
        self.assertEqual(done.returncode, 2)
        for part in ("wrong.yaml:4: train.epocs: unknown key, did you mean 'epochs'?", "wrong.yaml:5: train.micro_batch",
                     "wrong.yaml:6: method.rank"):
            self.assertIn(part, done.stderr)
        self.assertEqual(node.ask("list")["jobs"], [])

    def test_a_path_that_is_not_there(self):
        node = self.daemons()
        missing = os.path.join(self.folder, "missing.jsonl")
        done = node.run("submit", node.write_job(daemons.tokens_job("job", self.small_model(), missing)))
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"there is nothing at {missing}", self.one_line(done))

    def test_a_path_outside_the_roots(self):
        allowed = os.path.join(self.folder, "allowed")
        os.mkdir(allowed)
        config = os.path.join(self.folder, "finetuned.yaml")
        model = self.small_model()
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"roots: [{allowed}, {model}]\n")
        node = self.daemons(coordinator_arguments=["--config", config])
        outside = self.write_tokens(daemons.random_samples(8))
        link = os.path.join(allowed, "link.jsonl")
        os.symlink(outside, link)
        for data in (outside, link, os.path.join(allowed, "..", "tokens.jsonl")):
            done = node.run("submit", node.write_job(daemons.tokens_job("job", model, data)))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("outside the folders", self.one_line(done))
            self.assertIn("data[0].source", done.stderr)
        inside = os.path.join(allowed, "inside.jsonl")
        os.rename(outside, inside)
        node.train(daemons.tokens_job("job", model, inside))

    def test_data_that_the_gate_refuses_takes_no_device(self):
        node = self.daemons()
        bad = self.write_tokens([[1, 5, 6], ([1, 7, 8], [-100, -100, -100])], "bad.jsonl")
        name = node.submit(daemons.tokens_job("job", self.small_model(), bad))
        job = node.wait_state(name, "FAILED", 60)
        self.assertEqual(job["failure"]["failure_class"], "DATA")
        self.assertIn("bad.jsonl line 2: no token carries loss", job["failure"]["message"])
        self.assertEqual(int(job["epoch"]), 1)
        self.assertEqual(node.steps(name), [])

    # Disk full.

    def test_disk_full_under_the_coordinator(self):
        if not self.in_a_namespace_that_may_mount():
            return
        node = self.daemons(start=False)
        with self.small_disk(node.data, "32m"):
            node.start()
            node.train(self.small_job("before"))
            filler = self.fill(node.data)
            job = node.write_job(self.small_job("refused"))
            done = daemons.wait_for("a change is refused", lambda: self.failed(node.run("submit", job)), 30)
            self.assertRegex(done.stderr.lower(), "disk|space")
            self.assertIsNone(node.coordinator.poll(), "the coordinator goes on")
            self.assertEqual(node.get("before")["state"], "SUCCEEDED")
            os.remove(filler)
            time.sleep(1)
            node.train(self.small_job("after"))
            self.assertEqual(node.get("before")["state"], "SUCCEEDED")
            node.stop()

    @staticmethod
    def told_of_space(node, name):
        """What a job says about the full disk, once it does."""
        job = node.get(name)
        said = f"{job['state_message']} {job.get('failure', {}).get('message', '')}"
        return said if "no space left" in said.lower() else ""

    @staticmethod
    def failed(done):
        return done if done.returncode != 0 else None

    def test_disk_full_under_a_rank(self):
        if not self.in_a_namespace_that_may_mount():
            return
        node = self.daemons(start=False)
        with self.small_disk(node.worker_data, "16m"):
            node.start()
            node.train(self.small_job("before"))
            settings = {"train.epochs": 100000, "train.max_steps": 100000, "train.accumulation": 8,
                        "train.checkpoint": {"every_steps": 5, "keep_last": 1}}
            name = node.submit(self.small_job("full", **settings))
            node.wait_step(name, 1)
            filler = self.fill(node.worker_data)
            said = daemons.wait_for("the job says what is wrong", lambda: self.told_of_space(node, name), 60)
            self.assertIn(node.worker_data, said)
            time.sleep(5)
            self.assertLess(int(node.get(name)["epoch"]), 30, "attempts are not started in a storm")
            os.remove(filler)
            # Nothing was lost: with room again the job goes on, or ended with the sentence.
            if node.get(name)["state"] != "FAILED":
                step = int(node.get(name)["progress"]["step"])
                node.wait_step(name, step + 20)
                node.ftctl("cancel", name)
            self.assertEqual(node.get("before")["state"], "SUCCEEDED")
            node.train(self.small_job("after"))
            node.stop()


if __name__ == "__main__":
    daemons.main()
