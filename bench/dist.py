"""Rows of training on two processes of this machine: ours, DeepSpeed with the settings of the same name, and FSDP2 where it has the like.
Every scenario is one setting. Peers talk over Gloo, which is what they take on CPUs, ours as a job does that does not ask: over memory that
its ranks share; a scenario of stage 2 over Gloo stands beside. All train the demo model, stored in bf16, on the same rows of text, two a
step, in bf16; in float32 where LibTorch has no fast products in bf16, which the peers would take minutes a step with (peers/limits.py tells).
"""

import dataclasses
import functools
import os
import typing

import models
import peer
from against import NEW
from report import Row, median
from training import GIB, rate
from zero_memory import LENGTH, METHODS, RANKS, job_of

STEPS = 6  # Of which the first warms up.
RATE = 2e-5  # As XTuner's recipes of full fine-tuning have it.
TEXT = os.path.join(models.ROOT, "docs", "architecture.md")  # What is trained on: of random ids losses are so high that bf16 rounds 0.01 of them away.
LONG = 20  # Steps of one setting, so that losses are compared over as many.
# How a table names them where all computed in float32.
SHORT = {"DeepSpeed": "DS", "FSDP2": "FSDP"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """A setting: ours by DeepSpeed's name for it, and what the peers' scripts are told."""
    scenario: str
    deepspeed: str
    options: tuple  # Of zero_step.py.
    method: str = "full"
    fsdp: typing.Optional[tuple] = None  # Of fsdp_step.py.
    steps: int = STEPS
    transport: str = "auto"  # Of ours.


CELLS = (Cell("dist_zero1", "deepspeed_zero1", ("--stage", "1"), steps=LONG),
         Cell("dist_zero2", "deepspeed_zero2", ("--stage", "2"), fsdp=("--keep",)),
         Cell("dist_gloo", "deepspeed_zero2", ("--stage", "2"), transport="gloo"),
         Cell("dist_zero3", "deepspeed_zero3", ("--stage", "3"), fsdp=()),
         Cell("dist_offload", "deepspeed_zero3_offload", ("--stage", "3", "--offload")),
         Cell("dist_qlora", "deepspeed_zero3", ("--stage", "3", "--qlora"), method="qlora"))


def tokens_a_second(run):
    return rate(run["seconds"], RANKS * LENGTH)


def difference(runs, others):
    """The largest between two sides' losses of one step, of all pairs. None where one side has no run."""
    return max((abs(one - other) for run, beside in zip(runs, others) for one, other in zip(run["losses"], beside["losses"], strict=True)),
               default=None)


def rows(cell, peer_name, mine, theirs, why=None, fp32=False):
    """`fp32`: all computed in float32. REQUIRES: of ours a run a pair; of the peer as many, or none, and why. Peaks are of the rank that has the larger one."""
    prefix = f"{cell.scenario}." + ("fsdp_" if peer_name == "FSDP2" else "")
    name = f"{SHORT[peer_name]} fp32" if fp32 else peer_name
    yield Row(prefix + "tokens", "tok/s", median([tokens_a_second(run) for run in mine]),
              median([tokens_a_second(run) for run in theirs]), name, why=why)
    yield Row(prefix + "memory", "GiB", median([run["each"][0] / GIB for run in mine]),
              median([run["each"][0] / GIB for run in theirs]), name, why=why)
    yield Row(prefix + "loss", "most", difference(mine, theirs), peer_name=name, why=why)


class Peer:
    """A script's runs on RANKS processes. The first that fails is the last that is tried."""

    def __init__(self, context, script, arguments):
        self.runs, self.why = [], None
        self._run = functools.partial(peer.run_ranks, script, *arguments, ranks=RANKS, threads=max(1, context.threads // RANKS))

    def run(self):
        if self.why is not None:
            return
        found, self.why = peer.attempt(self._run)
        if found is None:
            self.runs = []
            return
        # Of both ranks: losses are the means of theirs, and seconds those of rank 0.
        self.runs.append({**found[0], "each": sorted((one["memory"] for one in found), reverse=True)})


def ours_of(cell, context, tokens):
    parallel = {"ranks": RANKS, "deepspeed": cell.deepspeed, "transport": cell.transport}
    job = job_of(context, tokens, cell.method, cell.scenario, parallel, cell.steps)
    job["train"]["optimizer"]["lr"] = RATE
    job["model"] = {"source": context.demo_bf16.path, "dtype": "bf16" if context.limits["bf16"] else "fp32"}
    if cell.method == "qlora":
        job["method"] = {"kind": "qlora", "init_from": adapter_of(context), "dropout": 0.0}
    return job


def adapter_of(context):
    return models.first_adapter(peer.PYTHON, context.demo_bf16, METHODS["qlora"]["rank"])


def peers_arguments(cell, context, tokens):
    arguments = ["--model", context.demo_bf16.path, "--tokens", tokens, "--steps", str(cell.steps), "--lr", str(RATE)]
    if not context.limits["bf16"]:
        arguments.append("--fp32")
    if cell.method == "qlora":
        arguments += ["--adapter", adapter_of(context)]
    return arguments


def measure(cell, context):
    node = context.nodes[NEW]  # An older build refuses some of it.
    tokens = models.write_text_tokens(peer.PYTHON, os.path.join(context.folder, "dist.jsonl"), context.demo_bf16, TEXT, LENGTH)
    job = ours_of(cell, context, tokens)
    arguments = peers_arguments(cell, context, tokens)
    deepspeed = Peer(context, "zero_step.py", [*arguments, *cell.options])
    deepspeed.why = peer.missing_deepspeed()
    fsdp = Peer(context, "fsdp_step.py", [*arguments, *cell.fsdp]) if cell.fsdp is not None else None
    mine = []
    for _ in context.pairs(cell.scenario):
        mine.append(node.train(job))
        deepspeed.run()
        if fsdp is not None:
            fsdp.run()
    fp32 = not context.limits["bf16"]
    found = list(rows(cell, "DeepSpeed", mine, deepspeed.runs, deepspeed.why, fp32))
    return found if fsdp is None else found + list(rows(cell, "FSDP2", mine, fsdp.runs, fsdp.why, fp32))


SCENARIOS = {cell.scenario: functools.partial(measure, cell) for cell in CELLS}
