"""bench/operations.py: what rows of AdamW say of the program's JSON and the peer's, and when they miss their floors."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
import daemons  # noqa: E402
import operations  # noqa: E402
import report  # noqa: E402


def run(adamw, memory):
    """A run of the program in which a weight took so many nanoseconds, 28 bytes each."""
    def found(nanoseconds):
        return {"real_time": nanoseconds * operations.WEIGHTS, "bytes_per_second": 28e9 / nanoseconds}
    return {f"AdamW/{operations.WEIGHTS}": found(adamw), f"ReadWrite/{operations.WEIGHTS}": found(memory)}


def rows(adamw, memory, theirs):
    return [row for kind in ("1", "all")
            for row in operations.adamw_rows(kind, [run(adamw, memory)], [{"nanoseconds": theirs}])]


class AdamWTest(unittest.TestCase):
    def test_rows_are_medians_of_the_pairs_beside_the_peer_and_memory(self):
        mine = [run(1.0, 0.9), run(4.0, 2.0), run(2.0, 1.0)]
        theirs = [{"nanoseconds": nanoseconds} for nanoseconds in (5.0, 3.0, 4.0)]
        weight, memory = operations.adamw_rows("1", mine, theirs)
        self.assertEqual((weight.name, weight.unit, weight.ours, weight.peer, weight.ratio), ("adamw.weight_1", "ns", 2.0, 4.0, 0.5))
        self.assertEqual((memory.name, memory.ours, memory.limit, memory.limit_share), ("adamw.memory_1", 14.0, 28.0, 0.5))

    def test_without_the_peer_ours_is_shown_with_the_reason(self):
        weight, memory = operations.adamw_rows("1", [run(1.25, 1.1)], [], "DeepSpeed is not installed")
        self.assertEqual((weight.ours, weight.peer, weight.why), (1.25, None, "DeepSpeed is not installed"))
        self.assertEqual(report.missed([weight, memory], ["adamw"])[0], "adamw.weight_1: not measured: DeepSpeed is not installed")

    def test_floors_are_missed_by_a_slower_weight_and_by_idle_memory(self):
        self.assertEqual(report.missed(rows(1.2, 1.0, 1.2), ["adamw"]), [])
        self.assertEqual(report.missed(rows(1.25, 1.1, 1.2), ["adamw"]), [f"adamw.weight_{kind}: ratio 1.04, floor <= 1"
                                                                        for kind in ("1", "all")])
        self.assertEqual(report.missed(rows(1.25, 0.9, 2.0), ["adamw"]), [f"adamw.memory_{kind}: limit_share 0.72, floor >= 0.8"
                                                                        for kind in ("1", "all")])

    def test_the_table_keeps_its_width(self):
        self.assertLessEqual(max(map(len, report.table(rows(1.25, 1.0, 1.25), ["adamw"]).splitlines())), 80)


if __name__ == "__main__":
    daemons.main()
