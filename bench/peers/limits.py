"""What this machine can do at most, measured with the same LibTorch: prints {"gemm_gflops", "copy_gbytes", "bf16": whether
LibTorch has fast products in bf16 here}.

The GEMM rate is the best of shapes as a training step has them (512 rows against wide weights), in bf16 or in float32, which
multiplies bf16 factors exactly and is the faster one on processors without bf16 products; in float32 alone where not even oneDNN has
any (AVX2), since LibTorch's own loop takes a minute for one. The copy rate counts bytes read and bytes written of a buffer that no cache
holds.
"""

import argparse
import itertools
import json
import time

import torch

SHAPES = ((512, 1536, 576), (512, 4096, 4096), (512, 11008, 4096), (2048, 2048, 2048))
COPY_BYTES = 256 << 20


def best(call, seconds):
    """Seconds of the fastest call."""
    call()
    least, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=0.5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rates = []
    bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    dtypes = [torch.float32, torch.bfloat16] if bf16 else [torch.float32]
    for dtype, (rows, wide, deep) in itertools.product(dtypes, SHAPES):
        left, right = torch.randn(rows, deep).to(dtype), torch.randn(deep, wide).to(dtype)
        out = torch.empty(rows, wide, dtype=dtype)
        rates.append(2e-9 * rows * wide * deep / best(lambda: torch.matmul(left, right, out=out), args.seconds))
    source, target = (torch.ones(COPY_BYTES, dtype=torch.uint8) for _ in range(2))
    copy = 2e-9 * COPY_BYTES / best(lambda: target.copy_(source), args.seconds)
    print(json.dumps({"gemm_gflops": max(rates), "copy_gbytes": copy, "bf16": bf16}))


if __name__ == "__main__":
    main()
