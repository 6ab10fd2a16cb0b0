"""bitsandbytes' NF4 on the CPU with double quantisation, called as its linear layer calls it: gigabytes a second of bf16
written by dequantising and of fp32 read by quantising. Prints {"ROWSxCOLUMNS": {"dequantise", "quantise"}, ...}.
"""

import argparse
import json
import statistics
import time

import bitsandbytes.functional as bnb
import torch


def quantise(values):
    return bnb.quantize_4bit(values, quant_type="nf4", blocksize=64, compress_statistics=True)


def rate(call, size, seconds):
    """Median of single calls within so many seconds, as GB/s."""
    call()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return size / statistics.median(times) / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("sizes", nargs="+", metavar="ROWSxCOLUMNS")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    found = {}
    for size in args.sizes:
        values = torch.randn([int(side) for side in size.split("x")])
        packed, state = quantise(values)
        state.dtype = torch.bfloat16
        found[size] = {"quantise": rate(lambda: quantise(values), 4 * values.numel(), args.seconds),
                       "dequantise": rate(lambda: bnb.dequantize_4bit(packed, state), 2 * values.numel(), args.seconds)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
