"""Compiles the parts of DeepSpeed that it would compile at their first use on a CPU, one after the other, so that no run waits for a
compiler. cmake/setup.sh calls it with DS_ACCELERATOR and TORCH_EXTENSIONS_DIR as bench/peer.py sets them for its runs.
"""

from deepspeed.accelerator import get_accelerator

OPS = ("CPUAdamBuilder", "FusedAdamBuilder", "ShareMemCommBuilder")


def main():
    for op in OPS:
        get_accelerator().create_op_builder(op).load(verbose=False)


if __name__ == "__main__":
    main()
