"""One result on any number of ranks, with real processes: methods x ZeRO stages x ranks x transports, 20 steps of 6 micro-batches over
rounds of 4, so that the last round of a step is short. Equal bytes of weights and ledger for each method and order of additions; one cell
for each pair of choices, and with FT_SOAK=1 the whole product. worker/train/trainer/zero_matrix_test.cc has it on threads, with bytes held and
exchanged.
"""

import itertools
import os

import cells
import daemons
from ranks_test import Attempts, said, small_job

# (stage, ranks, transport): every pair of them is in one.
PAIRS = ((0, 4, "shm"), (1, 2, "shm"), (1, 4, "gloo"), (2, 4, "shm"), (2, 2, "gloo"), (3, 4, "shm"), (3, 2, "gloo"), (3, 1, "auto"))
# XTuner's five settings: stage, and where optimizer and parameters lie.
NAMES = {"deepspeed_zero1": (1, "none", "none"), "deepspeed_zero2": (2, "none", "none"), "deepspeed_zero2_offload": (2, "cpu", "none"),
         "deepspeed_zero3": (3, "none", "none"), "deepspeed_zero3_offload": (3, "cpu", "cpu"),
         "zero2 with the optimizer's state on disk": (2, "disk", "none")}
# Of a base that is not trained.
FROZEN = {"zero3 with weights on disk": (3, "disk", "disk")}
ALL = tuple(itertools.product((0, 1, 2, 3), (1, 2, 4), ("shm", "gloo")))


class ZeroMatrixTest(daemons.DaemonTest):
    def attempts(self, method, **changes):
        data = self.write_tokens(daemons.random_samples(64))
        job = small_job(self.small_model(), data, **{
            "method.kind": method, "method.dropout": 0.0 if method == "full" else 0.1, "train.micro_batch": 1, "train.accumulation": 6,
            "parallel": {"ranks": 1, "max_ranks": 4}, **changes})
        attempts = Attempts(os.path.join(self.folder, f"run-{method}"), job)
        self.addCleanup(attempts.stop)
        return attempts

    def end(self, attempts, ranks, transport="auto", **parallel):
        """The bytes with which the job ends where it runs so."""
        job = attempts.job
        attempts.job = dict(job, parallel=dict(job["parallel"], **parallel))
        attempt = attempts.train(ranks, transport=transport)
        attempts.job = job
        file = "model.safetensors" if job["method"]["kind"] == "full" else "adapter_model.safetensors"
        return [daemons.sha256(os.path.join(attempt, *path)) for path in (("adapter", file), ("ledger.ftr",))]

    def check(self, method, exchange, dtype="fp32"):
        attempts = self.attempts(method, **{"model.dtype": dtype})
        expected = self.end(attempts, 1, exchange=exchange)
        for zero, ranks, transport in ALL if os.environ.get("FT_SOAK") else PAIRS:
            self.assertEqual(self.end(attempts, ranks, transport, exchange=exchange, zero=zero), expected,
                             f"{method}, exchange {exchange}: zero {zero} on {ranks} ranks over {transport}")
        return attempts, expected

    def test_five_names_of_deepspeed_on_a_cpu(self):
        for method in ("qlora", "lora", "full"):
            attempts = self.attempts(method, **{"train.max_steps": 10})
            expected = self.end(attempts, 1)
            for name, (zero, optimizer, parameters) in (NAMES if method == "full" else {**NAMES, **FROZEN}).items():
                for ranks in (1, 2) if os.environ.get("FT_SOAK") else (2,):
                    found = self.end(attempts, ranks, zero=zero, offload={"optimizer": optimizer, "parameters": parameters})
                    self.assertEqual(found, expected, f"{method}, {name} on {ranks} ranks")
            # What was on disk has no name, and is gone with the rank.
            self.assertEqual(os.listdir(os.path.join(attempts.folder, "cache", "offload")), [])

    @daemons.only_in_soak
    def test_every_cell_of_a_cpu(self):
        for method in cells.METHODS:
            attempts = self.attempts(method, **{"train.max_steps": 10})
            expected = self.end(attempts, 1)
            for cell in cells.of("cpu", method):
                self.assertEqual(self.end(attempts, cells.RANKS, **cells.division(cell)), expected, cell)

    def test_qlora(self):
        self.check("qlora", "auto")

    def test_lora(self):
        self.check("lora", "auto")

    def test_full_by_micro_batch(self):
        self.check("full", "auto")

    def test_full_in_bf16(self):
        attempts, expected = self.check("full", "auto", "bf16")
        # Float32 values rest with the optimizer's state; where one rank runs such a job, all of them.
        for zero, ranks in ((1, 2), (2, 1)):
            found = self.end(attempts, ranks, exchange="auto", zero=zero, offload={"optimizer": "disk"})
            self.assertEqual(found, expected, f"zero {zero} on {ranks} ranks, with the optimizer's state on disk")
            attempt = os.path.join(attempts.folder, "attempts", str(attempts.epoch))
            self.assertTrue(said(attempt, 0, "float32 values of each rank's trained weights rest in "))

    def test_full_by_step(self):
        self.check("full", "step")


if __name__ == "__main__":
    daemons.main()
