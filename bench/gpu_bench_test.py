"""bench/gpu_bench.py's arithmetic and floors, bench/gpu_cards.py, and the model that both sides train."""

import argparse
import contextlib
import io
import os
import sys
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import gpu_bench  # noqa: E402
import gpu_cards  # noqa: E402
import models  # noqa: E402
from report import Row  # noqa: E402

H100 = "NVIDIA H100 80GB HBM3"


def rows(tokens=2.0, memory=0.9, copy=0.8):
    return [Row("mb4_recomputed.tokens", "tok/s", 100 * tokens, 100), Row("mb4_recomputed.memory", "GiB", 10 * memory, 10),
            Row("nf4.dequantise", "GB/s", 100 * copy, None, None, 100)]


def judged(found, card=H100, layers=32):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        kept = gpu_bench.judged(gpu_bench.floors_of(gpu_cards.card_of(card), layers, found), found)
    return kept, shown.getvalue().splitlines()


class FloorsTest(unittest.TestCase):
    def test_each_floor_is_a_line(self):
        kept, lines = judged(rows())
        self.assertTrue(kept)
        self.assertEqual(lines, ["PASS mb4_recomputed.tokens: ratio 2, floor >= 1.8", "PASS mb4_recomputed.memory: ratio 0.9, floor <= 1",
                                 "PASS nf4.dequantise: limit_share 0.8, floor >= 0.7"])

    def test_each_can_be_missed(self):
        for number, found in enumerate((rows(tokens=1.7), rows(memory=1.1), rows(copy=0.6))):
            kept, lines = judged(found)
            self.assertFalse(kept)
            self.assertEqual([line.split()[0] for line in lines], ["FAIL" if i == number else "PASS" for i in range(3)])

    def test_a_peer_that_died_misses_the_floors_against_it(self):
        found = [Row("mb4_recomputed.tokens", "tok/s", 100, None, why="PEFT died"), *rows()[1:]]
        self.assertEqual(judged(found)[1][0], "FAIL mb4_recomputed.tokens: not measured: PEFT died")

    def test_other_cards_and_models_have_none(self):
        for card, layers in (("NVIDIA A100-SXM4-80GB", 32), ("a simulated device", 32), (H100, 8)):
            kept, lines = judged(rows(tokens=0.1), card, layers)
            self.assertTrue(kept)
            self.assertRegex(lines[0], "^no floor is judged: ")


class RowsTest(unittest.TestCase):
    """What a setting's rows are of what was found: two steps of 2 s count, of which 0.1 s lie behind backward; the peer takes 4 s."""

    def setUp(self):
        args = argparse.Namespace(device="gpu", layers=32, seconds=100, peer=True)
        self.bench = gpu_bench.Bench(args, folder="")
        self.bench.rates = {"card": H100, "gemm_flops": 800e12}
        self.bench.model = types.SimpleNamespace(step_flops=lambda length, rank, recomputed: 30e9)
        self.bench.shape = gpu_bench.Shape({}, warm_up=1, steps=2)
        gib = gpu_bench.GIB
        self.bench.train_ours = lambda setting: {"seconds": [9, 2, 2], "optimizer_seconds": [5, 0.1, 0.1], "device_memory": 9 * gib,
                                                 "planned": 10 * gib}
        self.bench.train_peer = lambda setting: {"device": H100, "seconds": [9, 4, 4], "device_memory": 12 * gib}

    def rows(self):
        with contextlib.redirect_stderr(io.StringIO()):
            found = gpu_bench.setting_rows(self.bench, gpu_bench.SETTINGS[0])
            return {row.name.partition(".")[2]: row for row in found}

    def test_rates_shares_and_peaks_of_both(self):
        found = self.rows()
        self.assertEqual(found["tokens"].ours, 16 * 2048 / 2)
        self.assertEqual(found["tokens"].ratio, 2)
        self.assertAlmostEqual(found["tokens"].limit, 800e12 / 30e9)
        self.assertAlmostEqual(found["mfu"].ours, 100 * 16384 * 30e9 / 989e12)
        self.assertAlmostEqual(found["mfu"].peer, found["mfu"].ours / 2)
        self.assertEqual(found["memory"].ratio, 0.75)
        self.assertEqual(found["memory_by_plan"].ratio, 0.9)
        self.assertAlmostEqual(found["norm_ledger_optimizer"].ours, 5)
        self.assertIsNone(found["tokens"].why)

    def test_a_side_that_dies_leaves_the_other(self):
        def die(setting):
            raise RuntimeError("Traceback\n  File\ntorch.OutOfMemoryError: no memory\n")
        self.bench.train_peer = die
        found = self.rows()
        self.assertEqual(found["tokens"].ours, 16384)
        self.assertIsNone(found["tokens"].ratio)
        self.assertEqual(found["tokens"].why, "PEFT, mb4_recomputed: torch.OutOfMemoryError: no memory")


class PlanTest(unittest.TestCase):
    PLAN = {"memory_bytes": {"base weights": 7, "weights of one product": 2, "CUDA's context": 500, "workspace of products": 32},
            "memory_total_bytes": 541}

    def test_counted_is_all_but_what_no_allocator_of_that_device_knows(self):
        self.assertEqual(gpu_bench.counted_bytes(self.PLAN, "gpu"), 41)
        self.assertEqual(gpu_bench.counted_bytes(self.PLAN, "sim"), 9)

    def test_a_part_that_the_plan_has_not_is_no_zero(self):
        with self.assertRaises(KeyError):
            gpu_bench.counted_bytes({"memory_bytes": {"program": 1}, "memory_total_bytes": 1}, "gpu")


class CardsTest(unittest.TestCase):
    def test_a_card_has_its_own_rate(self):
        for name, flops in (("NVIDIA H200", 989e12), (H100, 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 NVL", 835e12),
                            ("NVIDIA A100-PCIE-40GB", 312e12)):
            self.assertEqual(gpu_cards.card_of(name).bf16_flops, flops, name)

    def test_slices_and_others_have_none(self):
        for name in ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA GH200 480GB", "Tesla T4", "", None):
            self.assertIsNone(gpu_cards.card_of(name), name)


class ShapeTest(unittest.TestCase):
    def test_a_token_of_the_7b_takes_29_gigaflops(self):
        model = types.SimpleNamespace(config=gpu_bench.LLAMA_7B, vocabulary=gpu_bench.LLAMA_7B["vocab_size"])
        model.linears = lambda: models.Model.linears(model)
        flops = models.Model.step_flops(model, 2048, gpu_bench.RANK, False)
        self.assertAlmostEqual(flops / 1e9, 29.3, delta=0.1)

    def test_rows_a_step_are_whole_micro_batches(self):
        for setting in gpu_bench.SETTINGS:
            self.assertEqual(gpu_bench.Shape({}).rows % setting.micro_batch, 0)


if __name__ == "__main__":
    gpu_bench.ours.daemons.main()
