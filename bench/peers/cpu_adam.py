"""DeepSpeed's CPU Adam as AdamW over one tensor of float32 weights, with float32 gradients and moments: 28 bytes a weight, 16 read and 12
written. Prints {"nanoseconds": the mean of its steps, by weight}.
"""

import argparse
import json
import time

import torch
from deepspeed.ops.adam import DeepSpeedCPUAdam


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--weights", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    values = torch.nn.Parameter(torch.randn(args.weights))
    values.grad = torch.full((args.weights,), 1e-3)
    optimizer = DeepSpeedCPUAdam([values], lr=1e-4, weight_decay=0.01)
    optimizer.step()  # Makes the moments.
    steps, start = 0, time.perf_counter()
    while steps < 3 or time.perf_counter() < start + args.seconds:
        optimizer.step()
        steps += 1
    print(json.dumps({"nanoseconds": 1e9 * (time.perf_counter() - start) / steps / args.weights}))


if __name__ == "__main__":
    main()
