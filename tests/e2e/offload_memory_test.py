"""What rests on disk takes no memory: peaks of the demo model's ranks in full fine-tuning, the bytes that the kernel counts of a step, and the
page cache. Three minutes and 5 GiB of memory: `make soak` only.
"""

import dataclasses
import os
import re
import time

import daemons
import tier_files
from ranks_test import Attempts, errors_of, said, small_job

RANKS = 2
LENGTH = 256
STEPS = 4
FIRST, MORE = 1, 2  # Steps between which bytes are counted: the first one reads blocks that nobody has written, which costs nothing.
SECONDS = 600  # Of any wait.
STILL = 0.2  # Seconds for which a rank that computes a pass is watched; an update moves hundreds of MiB in them.
BESIDE = 1 << 20  # What a rank writes beside, and the pages of programs that it reads again.


@dataclasses.dataclass
class Usage:
    """Of rank 0, as the kernel counts it."""
    peak: int
    moved: tuple  # Bytes that MORE steps read from disks and wrote; None where nothing rests there, or weights do.


def counted(pid):
    """Bytes that a process has read from disks, and written."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        counts = dict(line.split(": ") for line in file.read().splitlines())
    return int(counts["read_bytes"]), int(counts["write_bytes"])


class OffloadMemoryTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        model = self.need_demo_model()
        data = self.write_tokens(daemons.random_samples(16, vocabulary=40000, shortest=LENGTH - 1, longest=LENGTH))
        self.tiles = os.path.join(self.folder, "tiles")
        os.mkdir(self.tiles)
        job = small_job(model, data, **{
            "method": {"kind": "full"}, "train.micro_batch": 1, "train.max_length": LENGTH, "parallel": {"ranks": RANKS, "max_ranks": RANKS}})
        self.attempts = Attempts(os.path.join(self.folder, "run"), job)
        self.addCleanup(self.attempts.stop)

    def train(self, zero, **tiers):
        """Answers rank 0's usage, its log, and the weights' digest."""
        attempts = self.attempts
        offload = {"path": self.tiles, **tiers} if tiers else {}
        attempts.job["train"]["max_steps"] = STEPS
        attempts.job["parallel"] = {"ranks": RANKS, "max_ranks": RANKS, "zero": zero, "offload": offload}
        attempt = attempts.write(RANKS, "TRAIN")
        ranks = [attempts.start(attempt, rank) for rank in range(RANKS)]
        moved = None
        if tiers:
            self.wait_for_step(FIRST, attempt, ranks)
            # Weights on disk are read while passes go on: there is no moment between two updates that is still.
            before = None if "parameters" in tiers else self.counted_after(FIRST, attempt, ranks)
            self.check_page_cache(ranks)
            if before is not None:
                moved = tuple(late - early for early, late in zip(before, self.counted_after(FIRST + MORE, attempt, ranks)))
        _, status, usage = daemons.wait_for("the attempt's end", lambda: (ended := os.wait4(ranks[0].pid, os.WNOHANG))[0] and ended, SECONDS)
        ranks[0].returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual([rank.wait(SECONDS) for rank in ranks], [0, 0], errors_of(attempt, 0))
        log = daemons.tail(os.path.join(attempt, "rank0", "stdout.log"), 1 << 20)
        return Usage(1024 * usage.ru_maxrss, moved), log, daemons.sha256(os.path.join(attempt, "adapter", "model.safetensors"))

    def wait_for_step(self, step, attempt, ranks):
        daemons.wait_for(f"step {step}", lambda: said(attempt, 0, f"step {step}:") or ranks[0].poll() is not None, SECONDS)
        self.assertIsNone(ranks[0].poll(), errors_of(attempt, 0))

    def counted_after(self, step, attempt, ranks):
        """What the kernel has counted of rank 0 when it took the step: within the next step's passes, which leave its disks alone."""
        self.wait_for_step(step, attempt, ranks)
        found = counted(ranks[0].pid)
        time.sleep(STILL)
        for early, late in zip(found, counted(ranks[0].pid)):
            self.assertLess(late - early, BESIDE, "an update was under way")
        self.assertFalse(said(attempt, 0, f"step {step + 1}:"), "the next step was taken meanwhile")
        return found

    def check_page_cache(self, ranks):
        for rank in ranks:
            files = [path for path, _ in tier_files.descriptors(rank.pid, self.tiles)]
            self.assertTrue(files, "nothing rests on disk")
            for path in files:
                if not tier_files.goes_past_the_page_cache(path):
                    self.skipTest("the file system of the temporary folder cannot go past the page cache")
                cached, size = tier_files.cached_bytes(path)
                self.assertEqual(cached, 0, f"of {size} bytes")

    def compare(self, zero, bytes_a_weight, **tiers):
        """The peak with and without; answers usage and log of the run whose state rests on disk, and the weights that a rank owns."""
        here, log, expected = self.train(zero)
        there, told, found = self.train(zero, **tiers)
        self.assertEqual(found, expected)
        owned = int(re.search(r"(\d+) of \d+ weights are trained", log)[1]) / RANKS
        fell = (here.peak - there.peak) / owned
        print(f"zero {zero}: peak {here.peak >> 20} MiB, with {' and '.join(tiers)} on disk {there.peak >> 20} MiB: "
              f"{fell:.2f} bytes a weight owned less")
        self.assertGreaterEqual(fell, 0.9 * bytes_a_weight)
        return there, told, owned

    def check_optimizer_on_disk(self, bytes_a_weight):
        """At stage 2 so much a weight rests, and is read and written in a step. The ranks' own counters are exact, and compared in
        worker_train_trainer_test."""
        usage, log, owned = self.compare(2, bytes_a_weight, optimizer="disk")
        rests = sum(int(found) for found in re.findall(r"\((\d+) bytes of this one\b", log))
        self.assertAlmostEqual(rests / owned, bytes_a_weight, delta=0.01)
        for moved in usage.moved:
            self.assertAlmostEqual(moved, MORE * rests, delta=BESIDE)

    @daemons.only_in_soak
    def test_the_state_on_disk_is_read_and_written_once_a_step_past_the_page_cache(self):
        self.check_optimizer_on_disk(8)

    @daemons.only_in_soak
    def test_in_bf16_the_float32_values_are_there_too(self):
        self.attempts.job["model"]["dtype"] = "bf16"
        self.check_optimizer_on_disk(12)

    @daemons.only_in_soak
    def test_state_and_weights_on_disk_leave_a_rank_with_gradients_and_two_units(self):
        self.compare(3, 12, optimizer="disk", parameters="disk")


if __name__ == "__main__":
    daemons.main()
