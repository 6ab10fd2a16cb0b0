"""`make gpu-bench DEVICE=sim`: the benchmark of GPUs runs from end to end on the simulated accelerator, and tells what it could not
measure. Its figures mean nothing there."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import daemons  # noqa: E402, the harness of the tests

BENCH = os.path.join(daemons.ROOT, "bench", "gpu_bench.py")
ALL = ("mb4_recomputed", "mb1_recomputed", "mb4_kept", "mb1_kept")
SETTINGS = ALL if daemons.SOAK else ALL[:1]


class GpuBenchTest(daemons.DaemonTest):
    def bench(self, *arguments, **variables):
        """How it ended, and its JSON file."""
        written = os.path.join(self.folder, "gpu_bench.json")
        done = subprocess.run([sys.executable, "-B", BENCH, daemons.BIN, "--device", "sim", "--python", sys.executable, "--models",
                               os.path.join(self.folder, "models"), "--json", written, *arguments],
                              capture_output=True, text=True, timeout=200, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, daemons.MARK: self.folder, **variables})
        self.assertTrue(os.path.exists(written), done.stdout + done.stderr)
        with open(written, encoding="utf-8") as file:
            return done, json.load(file)

    def test_every_setting_is_measured_with_its_memory_beside_the_plan(self):
        done, found = self.bench("--only", "|".join(SETTINGS))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(found["shape"]["config"]["num_hidden_layers"], 1)
        rows = {row["name"]: row for row in found["rows"]}
        wanted = {f"{setting}.{what}" for setting in SETTINGS
                  for what in ("tokens", "mfu", "memory", "memory_by_plan", "norm_ledger_optimizer")}
        self.assertEqual(set(rows), wanted | {"nf4.dequantise"})
        for name, row in rows.items():
            self.assertNotIn("why", row, name)
            if name.endswith(".mfu"):
                self.assertIn("no published peak of", row["refused"])
            else:
                self.assertGreater(row["ours"], 0, name)
        self.assertGreater(rows["nf4.dequantise"]["limit"], 0)
        for setting in SETTINGS:
            self.assertAlmostEqual(rows[f"{setting}.memory_by_plan"]["ratio"], 1, delta=0.02)
            self.assertLess(rows[f"{setting}.norm_ledger_optimizer"]["ours"], 100)
        if SETTINGS == ALL:
            self.assertGreater(rows["mb4_kept.memory"]["ours"], rows["mb1_kept.memory"]["ours"])
        self.assertIn("no floor is judged: ", done.stdout)

    def test_a_job_and_a_peer_that_die_are_rows_that_say_why(self):
        done, found = self.bench("--only", "mb1_kept", "--peer", "yes", FT_SIM_FAULT="oom@100")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        row = next(row for row in found["rows"] if row["name"] == "mb1_kept.tokens")
        self.assertIsNone(row["ours"])
        self.assertIsNone(row["peer"])
        self.assertIn("out of memory on the device", row["why"])
        self.assertRegex(row["why"], "PEFT, mb1_kept: .+")
        self.assertIn(f"not measured, mb1_kept.tokens: {row['why']}", done.stdout)

    def test_what_there_is_no_time_for_is_a_row_too(self):
        done, found = self.bench("--only", "mb1_kept", "--seconds", "1")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for row in found["rows"]:
            self.assertIn("not started: the 1 s of the whole are over", row["why"])


if __name__ == "__main__":
    daemons.main()
