"""Ranks with GPUs of their own that exchange over NCCL, a fake one (tests/simdevice/fake_nccl.h): the bytes of one rank, whatever carries
them, and what a rank that stops or dies in the middle comes to.

FT_SEED repeats a run; the seed is printed.
"""

import os
import signal
import time
import unittest

import daemons
from gpu_nodes import GpuNodeTest, gpu_job

METHOD = {"kind": "qlora", "rank": 4, "alpha": 8, "dropout": 0.1}


class GpuRanksTest(GpuNodeTest):
    def cards(self, cards=4, **settings):
        return self.node(cores=4, FAKE_NVML_CARDS=str(cards), **settings)

    def job(self, name, ranks, **changes):
        parallel = {"ranks": ranks, "max_ranks": 4, **changes.pop("parallel", {})}
        return gpu_job(name, self.model, self.data, **{"method": METHOD, "train.accumulation": 4 // ranks, **changes}, parallel=parallel)

    @staticmethod
    def exchange(node, name):
        return [line for line in node.ftctl("events", name, "-o", "json").splitlines() if '"RANK_EXCHANGE"' in line]

    def test_one_two_and_four_ranks_end_with_the_same_bytes_over_nccl_and_through_host_memory(self):
        node = self.cards()
        results = [node.train(self.job("one", 1))]
        self.assertEqual(self.exchange(node, "one"), [])
        for name, ranks, transport in (("two", 2, "auto"), ("four", 4, "auto"), ("shm", 2, "shm"), ("gloo", 2, "gloo")):
            results.append(node.train(self.job(name, ranks, parallel={"transport": transport})))
            over_nccl = any("GPUs exchange over NCCL" in line for line in self.exchange(node, name))
            self.assertEqual(over_nccl, transport == "auto", self.exchange(node, name))
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertEqual(len({result["result"][key] for result in results}), 1, key)

    def test_weights_in_slices_give_the_bytes_of_one_rank_over_nccl_and_through_host_memory(self):
        node = self.cards(cards=2)
        full = {"method": {"kind": "full"}}
        results = [node.train(self.job("whole", 1, **full))]
        for name, transport in (("slices", "auto"), ("staged", "shm")):
            results.append(node.train(self.job(name, 2, **full, parallel={"transport": transport, "zero": 3})))
            over_nccl = any("GPUs exchange over NCCL" in line for line in self.exchange(node, name))
            self.assertEqual(over_nccl, transport == "auto", self.exchange(node, name))
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertEqual(len({result["result"][key] for result in results}), 1, key)

    def test_ranks_on_slices_of_a_card_go_through_host_memory(self):
        node = self.cards(cards="slices")
        one = node.train(self.job("one", 1))
        two = node.train(self.job("two", 2))
        told = self.exchange(node, "two")
        self.assertTrue(told and "through host memory over shm: ranks 0 and 1 share a card" in told[0], told)
        self.assertEqual(one["result"]["adapter_sha256"], two["result"]["adapter_sha256"])

    def test_a_rank_that_is_killed_is_named_and_the_job_ends_with_the_same_bytes(self):
        rng = daemons.seeded_random()
        node = self.cards()
        steps = 24
        alone = node.train(self.job("alone", 2, **{"train.max_steps": steps}))
        name = node.submit(self.job("killed", 2, **{"train.max_steps": steps}))
        node.wait_step(name, rng.randrange(2, steps // 2))
        os.kill(node.pid_of_rank(name, 1), signal.SIGKILL)
        killed = node.finish(name)
        self.assertGreater(int(killed["epoch"]), int(alone["epoch"]))
        self.assertEqual(alone["result"]["adapter_sha256"], killed["result"]["adapter_sha256"])

    def test_a_rank_that_stands_still_is_named_within_ten_seconds(self):
        node = self.cards()
        name = node.submit(self.job("stands", 2, **{"train.max_steps": 10000}))
        node.wait_step(name, 2)
        stopped = node.pid_of_rank(name, 1)
        os.kill(stopped, signal.SIGSTOP)
        try:
            start = time.monotonic()
            line = daemons.wait_for("an event names the rank", lambda: self.waits_for_rank(node, name, 1), 30)
            self.assertLess(time.monotonic() - start, 12, line)
        finally:
            os.kill(stopped, signal.SIGCONT)
        node.ftctl("cancel", name)

    @staticmethod
    def waits_for_rank(node, name, rank):
        for line in node.ftctl("events", name, "-o", "json").splitlines():
            if f"waits for rank {rank} in tree sum" in line:
                return line
        return None


if __name__ == "__main__":
    daemons.main()
