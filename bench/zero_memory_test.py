"""bench/zero_memory.py: which settings this version runs, what the table says of them, which floors they miss."""

import os
import sys
import threading
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
import daemons  # noqa: E402
import memory  # noqa: E402
import report  # noqa: E402
import zero_memory  # noqa: E402
from training import GIB, STEPS  # noqa: E402
from zero_memory import Found, Setting  # noqa: E402

WHY = "parallel.zero above 2 is not supported yet: use zero: 2"
FULL0, FULL2, FULL3 = Setting("full", 0), Setting("full", 2), Setting("full", 3)


def run(peaks, losses):
    return {"each": [peak * GIB for peak in peaks], "seconds": [9.0, 2.0, 2.0, 2.0, 2.0], "losses": losses}


def good(setting, peak=1.0):
    return Found(setting, peaks=(peak * GIB, GIB), tokens=100, same=STEPS)


class ZeroMemoryTest(unittest.TestCase):
    def test_what_capabilities_refuses_is_not_run(self):
        cell = {"method": "full", "device": "cpu", "offload": "none", "zero": 2, "supported": True, "reason": ""}
        other = {**cell, "device": "gpu", "zero": 3}
        refused = {**cell, "zero": 3, "supported": False, "reason": WHY + "\nmore"}
        self.assertIsNone(FULL2.refusal([cell, other, refused]))
        self.assertEqual(FULL3.refusal([cell, other, refused]), WHY)
        with self.assertRaisesRegex(ValueError, "says nothing of full_zero3"):
            FULL3.refusal([cell, other])

    def test_figures_are_medians_of_the_pairs_rank_by_rank_and_the_fewest_equal_losses(self):
        losses = [5.0, 4.0, 3.0, 2.0, 1.0]
        runs = [run([2.0, 1.5, 0.1], losses), run([2.2, 1.7, 0.1], losses[:4] + [1.5]), run([2.4, 1.6, 0.1], losses)]
        found = zero_memory.found_of(FULL2, runs, losses)
        self.assertEqual([round(peak / GIB, 6) for peak in found.peaks], [2.2, 1.6])
        self.assertEqual((found.tokens, found.same), (256.0, 4))

    def test_losses_of_another_number_of_steps_are_no_comparison(self):
        with self.assertRaises(ValueError):
            zero_memory.same_steps([1.0], [1.0, 2.0])

    def test_the_table_says_each_ranks_peak_and_whether_losses_are_one_ranks(self):
        unlike = good(FULL2)
        unlike.same = 3
        lines = zero_memory.table([good(FULL0, 2.69), unlike, Found(FULL3, refused=WHY * 3)]).splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertEqual(lines[1].split(), ["full,", "zero", "0", "2.69", "1.00", "100", "equal"])
        self.assertTrue(lines[2].endswith("only 3 of 5 equal"))
        self.assertIn(WHY, lines[3])

    def test_floors_are_missed_by_memory_and_by_losses_but_not_by_what_is_refused(self):
        found = [good(setting) for setting in zero_memory.SETTINGS]
        found[1] = Found(FULL2, peaks=(2.3 * GIB, GIB), tokens=100, same=4)
        found[2] = Found(FULL3, refused=WHY)
        rows = [row for one in found for row in one.rows()]
        self.assertEqual(report.missed(rows, ["zero_memory"]), ["zero_memory.full_zero2: ours 2.3, floor <= 2.2",
                                                                "zero_memory.full_zero2_same: ours 4, floor >= 5"])
        self.assertIn("full_zero3              GiB   " + WHY[:40], report.table(rows, ["zero_memory"]))
        self.assertEqual(report.missed([], ["zero_memory"])[0], "zero_memory.full_zero2: not measured")

    def test_every_setting_has_a_floor_for_its_losses(self):
        floors = {name: bound for name, _, _, bound in report.FLOORS if name.endswith("_same")}
        self.assertEqual(floors, {f"zero_memory.{setting.name}_same": STEPS for setting in zero_memory.SETTINGS})

    def test_one_rank_and_two_train_the_same_micro_batches(self):
        context = types.SimpleNamespace(threads=8, demo=types.SimpleNamespace(path="/model"))
        jobs = [zero_memory.job_of(context, "/tokens", "full", "j", parallel)
                for parallel in ({"ranks": 1}, {"ranks": 2, "zero": 3})]
        self.assertEqual([job["train"]["accumulation"] for job in jobs], [2, 1])
        self.assertEqual([job["parallel"]["max_ranks"] for job in jobs], [2, 2])
        self.assertEqual(jobs[1]["parallel"]["zero"], 3)
        self.assertEqual(jobs[0]["method"], {"kind": "full"})
        self.assertEqual((jobs[0]["model"]["dtype"], jobs[0]["train"]["max_length"]), ("bf16", 256))

    def test_a_watch_tells_the_peak_of_every_process(self):
        again = threading.Event()
        calls = []

        def find():
            calls.append(None)
            if len(calls) == 2:  # So the first round is over.
                again.set()
            return [os.getpid(), os.getppid()]

        watch = memory.Watch(find)
        self.assertTrue(again.wait(10))
        peaks = watch.stop()
        self.assertEqual((len(peaks["each"]), peaks["each"][0]), (2, peaks["memory"]))
        self.assertGreaterEqual(peaks["each"][0], peaks["each"][1])


if __name__ == "__main__":
    daemons.main()
