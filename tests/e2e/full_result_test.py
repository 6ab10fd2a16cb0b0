"""What a full fine-tuning leaves is had like any result: chat answers with it, export and merge write it, and it is fetched
from the coordinator where its files are gone.
"""

import json
import os
import shutil

import daemons


def byte_alphabet():
    """The letters by which byte-level vocabularies write the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        letters.setdefault(byte, chr(256 + sum(other not in plain for other in range(byte))))
    return letters


def write_tokenizer(folder):
    """A vocabulary of the 256 bytes and three special tokens: as many ids as the small model has."""
    special = [{"id": 256 + i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                "special": True} for i, content in enumerate(("<|im_start|>", "<|im_end|>", "<|endoftext|>"))]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {"added_tokens": special, "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None,
                 "decoder": byte_level,
                 "model": {"type": "BPE", "vocab": {letter: byte for byte, letter in byte_alphabet().items()}, "merges": []}}
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(tokenizer, file)
    with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
        json.dump({"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>",
                   "chat_template": "{% for m in messages %}{{ m['role'] + m['content'] + '<|im_end|>' }}{% endfor %}"}, file)


class FullResultTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.model = os.path.join(self.folder, "model")
        shutil.copytree(self.small_model(), self.model, copy_function=shutil.copyfile)
        write_tokenizer(self.model)

    def answer(self, node, what):
        """The ids that chat answers."""
        said = node.ftctl("chat", what, "--prompt", "Hi", "--max-new-tokens", "8", "--dtype", "fp32", "--json")
        return json.loads(said)["tokens"]

    def test_chat_export_merge_and_fetch(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(8))
        job = node.train(daemons.tokens_job("full", self.model, data, **{"method": {"kind": "full"}, "train.epochs": 4,
                                                                         "train.optimizer": {"lr": 5e-3}}))
        digest = job["result"]["adapter_sha256"]
        tuned = self.answer(node, "full")
        self.assertNotEqual(tuned, self.answer(node, self.model))
        self.assertEqual(self.answer(node, job["run_dir"]), tuned)
        out, merged, fetched = (os.path.join(self.folder, name) for name in ("out", "merged", "fetched"))
        node.ftctl("export", "full", out)
        self.assertEqual(daemons.sha256(os.path.join(out, "model.safetensors")), digest)
        node.ftctl("merge", "full", merged)
        with open(os.path.join(merged, "config.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["torch_dtype"], "float32")
        for folder in (out, merged):
            self.assertEqual(self.answer(node, folder), tuned)
        # On another machine there is neither the run's folder nor the base.
        shutil.rmtree(job["run_dir"])
        shutil.rmtree(self.model)
        node.ftctl("export", "full", fetched)
        self.assertEqual(daemons.sha256(os.path.join(fetched, "model.safetensors")), digest)
        self.assertEqual(self.answer(node, fetched), tuned)

    def test_a_diverged_run_is_said_to_be_one(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(16))
        job = node.train(daemons.tokens_job("diverged", self.model, data, **{"train.optimizer": {"lr": 10},
                                                                             "train.schedule": {"kind": "constant"}}))
        self.assertEqual(job["state"], "SUCCEEDED")
        events = node.run("events", "diverged", "-o", "json").stdout
        self.assertIn("RANK_NOTHING_LEARNT", events)
        self.assertIn("lower train.optimizer.lr (it is 10)", events)


if __name__ == "__main__":
    daemons.main()
