"""bench/report.py: which floors a run misses, how wide the table is, what bench.json holds."""

import json
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
import daemons  # noqa: E402
import report  # noqa: E402
from report import Row  # noqa: E402


class ReportTest(unittest.TestCase):
    def test_a_rate_below_its_floor_is_named_with_both_figures(self):
        rows = [Row("demo.tokens", "tok/s", 140, 100, "peer"), Row("demo.memory", "GiB", 1, 3, "peer")]
        self.assertEqual(report.missed(rows, ["demo"]), ["demo.tokens: ratio 1.4, floor >= 1.5"])

    def test_memory_above_its_floor_is_named(self):
        rows = [Row("demo.tokens", "tok/s", 150, 100, "peer"), Row("demo.memory", "GiB", 2, 3, "peer")]
        self.assertEqual(report.missed(rows, ["demo"]), ["demo.memory: ratio 0.667, floor <= 0.5"])

    def test_what_was_not_measured_misses_its_floor_and_says_why(self):
        rows = [Row("sft.tokens", "", None, why="packing is refused")]
        self.assertEqual(report.missed(rows, ["sft"]),
                         ["sft.tokens: not measured: packing is refused", "sft.memory: not measured"])

    def test_other_scenarios_are_not_asked_for(self):
        self.assertEqual(report.missed([], []), [])

    def test_the_table_fits_80_columns_and_marks_what_was_missed(self):
        rows = [Row(floor[0], "tok/s", 12345.6, 98765.4, "PEFT lean", 123456.7) for floor in report.FLOORS]
        lines = report.table(rows, {row.name.split(".")[0] for row in rows}).splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertTrue(any(line.endswith(">=1.5!") for line in lines))

    def test_every_scenario_with_a_floor_has_a_heading(self):
        self.assertEqual({name.split(".")[0] for name, _, _, _ in report.FLOORS} - set(report.HEADINGS), set())

    def test_json_rows_have_the_seven_fields(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "bench.json")
            report.write(path, [Row("a.b", "s", 3.0, 2.0, "peer", 9.0), Row("a.c", "s", 1.0)])
            with open(path, encoding="utf-8") as file:
                rows = json.load(file)
        self.assertEqual(rows[0], {"name": "a.b", "unit": "s", "ours": 3.0, "peer": 2.0, "peer_name": "peer", "ratio": 1.5,
                                   "limit": 9.0})
        self.assertIsNone(rows[1]["ratio"])


if __name__ == "__main__":
    daemons.main()
