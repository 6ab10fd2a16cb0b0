"""Where words of devices, transports, stages and ranks do not belong: in the mathematics of a model, and in the training step. Each
folder has the words that it does without, and why. Tests, fixtures and benches may say them."""

import re

from tree import without_comments

# Words of an identifier: `is_cuda`, `kCUDA`, `CudaTable` and `cudaStream_t` all say cuda. Where tensors lie (at::Device, .device()) is
# no question of which device it is, so `device` is no such word.
DEVICE = {"cpu", "cublas", "cuda", "cudnn", "gpu", "gpus", "hip", "npu", "nvml", "rocm"}
TRANSPORT = {"gloo", "mpi", "nccl", "shm"}
STAGE = {"deepspeed", "stage", "zero0", "zero1", "zero2", "zero3"}
CUT = {"shard", "sharded", "sharding", "shards"}
NUMBER_FORMAT = {"bnb", "int8", "nf4"}
# Whole identifiers, since parts of them are innocent: `zero_` fills with zeros, and `lora_rank` or `kv_lora_rank` is a matrix's rank.
ZERO = {"zero"}
GANG = {"max_ranks", "num_ranks", "ranks", "world_size"}
RANK = {"is_rank0", "rank", "rank_"}

# (folder, words of an identifier, whole identifiers, why). What lies in two folders keeps the rules of both.
RULES = (
    ("worker/model", STAGE, ZERO, "a model does not know ZeRO stages: it acquires and releases units"),
    ("worker/model/decoder", DEVICE | TRANSPORT | CUT | NUMBER_FORMAT, GANG | RANK, "a model file is only mathematics"),
    ("worker/model/run", DEVICE | TRANSPORT | CUT, GANG, "blocks are walked alike on every device and rank"),
    ("worker/model/generate", DEVICE | TRANSPORT | CUT, GANG, "text is generated alike on every device and rank"),
    ("worker/train/trainer", DEVICE | TRANSPORT | STAGE, ZERO, "the training step never asks which device or ZeRO stage it is on"),
    ("worker/train/optim", TRANSPORT | STAGE, ZERO, "the optimizer updates what the store owns, whatever the stage"),
)

_IDENTIFIER = re.compile(r"\b[A-Za-z_]\w*")
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


def words_of(identifier):
    """The words of a snake_case or camelCase identifier, in lower case: `kZero3Stage` -> {"k", "zero3", "stage"}."""
    return {word.lower() for word in _WORD.findall(identifier)}


def is_free(path):
    return path.endswith(("_test.cc", "_test.cu", "_bench.cc", "_fixture.h"))


def said(text):
    """(line, identifier) of everything that code says: identifiers, parts of included paths, and literals that are one word, since
    `device == "cuda"` asks too. What a sentence for people says is no question."""
    code = without_comments(text, keep_literals=True)
    for number, line in enumerate(code.split("\n"), 1):
        is_include = line.lstrip().startswith("#") and "include" in line
        for literal in _LITERAL.findall(line):
            if is_include or _IDENTIFIER.fullmatch(literal):
                yield from ((number, name) for name in _IDENTIFIER.findall(literal))
        yield from ((number, name) for name in _IDENTIFIER.findall(_LITERAL.sub('""', line)))


def refusals(path, text):
    """(line, identifier, why) of each identifier that does not belong into the file's folder, once a line."""
    rules = [rule for rule in RULES if path.startswith(rule[0] + "/")]
    if not rules or is_free(path):
        return
    seen = set()
    for line, name in said(text):
        for _, words, whole, why in rules:
            if (name in whole or words_of(name) & words) and (line, name) not in seen:
                seen.add((line, name))
                yield line, name, why
