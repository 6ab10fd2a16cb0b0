"""What training writes is what the Python peers read: the adapter in PEFT over the fp32 base and over the dequantised one,
the merged model in transformers; our logits, our greedy text.

Needs the pinned peers: .deps/checks (`make test` installs it), or FT_PEERS, a Python that has them.
"""

import array
import json
import os
import re
import shlex
import shutil
import struct
import subprocess

import daemons
from full_result_test import write_tokenizer

PEERS = os.environ.get("FT_PEERS") or os.path.join(daemons.ROOT, ".deps", "checks", "bin", "python3")
CHECK = os.path.join(daemons.ROOT, "tests", "checks", "peft_adapter_test.py")
PROMPTS = ("Who are you?", "What is the capital of France?", "Name a fruit.", "Write a line about the sea.",
           "How many days has a week?")


def read_safetensors(path):
    """Name -> (type, shape, bytes)."""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        body = file.read()
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], body[slice(*entry["data_offsets"])]) for name, entry in header.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(content)]}
        at += len(content)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(content for _, _, content in tensors.values()))


class PeftTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        if not os.path.exists(PEERS):
            self.skipTest("the Python peers are not installed: `make test`, or cmake/setup.sh --python-checks")

    def our_logits(self, rows, model, *arguments):
        """Our fp32 logits of rows of one length, in the file that the peers' check reads."""
        tokens, raw = os.path.join(self.folder, "tokens.json"), os.path.join(self.folder, "raw.safetensors")
        with open(tokens, "w", encoding="utf-8") as file:
            json.dump(rows, file)
        done = subprocess.run([os.path.join(daemons.BIN, "ft-golden"), "logits", "--model", model, "--tokens", tokens,
                               "--out", raw, *arguments],
                              capture_output=True, text=True, timeout=180, check=False, stdin=subprocess.DEVNULL, cwd=self.folder)
        self.assertEqual(done.returncode, 0, f"{' '.join(done.args)}\n{done.stdout}{done.stderr}")
        found = read_safetensors(raw)
        parts = [found[str(row)] for row in range(len(rows))]
        self.assertTrue(all(part[1] == parts[0][1] and part[0] == "F32" for part in parts))
        ids = b"".join(struct.pack(f"<{len(row)}q", *row) for row in rows)
        path = os.path.join(self.folder, "logits.safetensors")
        write_safetensors(path, {"input_ids": ("I64", [len(rows), len(rows[0])], ids),
                                 "logits": ("F32", [len(rows)] + parts[0][1], b"".join(part[2] for part in parts))})
        return path

    def check(self, *arguments):
        """The peers' verdict."""
        done = subprocess.run([PEERS, "-B", CHECK, *arguments], capture_output=True, text=True, timeout=300, check=False,
                              stdin=subprocess.DEVNULL, env=dict(os.environ, HF_HUB_OFFLINE="1"))
        print(done.stdout.strip())
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr[-3000:])

    def trained(self, node, kind):
        data = self.write_tokens(daemons.random_samples(16))
        job = daemons.tokens_job(kind, self.small_model(), data, **{"method.kind": kind, "train.epochs": 10,
                                                                    "train.optimizer": {"lr": 5e-3}})
        node.train(job)
        return job

    def exported(self, node, kind, base):
        out = os.path.join(self.folder, f"{kind}-{base}")
        node.ftctl("export", kind, out, "--base", base)
        return out

    def test_adapter_over_the_fp32_base(self):
        node = self.daemons()
        self.trained(node, "lora")
        out = self.exported(node, "lora", "stored")
        rows = daemons.random_samples(4, seed=9, shortest=24, longest=25)
        logits = self.our_logits(rows, self.small_model(), "--adapter", out)
        self.check("--base", os.path.join(out, "base"), "--adapter", out, "--logits", logits)

    def test_adapter_over_the_dequantised_base(self):
        node = self.daemons()
        self.trained(node, "qlora")
        out = self.exported(node, "qlora", "dequantised")
        rows = daemons.random_samples(4, seed=9, shortest=24, longest=25)
        logits = self.our_logits(rows, self.small_model(), "--adapter", out, "--base", "nf4")
        self.check("--base", os.path.join(out, "base"), "--adapter", out, "--logits", logits)

    def test_kinds_of_adapters(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(16))
        kinds = {
            "dora": {"use_dora": True, "use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.*": 3}},
            "saved": {"modules_to_save": ["embed_tokens"]}}
        for name, kind in kinds.items():
            job = daemons.tokens_job(name, self.small_model(), data, **{
                "method": dict({"kind": "lora", "rank": 4, "alpha": 8}, **kind), "train.epochs": 10, "train.optimizer": {"lr": 5e-3}})
            node.train(job)
            out = self.exported(node, name, "stored")
            rows = daemons.random_samples(4, seed=9, shortest=24, longest=25)
            logits = self.our_logits(rows, self.small_model(), "--adapter", out)
            self.check("--base", os.path.join(out, "base"), "--adapter", out, "--logits", logits)

    def test_the_dequantised_base_is_not_the_stored_one(self):
        node = self.daemons()
        self.trained(node, "qlora")
        rows = daemons.random_samples(1, seed=9, shortest=24, longest=25)
        both = [self.exported(node, "qlora", base) for base in ("stored", "dequantised")]
        logits = []
        for out in both:
            with open(self.our_logits(rows, os.path.join(out, "base")), "rb") as file:
                logits.append(file.read())
        self.assertNotEqual(logits[0], logits[1])

    def test_merged_model_loads_in_transformers(self):
        node = self.daemons()
        self.trained(node, "lora")
        merged = os.path.join(self.folder, "merged")
        node.ftctl("merge", "lora", merged, "--dtype", "fp32")
        adapter = node.get("lora")["result"]["adapter_dir"]
        rows = daemons.random_samples(4, seed=9, shortest=24, longest=25)
        logits = self.our_logits(rows, self.small_model(), "--adapter", adapter)
        self.check("--merged", merged, "--logits", logits)

    def commands(self, **words):
        """Those that docs/zero.md gives for a recipe on two ranks, with words of them replaced."""
        with open(os.path.join(daemons.ROOT, "docs", "zero.md"), encoding="utf-8") as file:
            block = re.search(r"```sh\nftctl up\n(.*?)```", file.read(), re.DOTALL)[1]
        for line in block.splitlines():
            command = shlex.split(line, comments=True)[1:]
            yield [re.sub(r"\b(DIR|FILE|OUT)$", lambda found: words[found[1]], word) for word in command]

    def test_a_recipe_at_stage_3_on_two_ranks_by_the_commands_of_the_documentation(self):
        model, data, out = (os.path.join(self.folder, name) for name in ("model", "data.json", "out"))
        shutil.copytree(self.small_model(), model, copy_function=shutil.copyfile)
        write_tokenizer(model)
        records = [{"instruction": f"Say {number}.", "input": "", "output": f"It is {number}."} for number in range(256)]
        self.write_file("data.json", json.dumps(records))
        node = self.daemons(start=False)
        node.ftctl("up")
        try:
            told = {}
            for command in self.commands(DIR=model, FILE=data, OUT=out):
                fewer = ["--set", "train.max_length=256", "--set", "train.evaluate.max_new_tokens=4"] if command[0] == "submit" else []
                told[command[0]] = node.ftctl(*command, *fewer, timeout=240)
            self.assertEqual(set(told), {"submit", "get", "events", "metrics", "export"})
            self.assertRegex(told["get"], r"SUCCEEDED")
            self.assertRegex(told["get"], r"(?s)Memory of the rank, predicted:\n( +\d+\.\d\d GiB  .+\n)+ +\d+\.\d\d GiB  in all\n")
            self.assertIn("a CPU's memory is where all of it lies", " ".join(told["events"].split()))
            losses = [step["loss"] for step in node.steps("two-ranks")]
            self.assertGreater(len(losses), 1)
            self.assertLess(losses[-1], losses[0])
            self.assertEqual(json.loads(node.ftctl("get", "two-ranks", "--resolved"))["parallel"]["zero"], 3)
        finally:
            node.ftctl("down")
        rows = daemons.random_samples(4, seed=9, shortest=24, longest=25)
        logits = self.our_logits(rows, model, "--adapter", out, "--base", "nf4")
        self.check("--base", os.path.join(out, "base"), "--adapter", out, "--logits", logits)

    def check_family(self, case):
        """An adapter in PEFT and a merged model in transformers, of another family: logits within 1e-4 of the largest."""
        model = self.need(daemons.model_case(case), f"the model case {case}")
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(16))
        node.train(daemons.tokens_job("lora", model, data, **{"method.kind": "lora", "train.epochs": 10,
                                                              "train.optimizer": {"lr": 5e-3}}))
        out = self.exported(node, "lora", "stored")
        merged = os.path.join(self.folder, "merged")
        node.ftctl("merge", "lora", merged, "--dtype", "fp32")
        rows = daemons.random_samples(4, seed=9, shortest=24, longest=25)
        logits = self.our_logits(rows, model, "--adapter", out)
        content = read_safetensors(logits)["logits"][2]
        largest = max(abs(value) for value in array.array("f", content))
        tolerance = ("--tolerance", str(1e-4 * largest))
        self.check("--base", os.path.join(out, "base"), "--adapter", out, "--logits", logits, *tolerance)
        self.check("--merged", merged, "--logits", logits, *tolerance)

    def test_demo_model_answers_five_prompts_as_in_peft(self):
        model = self.need_demo_model()
        node = self.daemons()
        data = os.path.join(daemons.ROOT, "recipes", "demo", "self_cognition.jsonl")
        job = {"name": "demo", "model": {"source": model, "dtype": "fp32"}, "data": [{"source": data, "max_records": 16}],
               "method": {"kind": "qlora", "rank": 8, "alpha": 16, "dropout": 0.0},
               "train": {"epochs": 1, "max_steps": 4, "micro_batch": 2, "accumulation": 1, "max_length": 128,
                         "optimizer": {"lr": 1e-3}},
               "resources": {"device": "cpu", "threads": 2}}
        node.train(job, timeout=240)
        out = self.exported(node, "demo", "dequantised")
        asked = [word for prompt in PROMPTS for word in ("--prompt", prompt)]
        answers = node.ftctl("chat", "demo", *asked, "--dtype", "fp32", "--max-new-tokens", "12", "--json", timeout=240)
        path = os.path.join(self.folder, "answers.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write(answers)
        self.assertEqual([json.loads(line)["prompt"] for line in answers.splitlines()], list(PROMPTS))
        rows = [[1, 4093, 198, 6403, 359, 346, 47, 2, 198, 1, 520, 9531]]
        logits = self.our_logits(rows, model, "--adapter", out, "--base", "nf4")
        self.check("--base", os.path.join(out, "base"), "--adapter", out, "--logits", logits, "--answers", path)


def add_family(case, soak):
    def test(self):
        self.check_family(case)
    setattr(PeftTest, f"test_family_{case}", daemons.only_in_soak(test) if soak else test)


# Those that the pinned transformers has.
for family in ("gpt_bigcode_mqa", "gemma2_softcap", "qwen3_qknorm"):
    add_family(family, False)
for family in ("mistral_swa", "qwen2_tied", "gemma", "phi3_fused"):
    add_family(family, True)


if __name__ == "__main__":
    daemons.main()
