"""`ft-rank golden` over every case that this version promises, each a test of its own.

A case comes from tests/golden, else from the reference folder; one that is in neither is skipped by name.
"""

import os
import subprocess
import unittest

import daemons

MODELS = ("llama_mha", "llama_gqa_llama3rope", "llama_dynamic_ntk", "llama_attention_bias", "deepseek_coder_linear", "yi_gqa")
QUANTISED = ("nf4", "qlora_step")


def case_folder(name):
    for folder in (os.path.join(daemons.ROOT, "tests", "golden"), os.path.join(daemons.SHARED, "golden")):
        if os.path.isdir(os.path.join(folder, name)):
            return folder
    return None


class GoldenTest(unittest.TestCase):
    def check(self, name, *options):
        folder = case_folder(name)
        if folder is None:
            self.skipTest(f"the case {name} is neither in tests/golden nor in the reference folder (FT_SHARED)")
        done = subprocess.run([os.path.join(daemons.BIN, "ft-rank"), "golden", folder, "--cases", name, *options],
                              capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        print(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len([line for line in done.stdout.splitlines() if name in line]), 1, done.stdout)


def add_case(name, suffix, *options):
    def test(self):
        self.check(name, *options)
    setattr(GoldenTest, f"test_{name}{suffix}", test)


for model in MODELS:
    add_case(model, "")
for case in QUANTISED:
    add_case(case, "")


class RefusedCasesTest(unittest.TestCase):
    def test_an_unsupported_family_counts_as_failure(self):
        shared = daemons.shared_file("golden", "chatglm3")
        if not shared:
            self.skipTest("the case chatglm3 is part of the reference folder (FT_SHARED)")
        done = subprocess.run([os.path.join(daemons.BIN, "ft-rank"), "golden", os.path.dirname(shared), "--cases", "chatglm3"],
                              capture_output=True, text=True, timeout=60, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("unsupported", done.stdout)


if __name__ == "__main__":
    daemons.main()
