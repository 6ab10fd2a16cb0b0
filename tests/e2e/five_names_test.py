"""XTuner's five settings of DeepSpeed on simulated devices: one result for each method, whatever ranks divide and wherever it rests. Some of
the cells, and with FT_SOAK=1 all of them. zero_matrix_test.py has the names on CPUs.
"""

import itertools

import daemons
from gpu_nodes import GpuNodeTest, gpu_job

ADAPTER = {"rank": 4, "alpha": 8, "dropout": 0.1}
METHODS = {"qlora": {"kind": "qlora", **ADAPTER}, "lora": {"kind": "lora", **ADAPTER}, "full": {"kind": "full"}}
NAMES = ("deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero2_offload", "deepspeed_zero3", "deepspeed_zero3_offload")
SOME = {"qlora": (("deepspeed_zero1", 2), ("deepspeed_zero3", 2)), "lora": (("deepspeed_zero2", 2), ("deepspeed_zero3_offload", 1)),
        "full": (("deepspeed_zero2_offload", 2), ("deepspeed_zero3_offload", 2))}
RANKS = 2
STEPS = 10


class FiveNamesTest(GpuNodeTest):
    def check(self, method):
        node = self.node(FAKE_NVML_CARDS=str(RANKS))

        def results(name, ranks, **parallel):
            result = node.train(gpu_job(name, self.model, self.data, method=METHODS[method],
                                        **{"train.max_steps": STEPS, "train.accumulation": RANKS // ranks},
                                        parallel={"ranks": ranks, "max_ranks": RANKS, **parallel}))["result"]
            return result["adapter_sha256"], result["ledger_sha256"]

        expected = results("plain", 1)
        for name, ranks in itertools.product(NAMES, (1, RANKS)) if daemons.SOAK else SOME[method]:
            self.assertEqual(results(f"{name}-{ranks}".replace("_", "-"), ranks, deepspeed=name), expected, f"{method}, {name} on {ranks} ranks")

    def test_qlora(self):
        self.check("qlora")

    def test_lora(self):
        self.check("lora")

    def test_full(self):
        self.check("full")


if __name__ == "__main__":
    daemons.main()
