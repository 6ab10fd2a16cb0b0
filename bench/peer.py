"""Runs a script of bench/peers in the peers' virtual environment, in a process of its own."""

import concurrent.futures
import json
import os
import socket
import subprocess
import tempfile
import time

import memory

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.path.dirname(HERE), ".deps", "bench", "bin", "python")
# What cmake/setup.sh leaves where it has built llama-cpp-python, which not every machine can.
LLAMA_INSTALLED = os.path.join(os.path.dirname(HERE), ".deps", "bench", ".installed-llama")
# What DeepSpeed compiles lies here (cmake/setup.sh --deepspeed).
EXTENSIONS = os.path.join(os.path.dirname(HERE), ".deps", "bench", "torch-extensions")
DEEPSPEED_INSTALLED = os.path.join(os.path.dirname(HERE), ".deps", "bench", ".installed-deepspeed")
TIMEOUT = 1800


def run(script, *arguments, threads, python=PYTHON, timeout=TIMEOUT, more=None):
    """The JSON object that the script prints last, with "start" and "end" of its process and its memory's peaks. RuntimeError with
    what it said when it fails, subprocess.TimeoutExpired after so many seconds. `more` is added to its environment."""
    command = [python, os.path.join(HERE, "peers", script), *arguments, "--threads", str(threads)]
    start = time.time()
    output, peaks = watched(command, script, timeout, {**variables(threads), **(more or {})})
    return {"start": start, **json.loads(output.splitlines()[-1]), **peaks}


def missing_deepspeed():
    """Why DeepSpeed cannot be run, or None."""
    return None if os.path.exists(DEEPSPEED_INSTALLED) else "DeepSpeed is not installed: cmake/setup.sh --deepspeed builds it"


def run_ranks(script, *arguments, ranks, threads, timeout=TIMEOUT):
    """`run` on so many processes at once, which meet by torch.distributed's variables: a list by rank. Fails as the first that fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def of(rank):
        more = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        return run(script, *arguments, threads=threads, timeout=timeout, more=more)

    with concurrent.futures.ThreadPoolExecutor(ranks) as pool:
        runs = [pool.submit(of, rank) for rank in range(ranks)]
        for ended in concurrent.futures.as_completed(runs):
            ended.result()  # Whoever ended first knows why; the others know that it is gone.
        return [one.result() for one in runs]


def attempt(call):
    """What a peer's run gives, and None; or None, and why there is nothing in one line."""
    try:
        return call(), None
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return None, str(error).strip().splitlines()[-1]


def variables(threads):
    """The environment of a peer's process."""
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
            "DS_ACCELERATOR": "cpu", "TORCH_EXTENSIONS_DIR": EXTENSIONS}


def watched(command, name, timeout, environment=None):
    """What a process printed, and its peaks. Fails as `run` does, with its name for people."""
    with tempfile.TemporaryFile("w+") as errors, \
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True, env=environment) as process:
        watch = memory.Watch(lambda: [process.pid])
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
            peaks = watch.stop()
        if process.returncode != 0:
            errors.seek(0)
            raise RuntimeError(f"{name} ended with {process.returncode}: {errors.read()[-2000:]}")
    return output, peaks
