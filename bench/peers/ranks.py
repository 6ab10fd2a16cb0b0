"""What the peers that train on several processes share (zero_step.py, fsdp_step.py): their arguments, the process group over Gloo, the
rows of each rank, and what is printed. bench/dist.py starts a process a rank, with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
"""

import argparse
import datetime
import json
import os
import time

import torch
import torch.distributed as dist

MAX_NORM = 1.0
PATIENCE = datetime.timedelta(seconds=180)  # So a rank whose neighbour died ends too.


def parse(description, *more):
    """`more` are further options: (name, keyword arguments)."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", required=True, help="jsonl of {input_ids, labels}")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True, help="learning rate")
    parser.add_argument("--fp32", action="store_true", help="instead of bf16")
    for name, options in more:
        parser.add_argument(name, **options)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    args.dtype = torch.float32 if args.fp32 else torch.bfloat16
    return args


def join():
    dist.init_process_group("gloo", timeout=PATIENCE)


def train(args, step):
    """`step(batch)` trains on a row and returns its loss. A step takes as many rows as there are ranks, in their order; its loss is the
    mean of theirs. Prints {"seconds": [of each step], "losses": [...]}."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    with open(args.tokens, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    seconds, losses = [], []
    for number in range(args.steps):
        row = rows[(number * ranks + rank) % len(rows)]
        batch = {name: torch.tensor([values]) for name, values in row.items()}
        start = time.time()
        losses.append(step(batch))
        seconds.append(time.time() - start)
    means = torch.tensor(losses)
    dist.all_reduce(means)
    print(json.dumps({"seconds": seconds, "losses": (means / ranks).tolist()}), flush=True)
    dist.barrier()
    # Without taking anything apart: now and then a thread of DeepSpeed's stage 3 outlives what owns it, and ends the process with SIGABRT.
    os._exit(0)
