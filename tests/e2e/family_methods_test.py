"""Each cell of `ftctl capabilities --families` trains: a step of a small model of that family by that method. `make test` takes each
family once, with the methods in turn; FT_SOAK=1 takes every cell."""

import json
import math
import os
import shutil
import struct

import daemons
from families_test import FamilyCase

METHODS = ("qlora", "int8_lora", "lora", "full")
# A case of each family.
CASES = {
    "llama": "llama_gqa_llama3rope", "mistral": "mistral_swa", "qwen": "qwen_7b_v1", "qwen2": "qwen2_tied", "qwen3": "qwen3_qknorm",
    "internlm": "internlm_7b", "internlm2": "internlm2", "baichuan": "baichuan_13b_alibi", "chatglm": "chatglm2",
    "gpt_bigcode": "gpt_bigcode_mqa", "gemma": "gemma", "gemma2": "gemma2_softcap", "phi3": "phi3_fused", "mixtral": "mixtral_aux",
    "qwen3_moe": "qwen3_moe", "deepseek": "deepseek_moe", "deepseek_v2": "deepseek_v2_lite", "gpt_oss": "gpt_oss", "gemma3": "gemma3_nested",
    "gemma3_text": "gemma3_text", "gemma4_text": "gemma4_text", "gemma4": "gemma4_text", "glm4": "glm4", "granite": "granite",
    "olmo2": "olmo2", "olmo3": "olmo3_yarn_swa", "smollm3": "smollm3_nope"}


def nest(folder):
    """Makes a plain Gemma 4 the text part of an image model, as the family's files have it."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        text = json.load(file)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "gemma4", "tie_word_embeddings": text.get("tie_word_embeddings", True), "text_config": text}, file)
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header, body = json.loads(file.read(size)), file.read()
    renamed = json.dumps({f"model.language_model.{name.removeprefix('model.')}" if name.startswith("model.") else name: value
                          for name, value in header.items()}).encode()
    renamed += b" " * (-len(renamed) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(renamed)) + renamed + body)


class FamilyMethodsTest(FamilyCase):
    def model_of(self, family):
        shutil.rmtree(os.path.join(self.folder, "model"), ignore_errors=True)
        folder = self.model(CASES[family])
        if family == "gemma4":
            nest(folder)
        return folder

    def check_cell(self, node, family, method):
        model = self.model_of(family)
        data = self.write_tokens(daemons.random_samples(4, vocabulary=min(259, self.vocabulary_of(model))))
        name = f"{family}-{method}"
        kind = {"kind": method} if method == "full" else {"kind": method, "rank": 2, "alpha": 4}
        node.train(daemons.tokens_job(name, model, data, **{"method": kind, "train.epochs": 1000, "train.max_steps": 1,
                                                            "train.accumulation": 2}))
        steps = node.steps(name)
        self.assertEqual(len(steps), 1, name)
        self.assertTrue(math.isfinite(steps[0]["loss"]) and steps[0]["loss"] > 0, (name, steps))

    def check_cells(self, chosen):
        node = self.daemons()
        cells = json.loads(node.ftctl("capabilities", "--families", "--json"))
        families = sorted({cell["family"] for cell in cells})
        self.assertEqual(families, sorted(CASES))
        for cell in cells:
            if cell["supported"] and chosen(families.index(cell["family"]), cell["method"]):
                self.check_cell(node, cell["family"], cell["method"])

    def test_each_family_by_the_methods_in_turn(self):
        self.check_cells(lambda number, method: METHODS[number % len(METHODS)] == method)

    @daemons.only_in_soak
    def test_each_family_by_each_method(self):
        self.check_cells(lambda number, method: True)


if __name__ == "__main__":
    daemons.main()
