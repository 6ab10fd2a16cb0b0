"""DeepSpeed on this machine's CPU, as its documents and XTuner's settings of the same names have it: bf16 with float32 masters, AdamW, the
gradient's norm cut to 1. Full fine-tuning, or PEFT's LoRA over bitsandbytes' NF4 with --qlora and --adapter. One process of several: ranks.py.
"""

import deepspeed
from transformers import AutoModelForCausalLM
from transformers.integrations import HfDeepSpeedConfig

import qlora_step
import ranks

OFFLOAD = {"device": "cpu", "pin_memory": False}  # There is no device whose copies pinned memory would speed up.


def config_of(args):
    zero = {"stage": args.stage, "overlap_comm": True}
    if args.offload:
        zero.update(offload_optimizer=OFFLOAD, offload_param=OFFLOAD)
    return {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1, "gradient_clipping": ranks.MAX_NORM,
            "bf16": {"enabled": not args.fp32}, "zero_optimization": zero,
            "optimizer": {"type": "AdamW", "params": {"lr": args.lr, "weight_decay": 0.0}}}


def load(args, config):
    if args.qlora:
        return qlora_step.load(args, compute=args.dtype, adapter=args.adapter)
    # While it lives, transformers gives a rank its slices as they are read (stage 3).
    partitioned = HfDeepSpeedConfig(config)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=args.dtype)
    model.config.use_cache = False
    del partitioned
    return model.train()


def main():
    args = ranks.parse(__doc__.splitlines()[0], ("--stage", {"type": int, "required": True}), ("--offload", {"action": "store_true"}),
                       ("--qlora", {"action": "store_true"}), ("--adapter", {"help": "folder of the one that --qlora begins with"}))
    if args.qlora != (args.adapter is not None):
        raise SystemExit("zero_step.py: --qlora and --adapter go together")
    args.lean, args.checkpointing = False, False
    ranks.join()
    deepspeed.init_distributed("gloo", timeout=ranks.PATIENCE)
    config = config_of(args)
    model = load(args, config)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    engine, *_ = deepspeed.initialize(model=model, model_parameters=trained, config=config)

    def step(batch):
        loss = engine(**batch).loss
        engine.backward(loss)
        engine.step()
        return loss.item()

    ranks.train(args, step)


if __name__ == "__main__":
    main()
