"""Rows of single operations: NF4 against bitsandbytes, attention against LibTorch's (both in bench/ops), AdamW against DeepSpeed's and
memory (bench/optim).
"""

import json
import os
import subprocess

import peer
from report import Row, median

SIZES = {"": (11008, 4096), "_small": (1536, 576)}
ROWS = {"256": (256, 256), "512": (512, 512), "2048": (2048, 2048), "2048_by_256": (2048, 256)}
WEIGHTS = 1 << 24  # Of AdamW: what it reads and writes fits no cache.
TIMEOUT = 600


def run_program(context, folder, names, threads):
    """{benchmark: its JSON} of the program of this folder of bench/, for the names that match."""
    target = f"bench_{folder}_bench"
    program = os.path.join(os.path.dirname(context.programs), "bench", folder, target)
    if not os.path.exists(program):
        raise RuntimeError(f"{target} is not built: make build TARGET={target}")
    environment = {**os.environ, "FT_BENCH_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run([program, f"--benchmark_filter={names}", "--benchmark_format=json", "--benchmark_min_time=0.5"],
                          capture_output=True, text=True, timeout=TIMEOUT, check=True, env=environment)
    return {found["name"].removesuffix("/real_time"): found for found in json.loads(done.stdout)["benchmarks"]}


def run_ops(context, names):
    return run_program(context, "ops", names, context.threads)


def nf4(context):
    """Of the large weight the result fits no cache, as in training a large model; the small one stays in it."""
    shapes = {suffix: f"{rows}x{columns}" for suffix, (rows, columns) in SIZES.items()}
    mine, theirs = [], []
    for _ in context.pairs("nf4"):
        mine.append(run_ops(context, "Nf4"))
        theirs.append(peer.run("nf4.py", *shapes.values(), threads=context.threads))
    copy = context.limits["copy_gbytes"]
    for suffix, (rows, columns) in SIZES.items():
        # Bytes of memory moved for one byte counted: packed codes of 0.516 byte beside 2 written or 4 read.
        for what, limit in (("dequantise", copy * 2 / 2.516), ("quantise", copy * 4 / 4.516)):
            name = f"Nf4{what.capitalize()}/{rows}/{columns}"
            yield Row(f"nf4.{what}{suffix}", "GB/s", median([run[name]["bytes_per_second"] / 1e9 for run in mine]),
                      median([run[shapes[suffix]][what] for run in theirs]), "bnb", None if suffix else limit)


def attention(context):
    """Tokens a second. Of the row of segments the peer gets its best case: they are the rows of a batch."""
    runs = [run_ops(context, "Attention|Sdpa") for _ in context.pairs("attention")]
    for what, (tokens, length) in ROWS.items():
        def rate(kind):
            return median([tokens / (run[f"{kind}/{tokens}/{length}"]["real_time"] * 1e-9) for run in runs])
        # Two products forward and five backward over half of the square, 9 heads of 64.
        limit = context.limits["gemm_gflops"] * 1e9 / (7 * length * 9 * 64)
        yield Row(f"attention.{what}", "tok/s", rate("Attention"), rate("Sdpa"), "SDPA", limit)


def adamw(context):
    """At one thread and at all. The limit is what a loop over the same arrays reaches that only reads and writes them, in the same runs."""
    threads = {"1": 1, "all": context.threads}
    mine, theirs = ({kind: [] for kind in threads} for _ in range(2))
    why = peer.missing_deepspeed()
    for _ in context.pairs("adamw"):
        for kind, count in threads.items():
            mine[kind].append(run_program(context, "optim", ".", count))
            if why is None:
                theirs[kind].append(peer.run("cpu_adam.py", "--weights", str(WEIGHTS), threads=count))
    for kind in threads:
        yield from adamw_rows(kind, mine[kind], theirs[kind], why)


def adamw_rows(kind, mine, theirs, why=None):
    """`why` there is no peer, where there is none."""
    def of(name, field):
        return median([run[f"{name}/{WEIGHTS}"][field] for run in mine])

    yield Row(f"adamw.weight_{kind}", "ns", of("AdamW", "real_time") / WEIGHTS, median([run["nanoseconds"] for run in theirs]),
              "DeepSpeed", of("ReadWrite", "real_time") / WEIGHTS, why=why)
    yield Row(f"adamw.memory_{kind}", "GB/s", of("AdamW", "bytes_per_second") / 1e9,
              limit=of("ReadWrite", "bytes_per_second") / 1e9)
