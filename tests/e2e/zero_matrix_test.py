"""One result on any number of ranks, with real processes: methods x ZeRO stages x ranks x transports, 20 steps of 6 micro-batches over
rounds of 4, so that the last round of a step is short. Equal bytes of weights and ledger for each method and order of additions; one cell
for each pair of choices, and with FT_SOAK=1 the whole product. worker/train/trainer/zero_matrix_test.cc has it on threads, with bytes held and
exchanged.
"""

import itertools
import os

import daemons
from ranks_test import Attempts, small_job

# (stage, ranks, transport): every pair of them is in one.
PAIRS = ((0, 4, "shm"), (1, 2, "shm"), (1, 4, "gloo"), (2, 4, "shm"), (2, 2, "gloo"), (3, 4, "shm"), (3, 2, "gloo"), (3, 1, "auto"))
ALL = tuple(itertools.product((0, 1, 2, 3), (1, 2, 4), ("shm", "gloo")))


class ZeroMatrixTest(daemons.DaemonTest):
    def check(self, method, exchange, dtype="fp32"):
        data = self.write_tokens(daemons.random_samples(64))
        job = small_job(self.small_model(), data, **{
            "model.dtype": dtype, "method.kind": method, "method.dropout": 0.0 if method == "full" else 0.1, "train.micro_batch": 1, "train.accumulation": 6,
            "parallel": {"ranks": 1, "max_ranks": 4, "exchange": exchange}})
        attempts = Attempts(os.path.join(self.folder, "run"), job)
        self.addCleanup(attempts.stop)
        file = "model.safetensors" if method == "full" else "adapter_model.safetensors"
        expected = None
        for zero, ranks, transport in ((0, 1, "auto"),) + (ALL if os.environ.get("FT_SOAK") else PAIRS):
            attempts.job = dict(job, parallel=dict(job["parallel"], zero=zero))
            attempt = attempts.train(ranks, transport=transport)
            found = [daemons.sha256(os.path.join(attempt, *path)) for path in (("adapter", file), ("ledger.ftr",))]
            expected = expected or found
            self.assertEqual(found, expected, f"{method}, exchange {exchange}: zero {zero} on {ranks} ranks over {transport}")

    def test_qlora(self):
        self.check("qlora", "auto")

    def test_lora(self):
        self.check("lora", "auto")

    def test_full_by_micro_batch(self):
        self.check("full", "auto")

    def test_full_in_bf16(self):
        self.check("full", "auto", "bf16")

    def test_full_by_step(self):
        self.check("full", "step")


if __name__ == "__main__":
    daemons.main()
