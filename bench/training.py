"""Rows of whole training steps and runs: ours through the shipped programs, the peers through their own scripts."""

import os

import models
import ours
from against import NEW, Figures
from report import Row, median

GIB = 1 << 30
LENGTH = 512
STEPS = 5  # Of which the first warms up.
SFT_RECORDS = 64
SFT_LENGTH = 2048


def rate(seconds, tokens):
    """Tokens a second of the median step after the first."""
    return tokens / median(seconds[1:])


def memory_rows(name, mine, theirs, peer_name):
    for what in ("memory", "anonymous"):
        yield Row(f"{name}.{what}", "GiB", peer=median([run[what] / GIB for run in theirs]), peer_name=peer_name,
                  **mine.of(lambda run, what=what: run[what] / GIB))


def qlora(context, name, model, *options):
    """A step against PEFT + bitsandbytes, both adapter compute types of ours against the same runs of the peer."""
    checkpointing = "--checkpointing" in options
    tokens = models.write_tokens(os.path.join(context.folder, f"{name}.jsonl"), model.vocabulary, LENGTH)
    job = {"train.max_steps": STEPS, "train.max_length": LENGTH, "train.activation_checkpointing": checkpointing}
    data = {"source": tokens, "format": "tokens"}
    kinds = {"": ours.job(name, model, data, **job),
             "_fp32": ours.job(name, model, data, **{**job, "method.adapter_compute": "fp32"})}
    arguments = ["--model", model.path, "--tokens", tokens, "--steps", str(STEPS), "--rank", "64", *options]
    peer_name = "PEFT lean" if "--lean" in options else "PEFT+bnb"
    mine, theirs = {kind: Figures(context.nodes) for kind in kinds}, []
    context.warm(kinds[""])  # Prepares the data, once a node, and has the model's files in memory.
    for pair in context.pairs(name):
        for kind, made in kinds.items():
            mine[kind].measure(pair, lambda node, made=made: node.train(made))
        theirs += context.run_peer("qlora_step.py", *arguments)
    limit = context.limits["gemm_gflops"] * 1e9 / model.step_flops(LENGTH, 64, checkpointing)
    for kind, runs in mine.items():
        yield Row(f"{name}{kind}.tokens", "tok/s", peer=median([rate(run["seconds"], LENGTH) for run in theirs]),
                  peer_name=peer_name, limit=limit, **runs.of(lambda run: rate(run["seconds"], LENGTH)))
        yield from memory_rows(f"{name}{kind}", runs, theirs, peer_name)


def demo(context):
    yield from qlora(context, "demo", context.demo)


def demo_lean(context):
    yield from qlora(context, "demo_lean", context.demo, "--lean")


def demo_checkpointed(context):
    yield from qlora(context, "demo_ckpt", context.demo, "--checkpointing")


def llama_slice(context):
    yield from qlora(context, "slice", context.llama_slice)


def llama_slice_checkpointed(context):
    yield from qlora(context, "slice_ckpt", context.llama_slice, "--checkpointing")


def sft(context):
    """Useful tokens a second of a whole run, from the start of its first step to the end of its last."""
    records = os.path.join(context.shared, "data", "alpaca_en_demo.json")
    if not os.path.exists(records):
        raise RuntimeError("alpaca_en_demo.json is not here: it is part of the reference folder")
    job = ours.job("sft", context.demo, {"source": records, "format": "alpaca", "max_records": SFT_RECORDS},
                   **{"train.epochs": 1, "train.max_length": SFT_LENGTH, "train.packing": True})
    arguments = ["--model", context.demo.path, "--records", records, "--count", str(SFT_RECORDS), "--length",
                 str(SFT_LENGTH), "--rank", "64", "--output", os.path.join(context.folder, "trl")]
    mine, theirs = Figures(context.nodes), []
    context.warm(job)
    for pair in context.pairs("sft"):
        mine.measure(pair, lambda node: node.train(job))
        theirs += context.run_peer("sft.py", *arguments)
    limit = context.limits["gemm_gflops"] * 1e9 / context.demo.step_flops(SFT_LENGTH // 16, 64, True)
    yield Row("sft.tokens", "tok/s", peer=median([run["tokens"] / (run["end"] - run["first_step"]) for run in theirs]),
              peer_name="TRL", limit=limit, **mine.of(lambda run: sum(run["tokens"]) / (run["ends"][-1] - run["first_step"])))
    yield Row("sft.first_step", "s", peer=median([run["first_step"] - run["start"] for run in theirs]), peer_name="TRL",
              **mine.of(lambda run: run["first_step"] - run["start"]))
    yield from memory_rows("sft", mine, theirs, "TRL")


LEDGER_STEPS = 13
LEDGER_EVERY = 2  # Of steps 2 to 12, which are looked at, even ones have digests: the first warms up, and the last has some by being the last.


def ledger_seconds(run):
    """What digests of gradients and weights take of a step that has them: by how much what follows backward is longer there."""
    behind = run["optimizer_seconds"][1:-1]  # Of steps 2, 3, ...
    return median(behind[::2]) - median(behind[1::2])


def ledger(context):
    """The ledger's share of all steps' time, as often as such a job has digests by default."""
    tokens = models.write_tokens(os.path.join(context.folder, "ledger.jsonl"), context.demo.vocabulary, LENGTH)
    data = {"source": tokens, "format": "tokens"}
    settings = {"train.max_steps": LEDGER_STEPS, "train.max_length": LENGTH, "train.ledger_every": LEDGER_EVERY}
    every = {"qlora": 1, "full": 16}
    kinds = {"qlora": ours.job("ledger", context.demo, data, **settings),
             "full": ours.job("ledger", context.demo, data, **{**settings, "method": {"kind": "full"}})}
    node, found = context.nodes[NEW], {kind: [] for kind in kinds}
    context.warm(kinds["qlora"])
    for _ in context.pairs("ledger"):
        for kind, made in kinds.items():
            found[kind].append(node.train(made))
    for kind, runs in found.items():
        seconds = median([ledger_seconds(run) for run in runs]) / every[kind]
        # Steps without digests are what they cost beside.
        step = median([median(run["seconds"][2:-1:2]) for run in runs])
        yield Row(f"ledger.{kind}", "%", 100 * seconds / (step + seconds))


def start(context):
    """What a person waits for: a job of one micro-batch of 128 tokens whose data was prepared before."""
    tokens = models.write_tokens(os.path.join(context.folder, "start.jsonl"), context.demo.vocabulary, 128, rows=1)
    job = ours.job("start", context.demo, {"source": tokens, "format": "tokens"},
                   **{"train.max_steps": 1, "train.max_length": 128})
    arguments = ["--model", context.demo.path, "--tokens", tokens, "--steps", "1", "--rank", "64", "--checkpointing"]
    mine, theirs, lists = Figures(context.nodes), [], Figures(context.nodes)
    context.warm(job)
    for pair in context.pairs("start"):
        mine.measure(pair, lambda node: node.train(job))
        lists.measure(pair, lambda node: median(node.list_milliseconds()))
        theirs += context.run_peer("qlora_step.py", *arguments)
    yield Row("start.first_step", "s", peer=median([run["first_step"] - run["start"] for run in theirs]),
              peer_name="PEFT+bnb", **mine.of(lambda run: run["first_step"] - run["start"]))
    yield Row("start.step_end", "s", peer=median([run["first_step"] + run["seconds"][0] - run["start"] for run in theirs]),
              peer_name="PEFT+bnb", **mine.of(lambda run: run["ends"][0] - run["start"]))
    yield Row("start.ftctl_list", "ms", **lists.of(lambda milliseconds: milliseconds))
