"""Programs that are told of a CPU with AVX2 and nothing later (avx2_only.cc)."""

import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
import daemons  # noqa: E402

LIBRARY = os.path.join(os.path.dirname(daemons.BIN), "lib", "libft_avx2_only.so")
CANNOT_HIDE = 71
UP_TO_AVX2 = ["avx", "fma", "avx2"]


def levels(*arguments, hidden=True):
    """What the program printed of its CPU, line by line, and how it ended."""
    environment = {**os.environ, "LD_PRELOAD": LIBRARY} if hidden else None
    done = subprocess.run([os.path.join(daemons.BIN, "cpu_levels"), *arguments], env=environment, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.splitlines(), done


class Avx2OnlyTest(unittest.TestCase):
    def setUp(self):
        _, done = levels()
        if done.returncode == CANNOT_HIDE:
            self.assertIn("does not let a program be told of another CPU", done.stderr)
            self.skipTest("this CPU or its kernel does not let programs be told of another one")

    def test_a_program_and_its_threads_are_told_of_avx2_at_most(self):
        told, done = levels()
        self.assertEqual(done.returncode, 0, done.stderr)
        real, _ = levels(hidden=False)
        self.assertEqual(told, [level for level in real if level in UP_TO_AVX2])

    def test_other_faults_end_the_program_as_ever(self):
        told, done = levels("crash")
        self.assertEqual(done.returncode, -signal.SIGSEGV)
        self.assertEqual(told, levels()[0])


if __name__ == "__main__":
    daemons.main()
