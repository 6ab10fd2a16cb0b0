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
# What each library is measured on: a folder of golden/tokenizer.
VOCABULARIES = (("llama2", "sentencepiece"), ("internlm", "sentencepiece"), ("smollm2", "tokenizers"), ("starcoder", "tokenizers"),
                ("qwen", "tiktoken"))
TIMEOUT = 600


def write_texts(context):
    path = os.path.join(context.folder, "texts.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(text) + "\n" for text in mixed_text.texts(BYTES, SEED))
    return path


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
    texts, mine, theirs = write_texts(context), {}, {}
    for _ in context.pairs("tokenise"):
        for vocabulary, library in VOCABULARIES:
            folder = os.path.join(golden, vocabulary)
            mine.setdefault(vocabulary, []).append(ours(context, folder, texts))
            found = peer.run("tokenise.py", library, folder, texts, "--passes", str(PASSES), threads=1)
            theirs.setdefault(vocabulary, []).append(found["bytes"] / found["seconds"] / 1e6)
    for vocabulary, library in VOCABULARIES:
        yield Row(f"tokenise.{vocabulary}", "MB/s", median(mine[vocabulary]), median(theirs[vocabulary]),
                  {"sentencepiece": "sentencep"}.get(library, library))
