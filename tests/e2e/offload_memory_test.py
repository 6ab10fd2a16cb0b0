"""What rests on disk takes no memory: peaks of the demo model's ranks in full fine-tuning, the bytes that the kernel counts of a step, and the
page cache. Two minutes and 5 GiB of memory: `make soak` only.
"""

import dataclasses
import os
import re

import daemons
import tier_files
from ranks_test import Attempts, errors_of, said, small_job

RANKS = 2
LENGTH = 256
STEPS, MORE = 3, 2
SECONDS = 600  # Of any wait.
BLOCK = 512  # What the kernel counts reads and writes of disks in.
BESIDE = 1 << 20  # What a rank writes beside, and the pages of programs that it reads again.


@dataclasses.dataclass
class Usage:
    """Of rank 0, as the kernel counts it."""
    peak: int
    read: int
    written: int


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

    def train(self, steps, zero, **tiers):
        """Trains so many steps; answers rank 0's usage, its log, and the weights' digest."""
        attempts = self.attempts
        offload = {"path": self.tiles, **tiers} if tiers else {}
        attempts.job["train"]["max_steps"] = steps
        attempts.job["parallel"] = {"ranks": RANKS, "max_ranks": RANKS, "zero": zero, "offload": offload}
        attempt = attempts.write(RANKS, "TRAIN")
        ranks = [attempts.start(attempt, rank) for rank in range(RANKS)]
        if tiers:
            daemons.wait_for("a step", lambda: said(attempt, 0, "step 1:") or ranks[0].poll() is not None, SECONDS)
            self.check_page_cache(ranks)
        _, status, usage = daemons.wait_for("the attempt's end", lambda: (ended := os.wait4(ranks[0].pid, os.WNOHANG))[0] and ended, SECONDS)
        ranks[0].returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual([rank.wait(SECONDS) for rank in ranks], [0, 0], errors_of(attempt, 0))
        log = daemons.tail(os.path.join(attempt, "rank0", "stdout.log"), 1 << 20)
        return (Usage(1024 * usage.ru_maxrss, BLOCK * usage.ru_inblock, BLOCK * usage.ru_oublock), log,
                daemons.sha256(os.path.join(attempt, "adapter", "model.safetensors")))

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
        """The peak with and without; answers usage and log of the run whose state rests on disk."""
        here, log, expected = self.train(STEPS, zero)
        there, told, found = self.train(STEPS, zero, **tiers)
        self.assertEqual(found, expected)
        owned = int(re.search(r"(\d+) of \d+ weights are trained", log)[1]) / RANKS
        fell = (here.peak - there.peak) / owned
        print(f"zero {zero}: peak {here.peak >> 20} MiB, with {' and '.join(tiers)} on disk {there.peak >> 20} MiB: "
              f"{fell:.2f} bytes a weight owned less")
        self.assertGreaterEqual(fell, 0.9 * bytes_a_weight)
        return there, told, owned

    @daemons.only_in_soak
    def test_the_state_on_disk_is_read_and_written_once_a_step_past_the_page_cache(self):
        fewer, log, owned = self.compare(2, 8, optimizer="disk")
        state = int(re.search(r"\((\d+) bytes of this one, \d+ tiles\)", log)[1])
        self.assertAlmostEqual(state / owned, 8, delta=0.01)
        # Of two runs, since the first step reads blocks that nobody has written, which costs nothing. The ranks' own counters are exact, and
        # compared in worker_train_trainer_test.
        more, _, _ = self.train(STEPS + MORE, 2, optimizer="disk")
        self.assertAlmostEqual(more.read - fewer.read, MORE * state, delta=BESIDE)
        self.assertAlmostEqual(more.written - fewer.written, MORE * state, delta=BESIDE)

    @daemons.only_in_soak
    def test_state_and_weights_on_disk_leave_a_rank_with_gradients_and_two_units(self):
        self.compare(3, 12, optimizer="disk", parameters="disk")


if __name__ == "__main__":
    daemons.main()
