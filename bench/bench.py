"""Measures this project beside its peers on this machine in one run: a table on standard output, build/bench.json, and exit
status 1 naming the rows below their floors (bench/report.py). `make bench` builds what it needs and calls it.

  bench.py PROGRAMS [--pairs 5] [--only REGEX of scenarios] [--json build/bench.json] [--against FOLDER [--no-peers]]

A figure is the median over interleaved pairs: ours, the peer, ours, the peer, ... Both sides get all cores. With --against, the
four programs of FOLDER (the bin/ of another build, such as an older commit's) train every job too, in every pair, and a second
table gives new / old; what is slower by more than bench/against.py tolerates fails the run. Rows that other programs measure
(nf4, attention, adamw, control) are not compared. --no-peers leaves the peers out, which take most of the time: floors beside
them are not asked for then.
"""

import argparse
import contextlib
import functools
import os
import re
import sys
import tempfile

import against
import control
import dist
import experts
import generation
import models
import operations
import ours
import peer
import report
import tokenise
import training
import zero_memory
from full_result_test import write_tokenizer  # Of the end-to-end tests, where `ours` looks.

SCENARIOS = {"demo": training.demo, "demo_lean": training.demo_lean, "demo_ckpt": training.demo_checkpointed,
             "slice": training.llama_slice, "slice_ckpt": training.llama_slice_checkpointed, "sft": training.sft, "ledger": training.ledger,
             "nf4": operations.nf4, "attention": operations.attention, "adamw": operations.adamw, "start": training.start, "control": control.control,
             "tokenise": tokenise.tokenise, "zero_memory": zero_memory.zero_memory, "load": generation.load,
             "chat": generation.tokens_a_second, "experts": experts.experts, **dist.SCENARIOS}
# Those that the four programs run, so that another build can run them too.
COMPARED = ("demo", "demo_lean", "demo_ckpt", "slice", "slice_ckpt", "sft", "start")


class Context:
    """What scenarios share: a node of each build, the models, the machine's limits."""

    def __init__(self, args, folder, nodes):
        self.programs = args.programs
        self.folder = folder
        self.nodes = nodes
        self.threads = nodes[against.NEW].threads
        self.shared = ours.daemons.SHARED
        self.limits = peer.run("limits.py", threads=self.threads)
        self.kept = os.path.join(models.ROOT, "build", "bench", "models")
        os.makedirs(self.kept, exist_ok=True)
        self._pairs = args.pairs
        self._peers = args.peers

    @functools.cached_property
    def demo(self):
        return models.demo(self.programs, self.kept)

    @functools.cached_property
    def demo_bf16(self):
        return models.demo_bf16(peer.PYTHON, self.demo)

    @property
    def llama_slice(self):
        return models.llama_slice(peer.PYTHON, self.kept)

    @functools.cached_property
    def chat_slice(self):
        """Layers of Llama 2 7B's dimensions, with a tokenizer of bytes."""
        model = models.random(self.kept, "llama-2-7b-4-layers", generation.SLICE, self.threads)
        write_tokenizer(model.path)
        return model

    def run_peer(self, script, *arguments):
        """A list of what the peer's script found, empty where peers are left out."""
        return [peer.run(script, *arguments, threads=self.threads)] if self._peers else []

    def warm(self, made):
        """Trains a job once on every node, unmeasured, so that caches are built and files are read."""
        for node in self.nodes.values():
            node.train(made)

    def pairs(self, name):
        for pair in range(self._pairs):
            print(f"bench: {name}, pair {pair + 1} of {self._pairs}", file=sys.stderr, flush=True)
            yield pair


def measure(context, name):
    """Rows of a scenario. What stops it is a row too, so that the others are still measured."""
    try:
        return list(SCENARIOS[name](context))
    except Exception as error:  # noqa: BLE001, whatever it is, it is shown and fails the run.
        print(f"bench: {name}: {error}", file=sys.stderr, flush=True)
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return [report.Row(floor[0], "", None, why=why) for floor in report.FLOORS if floor[0].split(".")[0] == name]


def hidden():
    """What the header says of a run of `make bench CPU=avx2`."""
    return ", told of AVX2 and nothing later" if "libft_avx2_only" in os.environ.get("LD_PRELOAD", "") else ""


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=os.path.abspath, help="folder of finetuned, ft-worker, ft-rank, ftctl")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", default=".", help="scenarios whose name matches this")
    parser.add_argument("--json", default=os.path.join(models.ROOT, "build", "bench.json"))
    parser.add_argument("--against", type=os.path.abspath, help="folder of another build's four programs")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="with --against: this build and that alone")
    args = parser.parse_args()
    if not args.peers and not args.against:
        parser.error("--no-peers leaves nothing to compare with: name another build with --against")
    if args.against:
        missing = against.missing_programs(args.against)
        if missing:
            sys.exit(f"bench: --against {args.against} holds no {', '.join(missing)}: name the bin/ of a build of all four programs")
    return args


def main():
    args = parse()
    chosen = [name for name in SCENARIOS if re.search(args.only, name) and (args.peers or name in COMPARED)]
    if not chosen:
        sys.exit(f"bench: no scenario matches '{args.only}': there are {', '.join(SCENARIOS)}")
    threads = len(os.sched_getaffinity(0))
    builds = {against.NEW: args.programs, **({against.OLD: args.against} if args.against else {})}
    with tempfile.TemporaryDirectory(prefix="ftb") as folder, contextlib.ExitStack() as stack:
        nodes = {build: stack.enter_context(ours.Node(programs, os.path.join(folder, build), threads))
                 for build, programs in builds.items()}
        context = Context(args, folder, nodes)
        rows = [row for name in chosen for row in measure(context, name)]
    limits = context.limits
    print(f"{threads} threads{hidden()}; products {limits['gemm_gflops']:.0f} GFLOPS, copy {limits['copy_gbytes']:.1f} GB/s; "
          f"medians of {args.pairs} pairs\n")
    floors = report.FLOORS if args.peers else [floor for floor in report.FLOORS if floor[1] == "ours"]
    print(report.table(rows, chosen, floors))
    report.write(args.json, rows)
    missed = report.missed(rows, chosen, floors)
    if missed:
        print("\nBelow their floors:\n  " + "\n  ".join(missed))
    slower = against.missed(rows, [name for name in chosen if name in COMPARED]) if args.against else []
    if args.against:
        print(f"\nBeside {args.against}, {args.pairs} pairs:\n\n{report.comparisons(rows)}")
    if slower:
        print("\nSlower than the other build:\n  " + "\n  ".join(slower))
    return 1 if missed or slower else 0


if __name__ == "__main__":
    sys.exit(main())
