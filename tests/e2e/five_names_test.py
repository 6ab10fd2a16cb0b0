"""XTuner's five settings of DeepSpeed on simulated devices: one result for each method, whatever ranks divide and wherever it rests. Some of
the cells, and with FT_SOAK=1 all of them. zero_matrix_test.py has the names on CPUs.
"""

import itertools

import cells
import daemons
from gpu_nodes import GpuNodeTest, gpu_job

NAMES = ("deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero2_offload", "deepspeed_zero3", "deepspeed_zero3_offload")
SOME = {"qlora": (("deepspeed_zero1", 2), ("deepspeed_zero3", 2)), "lora": (("deepspeed_zero2", 2), ("deepspeed_zero3_offload", 1)),
        "full": (("deepspeed_zero2_offload", 2), ("deepspeed_zero3_offload", 2))}
RANKS = cells.RANKS
STEPS = 10


class FiveNamesTest(GpuNodeTest):
    def results(self, node, name, method, **parallel):
        result = node.train(gpu_job(name, self.model, self.data, method=cells.METHODS[method],
                                    **{"train.max_steps": STEPS, "train.accumulation": RANKS // parallel["ranks"]},
                                    parallel={"max_ranks": RANKS, **parallel}))["result"]
        return result["adapter_sha256"], result["ledger_sha256"]

    def check(self, method):
        node = self.node(FAKE_NVML_CARDS=str(RANKS))
        expected = self.results(node, "plain", method, ranks=1)
        for name, ranks in itertools.product(NAMES, (1, RANKS)) if daemons.SOAK else SOME[method]:
            found = self.results(node, f"{name}-{ranks}".replace("_", "-"), method, ranks=ranks, deepspeed=name)
            self.assertEqual(found, expected, f"{method}, {name} on {ranks} ranks")

    @daemons.only_in_soak
    def test_every_cell_of_a_device(self):
        node = self.node(FAKE_NVML_CARDS=str(RANKS))
        for method in cells.METHODS:
            expected = self.results(node, f"plain-{method}".replace("_", "-"), method, ranks=1)
            for cell in cells.of("gpu", method):
                self.assertEqual(self.results(node, "cell", method, ranks=RANKS, **cells.division(cell)), expected, cell)

    def test_qlora(self):
        self.check("qlora")

    def test_lora(self):
        self.check("lora")

    def test_full(self):
        self.check("full")


if __name__ == "__main__":
    daemons.main()
