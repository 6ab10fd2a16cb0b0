"""bench/training.py: what it makes of the times of a run's steps."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
import daemons  # noqa: E402
import training  # noqa: E402


class LedgerTest(unittest.TestCase):
    def test_its_seconds_are_what_steps_with_digests_take_more(self):
        # Steps 2 to 12 are looked at: even ones have digests, 0.03 s each, and one of either kind was disturbed.
        behind = [9.0] + [0.13 if step % 2 == 0 else 0.10 for step in range(2, 13)] + [9.0]
        behind[3] = behind[4] = 5.0
        self.assertAlmostEqual(training.ledger_seconds({"optimizer_seconds": behind}), 0.03)

    def test_what_is_only_noise_is_shown_as_it_is(self):
        behind = [0.1] * training.LEDGER_STEPS
        behind[1::2] = [0.09] * len(behind[1::2])
        self.assertAlmostEqual(training.ledger_seconds({"optimizer_seconds": behind}), -0.01)


if __name__ == "__main__":
    daemons.main()
