"""bench/dist.py: what its rows say of both sides' runs, which floors they miss, and what a peer that dies leaves."""

import os
import sys
import types
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
import daemons  # noqa: E402
import dist  # noqa: E402
import peer  # noqa: E402
import report  # noqa: E402
from dist import CELLS, Cell  # noqa: E402
from training import GIB  # noqa: E402

CELL = Cell("dist_zero2", "deepspeed_zero2", ("--stage", "2"), fsdp=("--keep",))


def run(seconds, peak, losses=(3.0, 2.0)):
    """Of two ranks; the first step warms up."""
    return {"seconds": [9.0, seconds], "each": [peak * GIB, 0.5 * GIB, 0.1 * GIB], "losses": list(losses)}


def missed(mine, theirs, why=None):
    return report.missed(list(dist.rows(CELL, "DeepSpeed", mine, theirs, why)), ["dist_zero2"])


class RowsTest(unittest.TestCase):
    def test_rows_are_medians_of_rates_and_of_the_larger_rank(self):
        tokens, memory, _ = dist.rows(CELL, "DeepSpeed", [run(1, 1.0), run(2, 1.2), run(4, 1.4)], [run(4, 2.4)])
        self.assertEqual((tokens.name, tokens.ours, tokens.peer, tokens.peer_name), ("dist_zero2.tokens", 256.0, 128.0, "DeepSpeed"))
        self.assertEqual((memory.name, round(memory.ours, 6), round(memory.peer, 6)), ("dist_zero2.memory", 1.2, 2.4))

    def test_the_largest_difference_of_all_steps_and_pairs_counts(self):
        mine = [run(1, 1, (3.0, 2.0)), run(1, 1, (3.0, 2.0))]
        theirs = [run(1, 1, (3.001, 2.0)), run(1, 1, (3.0, 1.97))]
        self.assertAlmostEqual(dist.difference(mine, theirs), 0.03)
        with self.assertRaises(ValueError):
            dist.difference(mine, [run(1, 1, (3.0,))])

    def test_floors_are_kept_and_missed(self):
        self.assertEqual(missed([run(1.0, 1.3)], [run(1.5, 2.0)]), [])
        self.assertEqual(missed([run(1.0, 1.4)], [run(1.4, 2.0, (3.0, 2.03))]),
                         ["dist_zero2.tokens: ratio 1.4, floor >= 1.5", "dist_zero2.memory: ratio 0.7, floor <= 0.65",
                          "dist_zero2.loss: ours 0.03, floor <= 0.02"])

    def test_without_the_peer_ours_is_shown_with_the_reason(self):
        self.assertEqual(missed([run(1, 1)], [], "no such thing"),
                         [f"dist_zero2.{what}: not measured{why}" for what, why in
                          (("tokens", ": no such thing"), ("memory", ": no such thing"), ("loss", ": no such thing"))])

    def test_without_bf16_products_both_sides_compute_in_float32_and_the_table_says_so(self):
        context = types.SimpleNamespace(threads=2, demo=types.SimpleNamespace(path="/model"),
                                        demo_bf16=types.SimpleNamespace(path="/model-bf16"), limits={"bf16": True})
        jobs = [dist.ours_of(CELL, context, "/tokens")]
        context.limits["bf16"] = False
        jobs.append(dist.ours_of(CELL, context, "/tokens"))
        self.assertEqual([job["model"] for job in jobs], [{"source": "/model-bf16", "dtype": dtype} for dtype in ("bf16", "fp32")])
        self.assertEqual(jobs[0]["parallel"], {"max_ranks": 2, "ranks": 2, "deepspeed": "deepspeed_zero2", "transport": "auto"})
        found = [row for peer_name in ("DeepSpeed", "FSDP2") for row in dist.rows(CELL, peer_name, [run(1, 1)], [run(1, 1)], fp32=True)]
        self.assertEqual([row.peer_name for row in found], ["DS fp32"] * 3 + ["FSDP fp32"] * 3)
        self.assertLessEqual(max(map(len, report.table(found, ["dist_zero2"]).splitlines())), 80)

    def test_qlora_of_both_sides_begins_with_one_adapter(self):
        context = types.SimpleNamespace(threads=2, demo=types.SimpleNamespace(path="/model"),
                                        demo_bf16=types.SimpleNamespace(path="/model-bf16"), limits={"bf16": True})
        cell = next(cell for cell in CELLS if cell.method == "qlora")
        with mock.patch("models.first_adapter", return_value="/adapter") as made:
            job, arguments = dist.ours_of(cell, context, "/tokens"), dist.peers_arguments(cell, context, "/tokens")
        self.assertEqual(job["method"], {"kind": "qlora", "init_from": "/adapter", "dropout": 0.0})
        self.assertEqual(arguments[arguments.index("--adapter") + 1], "/adapter")
        self.assertEqual([call.args[1:] for call in made.call_args_list], [(context.demo_bf16, 64)] * 2)

    def test_losses_are_compared_over_twenty_steps_once(self):
        self.assertEqual([cell.scenario for cell in CELLS if cell.steps == 20], ["dist_zero1"])

    def test_fsdp_has_rows_of_its_own_and_no_floors(self):
        found = list(dist.rows(CELL, "FSDP2", [run(1, 1)], [run(1, 1)]))
        self.assertEqual([row.name for row in found], [f"dist_zero2.fsdp_{what}" for what in ("tokens", "memory", "loss")])
        self.assertFalse({row.name for row in found} & {floor[0] for floor in report.FLOORS})

    def test_every_setting_has_its_floors_and_its_heading(self):
        floors = {floor[0] for floor in report.FLOORS if floor[0].startswith("dist_")}
        wanted = {f"{cell.scenario}.{what}" for cell in CELLS for what in ("tokens", "memory", "loss")} - {"dist_qlora.memory"}
        self.assertEqual(floors, wanted)
        self.assertTrue(all(cell.scenario in report.HEADINGS for cell in CELLS))


