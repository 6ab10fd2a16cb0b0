"""Whole jobs with `device: gpu` through coordinator, agent and rank, on the simulated accelerator (docs/simulated-device.md): what they
learn, what a killed one, a full card and a broken one come to. NVML is a fake that lists a card and two slices of another.

FT_SEED repeats a run; the seed is printed.
"""

import glob
import os
import signal
import subprocess
import unittest

import daemons
from gpu_nodes import LIBRARY, RANK, STEPS, GpuNodeTest, gpu_job


class GpuTest(GpuNodeTest):
    def failed(self, node, job):
        name = node.submit(job)
        return node.wait_state(name, "FAILED", 120)

    def losses(self, node, job):
        return [float(step["loss"]) for step in node.steps(job)]

    def test_every_method_learns_what_the_cpu_learns(self):
        node = self.node()
        for kind, packing in (("qlora", True), ("lora", False), ("full", False)):
            method = {"kind": kind} if kind == "full" else {"kind": kind, "rank": 4, "alpha": 8, "dropout": 0.1}
            changes = {"method": method, "train.packing": packing}
            gpu = node.train(gpu_job(f"{kind}-gpu", self.model, self.data, **changes))
            node.train(gpu_job(f"{kind}-cpu", self.model, self.data, **{**changes, "resources": {"device": "cpu", "threads": 1}}))
            ours, theirs = self.losses(node, f"{kind}-gpu"), self.losses(node, f"{kind}-cpu")
            self.assertEqual(len(ours), STEPS)
            for mine, other in zip(ours, theirs):
                self.assertAlmostEqual(mine, other, delta=2e-4 * abs(other))
            self.assertRegex(gpu["result"]["adapter_sha256"], "^[0-9a-f]{64}$")
            self.assertGreater(int(node.steps(f"{kind}-gpu")[-1]["peak_memory_bytes"]), 1 << 16)

    def test_a_killed_job_ends_with_the_bytes_of_one_that_was_left_alone(self):
        rng = daemons.seeded_random()
        steps = 30
        changes = {"method": {"kind": "qlora", "rank": 4, "alpha": 8, "dropout": 0.1}, "train.max_steps": steps, "train.accumulation": 16}
        node = self.node()
        alone = node.train(gpu_job("alone", self.model, self.data, **changes))
        name = node.submit(gpu_job("killed", self.model, self.data, **changes))
        rank = node.training_rank(name)
        node.wait_step(name, rng.randrange(2, steps // 2))
        os.kill(rank, signal.SIGKILL)
        killed = node.finish(name)
        self.assertGreater(int(killed["epoch"]), int(alone["epoch"]))
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertEqual(alone["result"][key], killed["result"][key], key)
        self.assertEqual(node.ask("diff", "alone", "killed"), {"equal": True, "steps": steps})

    def test_one_and_two_ranks_end_with_the_same_bytes(self):
        node = self.node()
        changes = {"method": {"kind": "qlora", "rank": 4, "alpha": 8, "dropout": 0.1}, "train.accumulation": 2}
        one = node.train(gpu_job("one", self.model, self.data, **changes, parallel={"ranks": 1, "max_ranks": 2}))
        changes["train.accumulation"] = 1
        two = node.train(gpu_job("two", self.model, self.data, **changes, parallel={"ranks": 2, "max_ranks": 2}))
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertEqual(one["result"][key], two["result"][key], key)

    def test_the_optimizers_state_may_rest_elsewhere(self):
        """Equal bytes wherever it rests, and an event that says where. The cards have less than the plan of the paged one wants, and enough."""
        node = self.node(FT_SIM_MEMORY=str(200 << 20))
        method = {"kind": "full"}
        stays = node.train(gpu_job("stays", self.model, self.data, method=method))
        for name, place, changes in (
                ("zero2", "in host memory", {"parallel": {"deepspeed": "deepspeed_zero2_offload"}}),
                ("zero3", "in host memory", {"parallel": {"deepspeed": "deepspeed_zero3_offload"}}),
                ("disk", "cache/offload", {"parallel": {"offload": {"optimizer": "disk"}}}),
                ("paged", "in host memory", {"train.optimizer": {"lr": 1e-3, "kind": "paged_adamw"}})):
            moved = node.train(gpu_job(name, self.model, self.data, method=method, **changes))
            for key in ("adapter_sha256", "ledger_sha256"):
                self.assertEqual(stays["result"][key], moved["result"][key], name)
            said = [event for event in node.ftctl("events", name, "-o", "json").splitlines() if "the optimizer's state of each rank rests" in event]
            self.assertEqual(len(said), 1, name)
            self.assertIn(place, said[0])

    def test_weights_may_rest_elsewhere(self):
        """Equal bytes wherever a frozen base rests, and an event that says where."""
        node = self.node()
        changes = {"method": {"kind": "qlora", "rank": 4, "alpha": 8, "dropout": 0.1}}
        alone = {**changes, "train.accumulation": 2}
        stays = node.train(gpu_job("stays", self.model, self.data, **alone, parallel={"ranks": 1, "max_ranks": 2}))
        for name, place, parallel in (
                ("host", "in host memory", {"ranks": 1, "max_ranks": 2, "offload": {"parameters": "cpu"}}),
                ("disk", "cache/offload", {"ranks": 1, "max_ranks": 2, "offload": {"parameters": "disk"}}),
                ("zero3", "in host memory", {"ranks": 2, "max_ranks": 2, "deepspeed": "deepspeed_zero3_offload"})):
            settings = alone if parallel["ranks"] == 1 else {**changes, "train.accumulation": 1}
            moved = node.train(gpu_job(name, self.model, self.data, **settings, parallel=parallel))
            for key in ("adapter_sha256", "ledger_sha256"):
                self.assertEqual(stays["result"][key], moved["result"][key], name)
            said = [event for event in node.ftctl("events", name, "-o", "json").splitlines() if "weights of each rank that no pass reads rest" in event]
            self.assertEqual(len(said), 1, name)
            self.assertIn(place, said[0])

    def test_a_device_that_is_full_is_named_with_what_would_fit_and_the_next_job_trains(self):
        node = self.node()
        for allocation in (1, 100, 400, 1000):  # At load, and within steps.
            self.fault(f"oom@{allocation}")
            job = self.failed(node, gpu_job(f"full-{allocation}", self.model, self.data))
            self.assertEqual(job["failure"]["failure_class"], "DEVICE_OOM", job)
            self.assertIn("out of memory on the device", job["state_message"])
            self.assertIn("the largest part is", job["state_message"])
            self.assertIn(": set ", job["state_message"])
        self.fault("")
        node.train(gpu_job("after", self.model, self.data))

    def test_a_device_that_fails_ends_the_rank_and_not_the_agent(self):
        node = self.node()
        agent = node.agent_pid()
        alone = node.train(gpu_job("alone", self.model, self.data, **{"train.max_steps": 12}))
        # In a late step: an attempt that goes on from a checkpoint ends before it has launched as many.
        for fault in ("700@4500", "719@4500", "lost@4500"):
            self.fault(fault)
            name = node.submit(gpu_job(f"fails-{fault.partition('@')[0]}", self.model, self.data, **{"train.max_steps": 12}))
            daemons.wait_for("the fault is told", lambda name=name: self.device_fault(node, name), 60)
            self.fault("")
            done = node.finish(name)
            self.assertEqual(alone["result"]["adapter_sha256"], done["result"]["adapter_sha256"])
        self.assertEqual(agent, node.agent_pid())
        self.assertTrue(node.node_is_ready())

    def test_a_card_that_fails_twice_in_a_row_takes_no_job_until_it_is_asked_for(self):
        node = self.node(FAKE_NVML_CARDS="1")
        self.fault("719@300")
        name = node.submit(gpu_job("fails", self.model, self.data))
        problem = daemons.wait_for("the card is excluded", lambda: self.problem(node), 120)
        self.assertRegex(problem, r"^takes no job for another (59|60) min: 2 attempts in a row ended with a fault of it; ftctl uncordon ")
        self.assertIn("GPU-1: takes no job for another", node.ftctl("nodes"))
        doctor = node.run("doctor")
        self.assertEqual(doctor.returncode, 1)
        self.assertIn("attempts in a row ended with a fault of it", " ".join(doctor.stdout.split()))
        waits = daemons.wait_for("a reason is given", lambda: self.waits(node, name), 30)
        self.assertIn("1 GPU(s) take no job (ftctl nodes says why)", " ".join(waits["details"]))
        self.fault("")
        node.ftctl("uncordon", node.ask("nodes")["nodes"][0]["node_id"])
        node.finish(name)
        self.assertFalse(self.problem(node))

    def test_a_card_that_this_build_cannot_use_says_why_and_a_job_that_may_uses_the_cpu(self):
        node = self.node(FAKE_NVML_CARDS="1", FAKE_NVML_TROUBLE="old_card")
        self.assertEqual(self.problem(node), "has compute capability 6.1, 7.5 or newer is needed (Turing: T4, RTX 20)")
        node.train(gpu_job("any", self.model, self.data, resources={"device": "auto", "threads": 1}))

    @staticmethod
    def problem(node):
        """Why the node's GPU takes no job; None while it does."""
        return next((device["problem"] for device in node.ask("nodes")["nodes"][0]["devices"] if device.get("problem")), None)

    @staticmethod
    def device_fault(node, name):
        for event in node.ftctl("events", name, "-o", "json").splitlines():
            if "the device failed" in event:
                return event
        return None

    def test_each_rank_sees_the_card_or_the_slice_that_it_was_given(self):
        node = self.node(cores=3)
        names = [node.submit(gpu_job(f"job-{i}", self.model, self.data, **{"train.max_steps": 10000})) for i in range(3)]
        seen = set()
        for name in names:
            pid = node.training_rank(name)
            node.wait_step(name, 1)
            seen.add(self.visible(pid))
        self.assertEqual(seen, {"GPU-1", "MIG-21", "MIG-22"})
        waiting = node.submit(gpu_job("job-3", self.model, self.data))
        answer = daemons.wait_for("a reason is given", lambda: self.waits(node, waiting), 30)
        self.assertIn("and a GPU, and not enough is free", answer["reason"])
        for name in names:
            node.ftctl("cancel", name)
        node.finish(waiting)

    def test_jobs_on_a_shared_card_keep_to_their_parts_of_its_memory(self):
        # The fake lists a card and two slices: six slots. A rank may take half of 1 MiB, and the weights alone are more.
        node = self.node(cores=2, slots=2, FT_SIM_MEMORY=str(1 << 20))
        names = [node.submit(gpu_job(f"job-{i}", self.model, self.data)) for i in range(2)]
        for name in names:
            job = node.wait_state(name, "FAILED", 120)
            self.assertEqual(job["failure"]["failure_class"], "DEVICE_OOM", job)
        node = self.node(cores=2, slots=2)
        names = [node.submit(gpu_job(f"job-{i}", self.model, self.data, **{"train.max_steps": 10000})) for i in range(2)]
        cards = [self.visible(node.training_rank(name)) for name in names]
        self.assertEqual(cards[0], cards[1])
        for name in names:
            node.wait_step(name, 1)
            node.ftctl("cancel", name)

    @staticmethod
    def visible(pid):
        variables = dict(entry.partition(b"=")[::2] for entry in daemons.read_proc(pid, "environ").split(b"\0"))
        return variables[b"CUDA_VISIBLE_DEVICES"].decode()

    @staticmethod
    def waits(node, name):
        answer = node.ask("explain", name)
        return answer if "GPU" in answer["reason"] else None

    def test_a_job_that_leaves_the_device_open_takes_a_gpu_where_there_is_one(self):
        node = self.node()
        node.train(gpu_job("open", self.model, self.data, **{"resources": {"device": "auto", "threads": 1}}))
        written = glob.glob(os.path.join(node.worker_data, "runs", "*", "attempts", "*", "rank0", "records.ftr"))
        records = b""
        for path in written:
            with open(path, "rb") as file:
                records += file.read()
        self.assertIn(b"gpu=simulated accelerator sm=90 sms=132 simulated workspace=:4096:8", records)

    def test_chat_answers_on_the_device_as_on_the_cpu(self):
        model = self.need_demo_model()

        def chat(device):
            done = subprocess.run([RANK, "chat", "--model", model, "--device", device, "--prompt", "What is the capital of France?",
                                   "--max-new-tokens", "6", "--dtype", "fp32"],
                                  capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
                                  env={**os.environ, "FT_CUDA_LIBRARY": LIBRARY})
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        self.assertEqual(chat("gpu"), chat("cpu"))

    def test_without_a_driver_the_refusal_names_the_one_that_is_needed(self):
        done = subprocess.run([os.path.join(daemons.BIN, "ft-rank"), "chat", "--model", self.model, "--device", "gpu", "--prompt", "x"],
                              capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0)
        self.need_not("" if "libft_cuda.so is missing" not in done.stderr else "this build has no library for GPUs")
        self.need_not("this machine has a GPU" if os.path.exists("/dev/nvidiactl") else "")
        self.assertIn("no NVIDIA driver was found: this build needs the NVIDIA driver 580 or newer", done.stderr)


if __name__ == "__main__":
    daemons.main()
