"""`ft-golden compare` over every case that this version promises, each a test of its own, and over the whole reference folder.

A case comes from tests/golden, else from the reference folder; one that is in neither is skipped by name.
"""

import os
import subprocess
import tempfile
import unittest

import daemons

MODELS = ("llama_mha", "llama_gqa_llama3rope", "llama_dynamic_ntk", "llama_attention_bias", "deepseek_coder_linear", "yi_gqa",
          "mistral_swa", "internlm_7b", "internlm_20b", "internlm_7b_dynamic", "internlm2", "baichuan_7b", "baichuan_13b_alibi",
          "baichuan2_7b_normhead", "baichuan2_13b_alibi_normhead", "chatglm2", "chatglm3", "qwen_7b_v1", "qwen2_tied", "qwen3_qknorm",
          "gpt_bigcode_mqa", "gemma", "gemma2_softcap", "phi3_fused", "mixtral_aux", "qwen3_moe", "deepseek_moe", "deepseek_moe_unpadded",
          "deepseek_v2_lite", "gpt_oss", "llama_rslora", "llama_dora", "llama_modules_to_save", "gemma3_text", "gemma3_nested",
          "gemma4_text", "glm4", "granite", "olmo2", "olmo3_yarn_swa", "phi4_mini_longrope", "smollm3_nope")
OTHERS = ("adamw8bit", "chat_templates", "int8", "mmlu", "mxfp4", "nf4", "qlora_step", "tokenizer")
KEPT = os.path.join(daemons.ROOT, "tests", "golden")
NOT_BUILT = os.path.join(KEPT, "not_built.txt")


def case_folder(name):
    for folder in (KEPT, os.path.join(daemons.SHARED, "golden")):
        if os.path.isdir(os.path.join(folder, name)):
            return folder
    return None


def compare(*arguments):
    return subprocess.run([os.path.join(daemons.BIN, "ft-golden"), "compare", *arguments], capture_output=True, text=True,
                          timeout=150, check=False, stdin=subprocess.DEVNULL)


class GoldenTest(unittest.TestCase):
    def check(self, name):
        folder = case_folder(name)
        if folder is None:
            self.skipTest(f"the case {name} is neither in tests/golden nor in the reference folder (FT_SHARED)")
        done = compare(folder, "--cases", name)
        print(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(len([line for line in done.stdout.splitlines() if name in line]), 1, done.stdout)


def add_case(name):
    setattr(GoldenTest, f"test_{name}", lambda self: self.check(name))


for case in MODELS + OTHERS:
    add_case(case)


class ReferenceFolderTest(unittest.TestCase):
    """What is not on the list passes, and nothing on it does."""

    def check(self, dtype, *options):
        if not os.path.isdir(os.path.join(daemons.SHARED, "golden")):
            self.skipTest("the reference folder is not here (FT_SHARED)")
        done = compare(os.path.join(daemons.SHARED, "golden"), "--dtype", dtype, *options, "--not-built", NOT_BUILT)
        print(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(MODELS + OTHERS)} of {len(MODELS + OTHERS)} cases pass", done.stdout)

    def test_all_of_it_in_fp32(self):
        self.check("fp32")

    def test_all_of_it_in_fp16(self):
        self.check("fp16")

    def test_all_of_it_in_bf16(self):
        self.check("bf16")

    def test_all_of_it_in_bf16_where_bf16_is_multiplied(self):
        self.check("bf16", "--bf16-products", "emulated")


class SelectionTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        os.makedirs(os.path.join(self.folder.name, "cases", "no_such_model"))
        self.cases = os.path.join(self.folder.name, "cases")
        self.list = os.path.join(self.folder.name, "list.txt")

    def listed(self, text):
        with open(self.list, "w", encoding="utf-8") as file:
            file.write(text)
        return "--not-built", self.list

    def test_a_list_of_globs(self):
        for globs in (["--cases", "nf4,qlora*"], ["--cases", "nf4 qlora_step"], ["--cases", "n*", "--cases", "qlora_step"]):
            done = compare(KEPT, *globs)
            self.assertEqual((done.returncode, [line.split()[:2] for line in done.stdout.splitlines()]),
                             (0, [["PASS", "nf4"], ["PASS", "qlora_step"], ["2", "of"]]), done.stderr)

    def test_a_glob_without_a_case_fails(self):
        for globs in ("no-such-case", "nf4,no-such-case"):
            done = compare(KEPT, "--cases", globs)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("no case matches no-such-case", done.stderr)

    def test_a_failing_case_fails(self):
        done = compare(self.cases)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("FAIL no_such_model  unsupported: ", done.stdout)

    def test_a_listed_case_that_fails_is_told_and_does_not_fail_the_run(self):
        done = compare(self.cases, *self.listed("# families\nno-such-case nothing\nno_such* its packed weights\n"))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("NOT BUILT no_such_model  its packed weights", done.stdout)
        self.assertIn("0 of 0 cases pass, 1 are not built", done.stdout)

    def test_a_listed_case_that_passes_is_an_error(self):
        done = compare(KEPT, "--cases", "nf4", *self.listed("nf4 4 bits\n"))
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("take it off the list", done.stdout)

    def test_a_wrong_list_or_option_is_a_usage_error(self):
        for arguments in (self.listed("nf4\n"), ("--dtype", "fp8"), ("--frobnicate",)):
            self.assertEqual(compare(KEPT, "--cases", "nf4", *arguments).returncode, 2, arguments)

    def test_an_unsupported_family_counts_as_failure(self):
        if not daemons.shared_file("golden", "qwen3_5_text"):
            self.skipTest("the case qwen3_5_text is part of the reference folder (FT_SHARED)")
        done = compare(os.path.join(daemons.SHARED, "golden"), "--cases", "qwen3_5_text")
        self.assertEqual(done.returncode, 1)
        self.assertIn("unsupported", done.stdout)


if __name__ == "__main__":
    daemons.main()