class PeerTest(unittest.TestCase):
    CONTEXT = types.SimpleNamespace(threads=4)

    def test_peaks_of_both_ranks_and_the_seconds_of_the_first(self):
        of_ranks = [{"memory": 1, "seconds": [1.0], "losses": [3.0]}, {"memory": 2, "seconds": [1.1], "losses": [3.0]}]
        with mock.patch("peer.run_ranks", return_value=of_ranks) as started:
            asked = dist.Peer(self.CONTEXT, "zero_step.py", ["--stage", "2"])
            asked.run()
        self.assertEqual((asked.runs[0]["each"], asked.runs[0]["seconds"], asked.why), ([2, 1], [1.0], None))
        self.assertEqual(started.call_args, mock.call("zero_step.py", "--stage", "2", ranks=2, threads=2))

    def test_one_that_died_is_not_started_again(self):
        with mock.patch("peer.run_ranks", side_effect=RuntimeError("zero_step.py ended with 1: noise\nno such op")) as started:
            asked = dist.Peer(self.CONTEXT, "zero_step.py", [])
            asked.run()
            asked.run()
        self.assertEqual((asked.runs, asked.why, started.call_count), ([], "no such op", 1))

    def test_ranks_meet_at_one_port_and_whoever_ended_first_is_told_of(self):
        meetings = []

        def started(_script, *_arguments, more, **_options):
            meetings.append(more)
            if more["RANK"] == "1":
                raise RuntimeError("rank 1 has no memory")
            return {}

        with mock.patch("peer.run", side_effect=started), self.assertRaisesRegex(RuntimeError, "no memory"):
            peer.run_ranks("zero_step.py", ranks=2, threads=1)
        self.assertEqual(sorted(more["RANK"] for more in meetings), ["0", "1"])
        self.assertEqual(len({more["MASTER_PORT"] for more in meetings}), 1)


if __name__ == "__main__":
    daemons.main()
