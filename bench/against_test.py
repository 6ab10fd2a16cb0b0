"""bench/against.py: the order of the builds in a pair, the ratio of a row, and when it fails."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
import against  # noqa: E402
import daemons  # noqa: E402
import report  # noqa: E402
import training  # noqa: E402
from against import NEW, OLD, Comparison, Figures  # noqa: E402
from report import Row  # noqa: E402


def compared(name, unit, new, old):
    return Row(name, unit, new[0], against=Comparison(new, old))


class OrderTest(unittest.TestCase):
    def test_the_build_that_runs_first_changes_from_pair_to_pair(self):
        calls = []
        figures = Figures({NEW: "this", OLD: "other"})
        for pair in range(3):
            figures.measure(pair, calls.append)
        self.assertEqual(calls, ["other", "this", "this", "other", "other", "this"])

    def test_without_another_build_there_is_one_run_a_pair_and_no_comparison(self):
        calls = []
        figures = Figures({NEW: "this"})
        for pair in range(3):
            figures.measure(pair, lambda node: calls.append(node) or len(calls))
        self.assertEqual(calls, ["this"] * 3)
        self.assertEqual(figures.of(lambda number: number * 10), {"ours": 20, "against": None})

    def test_a_row_compares_the_two_runs_of_the_same_pair(self):
        runs = {"this": iter([110, 90, 55]), "other": iter([100, 100, 50])}
        figures = Figures({NEW: "this", OLD: "other"})
        for pair in range(3):
            figures.measure(pair, lambda node: {"rate": next(runs[node])})
        made = figures.of(lambda run: run["rate"])
        self.assertEqual(made["ours"], 90)
        self.assertEqual((made["against"].new, made["against"].old), ([110, 90, 55], [100, 100, 50]))


class VerdictTest(unittest.TestCase):
    def test_the_ratio_is_the_median_of_the_pairs_not_the_ratio_of_the_medians(self):
        # A machine twice as fast in the last pair: every pair says 1.1 but one.
        found = Comparison([110, 90, 220], [100, 100, 200])
        self.assertAlmostEqual(found.ratio, 1.1)
        self.assertEqual([round(ratio, 2) for ratio in found.ratios], [1.1, 0.9, 1.1])

    def test_a_rate_fails_below_its_tolerance_only(self):
        self.assertFalse(Comparison([98, 97.5, 99], [100, 100, 100]).is_slower("tok/s"))
        self.assertTrue(Comparison([96, 96.5, 120], [100, 100, 100]).is_slower("tok/s"))
        self.assertFalse(Comparison([150], [100]).is_slower("tok/s"))

    def test_a_wait_fails_above_its_tolerance_only(self):
        self.assertFalse(Comparison([1.08], [1.0]).is_slower("s"))
        self.assertTrue(Comparison([1.2], [1.0]).is_slower("s"))
        self.assertFalse(Comparison([0.5], [1.0]).is_slower("s"))

    def test_memory_is_shown_and_not_judged(self):
        rows = [compared("demo.memory", "GiB", [2.0], [1.0])]
        self.assertEqual(against.missed(rows, ["demo"]), [])
        self.assertIn("2.000", report.comparisons(rows))

    def test_what_is_slower_is_named_with_its_ratio(self):
        rows = [compared("demo.tokens", "tok/s", [90, 91], [100, 100]), compared("sft.tokens", "tok/s", [100], [100])]
        self.assertEqual(against.missed(rows, ["demo", "sft"]),
                         ["demo.tokens: 0.905 of the other build's tok/s, more than 3% slower"])

    def test_a_scenario_that_gave_no_comparison_fails(self):
        rows = [Row("sft.tokens", "", None, why="the other build's worker ended")]
        self.assertEqual(against.missed(rows, ["sft"]), ["sft: not compared with the other build"])

    def test_every_unit_that_is_judged_says_what_faster_means(self):
        self.assertLessEqual(set(against.FASTER_IS_MORE), set(against.TOLERANCES))


class ShownTest(unittest.TestCase):
    def test_the_table_fits_80_columns_and_leaves_out_what_was_not_compared(self):
        rows = [compared("demo_ckpt_fp32.anonymous", "tok/s", [12345.6, 9000], [98765.4, 9000]), Row("nf4.quantise", "GB/s", 3)]
        lines = report.comparisons(rows).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertTrue(lines[1].endswith("slower!"))

    def test_json_has_every_pair(self):
        row = compared("demo.tokens", "tok/s", [110.0, 120.0], [100.0, 100.0])
        self.assertEqual(row.as_json()["against"],
                         {"new": [110.0, 120.0], "old": [100.0, 100.0], "ratio": 1.15, "lowest": 1.1, "highest": 1.2})
        self.assertEqual(report.Row("a.b", "s", 1.0).as_json().get("against"), None)

    def test_a_folder_without_all_four_programs_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("finetuned", "ft-worker", "ft-rank"):
                path = os.path.join(folder, name)
                with open(path, "w", encoding="utf-8"):
                    pass
                os.chmod(path, 0o755)
            self.assertEqual(against.missing_programs(folder), ["ftctl"])


class NoPeersTest(unittest.TestCase):
    def test_rows_without_a_peer_have_a_figure_and_no_ratio(self):
        figures = Figures({NEW: "this", OLD: "other"})
        figures.measure(0, lambda node: {"memory": 2 << 30, "anonymous": 1 << 30})
        rows = list(training.memory_rows("demo", figures, [], "PEFT"))
        self.assertEqual([(row.name, row.ours, row.peer, row.ratio) for row in rows],
                         [("demo.memory", 2.0, None, None), ("demo.anonymous", 1.0, None, None)])

    def test_alone_they_leave_nothing_to_compare_with(self):
        refused = subprocess.run([sys.executable, "-B", os.path.join(HERE, "bench.py"), "bin", "--no-peers"], check=False,
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--no-peers leaves nothing to compare with: name another build with --against", refused.stderr)


if __name__ == "__main__":
    daemons.main()
