"""Rows of tokenising: one thread of ours beside one of the Python libraries on the same vocabulary and the same texts."""

import json
import os
import subprocess
import sys

import peer
from report import Row, median

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "checks"))
import mixed_text  # noqa: E402, the texts of the tests

BYTES, SEED, PASSES = 4_000_000, 4, 3
# What each library is measured on: a folder of golden/tokenizer, and unigram models, of which that has none: trained here, with
# SentencePiece's usual map of characters and without one.
VOCABULARIES = (("llama2", "sentencepiece"), ("internlm", "sentencepiece"), ("smollm2", "tokenizers"), ("starcoder", "tokenizers"),
                ("qwen", "tiktoken"))
UNIGRAM = {"unigram": "nmt_nfkc", "unigram_plain": "identity"}
TRAINING_BYTES, TRAINING_SEED, PIECES = 3_000_000, 7, 32000
TIMEOUT = 600


def write_texts(context, name="texts.jsonl", size=BYTES, seed=SEED):
    path = os.path.join(context.folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\n" for text in mixed_text.texts(size, seed))
    return path


def train_unigram(context):
    """{name: folder} of the vocabularies that are made here."""
    texts = write_texts(context, "training.jsonl", TRAINING_BYTES, TRAINING_SEED)
    folders = {name: os.path.join(context.folder, name) for name in UNIGRAM}
    for name, rule in UNIGRAM.items():
        peer.run("train_unigram.py", folders[name], texts, "--rule", rule, "--pieces", str(PIECES), threads=context.threads)
    return folders


def ours(context, folder, texts):
    """Megabytes a second."""
    program = os.path.join(os.path.dirname(context.programs), "tests", "tokenise_texts")
    if not os.path.exists(program):
        raise RuntimeError("tokenise_texts is not built: make build TARGET=tokenise_texts")
    done = subprocess.run([program, folder, texts, "--seconds", str(PASSES)], capture_output=True, text=True, timeout=TIMEOUT,
                          check=True)
    found = json.loads(done.stdout)
    return found["bytes"] / found["seconds"] / 1e6


def tokenise(context):
    golden = os.path.join(context.shared, "golden", "tokenizer")
    if not os.path.isdir(golden):
        raise RuntimeError("the folder shared with golden/tokenizer is not beside this checkout")
    folders = {**{name: os.path.join(golden, name) for name, _ in VOCABULARIES}, **train_unigram(context)}
    libraries = {**dict(VOCABULARIES), **{name: "sentencepiece" for name in UNIGRAM}}
    texts, mine, theirs = write_texts(context), {}, {}
    for _ in context.pairs("tokenise"):
        for vocabulary, library in libraries.items():
            folder = folders[vocabulary]
            mine.setdefault(vocabulary, []).append(ours(context, folder, texts))
            found = peer.run("tokenise.py", library, folder, texts, "--passes", str(PASSES), threads=1)
            theirs.setdefault(vocabulary, []).append(found["bytes"] / found["seconds"] / 1e6)
    for vocabulary, library in libraries.items():
        yield Row(f"tokenise.{vocabulary}", "MB/s", median(mine[vocabulary]), median(theirs[vocabulary]),
                  {"sentencepiece": "sentencep"}.get(library, library))
