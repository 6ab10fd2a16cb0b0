"""QLoRA of two layers with the dimensions of Qwen3-30B-A3B, 128 experts each: what a weight of the base takes while the rank trains, and
that adapters of experts change and nothing else does. Minutes, 6 GB of disk and 4 GiB of memory: `make soak` only.
"""

import array
import glob
import json
import os
import subprocess
import sys
import time

import daemons

CONFIG = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144,
          "moe_intermediate_size": 768, "num_experts_per_tok": 8, "norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [],
          "num_hidden_layers": 2, "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "vocab_size": 151936,
          "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "router_aux_loss_coef": 0.001}
EXPERTS, FEWER = 128, 16
LAYERS = CONFIG["num_hidden_layers"]
WEIGHTS = 3 * CONFIG["hidden_size"] * CONFIG["moe_intermediate_size"]  # Of an expert.
RANK = 2
ADAPTER = 3 * RANK * (CONFIG["hidden_size"] + CONFIG["moe_intermediate_size"])  # Weights of an expert's adapters.
STATE_BYTES = 16  # Of an adapter's weight: value, gradient and two moments in float32.
LIMIT = 0.55      # Bytes a weight.
LENGTH, STEPS, SETTLED = 64, 16, 4
PYTHON = os.path.join(daemons.ROOT, ".deps", "checks", "bin", "python3")
RANDOM_MODEL = os.path.join(daemons.ROOT, "bench", "peers", "random_model.py")
SECONDS = 1200


def attention_weights():
    heads = CONFIG["head_dim"] * CONFIG["num_attention_heads"]
    keys = CONFIG["head_dim"] * CONFIG["num_key_value_heads"]
    return CONFIG["hidden_size"] * (2 * heads + 2 * keys)


def anonymous_bytes(pid):
    """What a process holds that is no file's; 0 when it is gone."""
    for line in daemons.read_proc(pid, "status").decode().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    return 0


def read_tensors(path):
    """{name: values} of a safetensors file of float32."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        body = file.read()
    header.pop("__metadata__", None)
    return {name: array.array("f", body[slice(*info["data_offsets"])]) for name, info in header.items()}


def digests(folder):
    return {path: daemons.sha256(path) for path in sorted(glob.glob(os.path.join(folder, "*")))}


class ExpertMemoryTest(daemons.DaemonTest):
    def make_model(self, count):
        self.need(os.path.exists(PYTHON), "the Python of .deps/checks (cmake/setup.sh --python-checks)")
        folder = os.path.join(self.folder, f"experts-{count}")
        done = subprocess.run([PYTHON, "-B", RANDOM_MODEL, folder, json.dumps({**CONFIG, "num_experts": count}), "--threads", "2"],
                              capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return folder

    def train(self, node, name, model, data):
        """The job, and the least that its rank held while it trained: what was freed after loading goes back within ten seconds."""
        job = node.submit(daemons.tokens_job(name, model, data, **{
            "model.dtype": "bf16", "method": {"kind": "qlora", "rank": RANK, "alpha": 4, "dropout": 0.0, "targets": [r".*\.experts\..*"]},
            "train.epochs": 1000, "train.max_steps": STEPS, "train.micro_batch": 1, "resources.threads": 2}))
        pid = node.training_rank(job, timeout=SECONDS)
        node.wait_step(job, SETTLED, timeout=SECONDS)
        least = anonymous_bytes(pid)
        while (held := anonymous_bytes(pid)) > 0:
            least = min(least, held)
            time.sleep(0.1)
            if int(node.get(job)["progress"]["step"]) >= STEPS - 1:
                break  # It gives its memory back when it ends.
        return node.finish(job, timeout=SECONDS), least

    def base_bytes(self, node):
        """Of the newest base in the node's cache."""
        files = glob.glob(os.path.join(node.data, "**", "base", "**", "*.safetensors"), recursive=True)
        return os.path.getsize(max(files, key=os.path.getmtime)) if files else 0

    def check_adapter(self, folder):
        """Each expert that a row went to has adapters that were trained; nothing else has any."""
        tensors = read_tensors(os.path.join(folder, "adapter_model.safetensors"))
        others = [name for name in tensors if ".mlp.experts." not in name]
        self.assertEqual(others, [])
        trained = [name for name, values in tensors.items() if "lora_B" in name and any(values)]
        self.assertEqual(len(tensors), 2 * 3 * LAYERS * EXPERTS)
        self.assertGreater(len(trained), 0.9 * 3 * LAYERS * EXPERTS)

    @daemons.only_in_soak
    def test_experts_are_held_in_4_bits_and_only_their_adapters_change(self):
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(8, vocabulary=CONFIG["vocab_size"], shortest=LENGTH - 1, longest=LENGTH))
        fewer, held_with_fewer = self.train(node, "fewer", self.make_model(FEWER), data)
        self.assertEqual(fewer["state"], "SUCCEEDED")
        model = self.make_model(EXPERTS)
        before = digests(model)
        job, held = self.train(node, "all", model, data)
        further = LAYERS * (EXPERTS - FEWER)
        a_weight = (held - held_with_fewer - further * ADAPTER * STATE_BYTES) / (further * WEIGHTS)
        stored = self.base_bytes(node) / (LAYERS * (EXPERTS * WEIGHTS + attention_weights()))
        print(f"bytes a weight: {a_weight:.3f} of each further expert in memory, {stored:.3f} of the base in the node's cache; "
              f"the rank holds {held / 2**30:.2f} GiB", file=sys.stderr)
        self.assertLessEqual(a_weight, LIMIT)
        self.assertGreater(stored, 0.5)
        self.assertLessEqual(stored, LIMIT)
        self.assertEqual(digests(model), before, "the model's files changed")
        self.check_adapter(job["result"]["adapter_dir"])


if __name__ == "__main__":
    daemons.main()
