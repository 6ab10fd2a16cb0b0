"""PEFT with bitsandbytes on a GPU, as somebody who measures would run it: qlora_step.py's model, lean, in autocast, with dropout,
LibTorch's choice of fused attention, AdamW in one kernel. Trains on the token rows given, as many a step as ours, and prints
one JSON object:

  {"device", "seconds": [of each step], "losses": [...], "device_memory": the allocator's peak in bytes, of the process on a CPU,
   "nf4_bytes_per_second": bytes read and written by bitsandbytes' dequantising of a weight of --nf4, null on a CPU}

`--device cpu` is for trying the script where there is no GPU.
"""

import argparse
import json
import resource
import time

import bitsandbytes.functional as bnb
import qlora_step
import torch

WARM_UP = 3
CALLS = 20


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", required=True, help="jsonl of {input_ids, labels}, all of one length")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--micro-batch", type=int, required=True)
    parser.add_argument("--accumulation", type=int, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--nf4", metavar="ROWSxCOLUMNS", default="11008x4096")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    args.lean = True
    return args


def micro_batches(args):
    """Batches of rows, again and again from the first, as ours takes them without shuffling."""
    with open(args.tokens, encoding="utf-8") as file:
        ids = torch.tensor([json.loads(line)["input_ids"] for line in file])
    start = 0
    while True:
        rows = [(start + i) % len(ids) for i in range(args.micro_batch)]
        start += args.micro_batch
        yield ids[rows].to(args.device, non_blocking=True)


def step(args, model, trained, optimizer, batches):
    """One optimizer step; its mean loss."""
    total = 0.0
    for _ in range(args.accumulation):
        batch = next(batches)
        with torch.autocast(args.device, torch.bfloat16):
            loss = model(input_ids=batch, labels=batch).loss / args.accumulation
        loss.backward()
        total = total + loss.detach()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return total.item()  # Waits for the device.


def nf4_rate(size):
    """Bytes a second, read and written, of calls one behind the other."""
    rows, columns = (int(side) for side in size.split("x"))
    packed, state = bnb.quantize_4bit(torch.randn(rows, columns, device="cuda", dtype=torch.bfloat16), quant_type="nf4", blocksize=64,
                                      compress_statistics=True)
    moved = rows * columns * (0.5 + 1 / 64 + 4 / 64 / 256 + 2)
    for calls in (WARM_UP, CALLS):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            bnb.dequantize_4bit(packed, state)
        torch.cuda.synchronize()
    return moved * CALLS / (time.perf_counter() - start)


def main():
    args = parse()
    on_gpu = args.device == "cuda"
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = qlora_step.load(args, args.dropout, **({"device_map": {"": 0}} if on_gpu else {}))
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
    batches, seconds, losses = micro_batches(args), [], []
    for _ in range(args.steps):
        start = time.perf_counter()
        losses.append(step(args, model, trained, optimizer, batches))
        seconds.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() if on_gpu else 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    del model, trained, optimizer
    print(json.dumps({"device": torch.cuda.get_device_name(0) if on_gpu else "cpu", "seconds": seconds, "losses": losses,
                      "device_memory": memory, "nf4_bytes_per_second": nf4_rate(args.nf4) if on_gpu else None}))


if __name__ == "__main__":
    main()
