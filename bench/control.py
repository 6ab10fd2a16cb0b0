"""Rows of the coordinator (bench/control). There is no peer to run beside it: the floors are the design's own."""

import json
import os
import subprocess

from report import Row, median

UNITS = {"load": "s", "submits": "1/s", "pass_ms": "ms", "progress_batches": "1/s", "progress_cores": "cores", "progress_mb": "MB/s",
         "watch_p99_ms": "ms"}
TIMEOUT = 600


def control(context):
    program = os.path.join(os.path.dirname(context.programs), "bench", "control", "control_bench")
    if not os.path.exists(program):
        raise RuntimeError("control_bench is not built: make build TARGET=control_bench")
    runs = []
    for _ in context.pairs("control"):
        done = subprocess.run([program, os.path.join(context.programs, "finetuned")], capture_output=True, text=True,
                              timeout=TIMEOUT, check=True)
        runs.append({line["name"]: line["value"] for line in map(json.loads, done.stdout.splitlines())})
    for name in runs[0]:
        unit = UNITS.get(name) or UNITS[name.split("_")[0]]
        yield Row(f"control.{name}", unit, median([run[name] for run in runs]))
