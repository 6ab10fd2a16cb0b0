"""FSDP2 (fully_shard) on this machine's CPU, as its tutorial has it: float32 weights in slices, computed with in bf16, each layer gathered
by itself, AdamW, the gradient's norm cut to 1. --keep leaves a layer gathered between forward and backward, which is what DeepSpeed's
stage 2 does; without it, its stage 3. One process of several: ranks.py.
"""

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import AutoModelForCausalLM

import ranks


def load(args):
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    model.config.use_cache = False
    options = {"mesh": init_device_mesh("cpu", (torch.distributed.get_world_size(),)), "reshard_after_forward": not args.keep,
               "mp_policy": MixedPrecisionPolicy(param_dtype=args.dtype, reduce_dtype=torch.float32)}
    for layer in model.model.layers:
        fully_shard(layer, **options)
    fully_shard(model, **options)
    return model.train()


def main():
    args = ranks.parse(__doc__.splitlines()[0], ("--keep", {"action": "store_true"}))
    ranks.join()
    model = load(args)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)

    def step(batch):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), ranks.MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    ranks.train(args, step)


if __name__ == "__main__":
    main()
