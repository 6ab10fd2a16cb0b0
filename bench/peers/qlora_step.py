"""PEFT with bitsandbytes as their documents show it: a 4-bit base (NF4, double quantisation, bf16 products), prepared by
`prepare_model_for_kbit_training`, LoRA on all linear layers but the head, AdamW, the gradient's norm cut to 1. Trains on the
token rows given and prints one JSON object:

  {"import_done", "ready", "first_step": seconds since the epoch; "seconds": [of each step]; "losses": [...]}

`--lean` is what somebody who measures would change: no preparation (it turns norms, embedding and head into fp32) and
autocast, so that adapters and head multiply in bf16.
"""

import argparse
import json
import time

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

IMPORT_DONE = time.time()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", required=True, help="jsonl of {input_ids, labels}")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--lean", action="store_true")
    return parser.parse_args()


def lora(rank, dropout=0.0):
    return LoraConfig(r=rank, lora_alpha=16, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM")


def load(args, dropout=0.0, compute=torch.bfloat16, adapter=None, **where):
    """`compute` is what products are computed in; `adapter` the folder of the one to begin with, else PEFT draws it; `where` goes to
    from_pretrained: where its weights are to lie."""
    quantised = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                   bnb_4bit_compute_dtype=compute)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=compute, quantization_config=quantised, **where)
    model.config.use_cache = False
    if not args.lean:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if args.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.enable_input_require_grads()
    if adapter is not None:
        return PeftModel.from_pretrained(model, adapter, is_trainable=True).train()
    return get_peft_model(model, lora(args.rank, dropout)).train()


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    with open(args.tokens, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    model = load(args)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0)
    ready, seconds, losses, first = time.time(), [], [], None
    for step in range(args.steps):
        batch = {name: torch.tensor([values]) for name, values in rows[step % len(rows)].items()}
        start = time.time()
        first = first or start
        with torch.autocast("cpu", torch.bfloat16, enabled=args.lean):
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.time() - start)
    print(json.dumps({"import_done": IMPORT_DONE, "ready": ready, "first_step": first, "seconds": seconds,
                      "losses": losses, "trained": sum(weight.numel() for weight in trained)}))


if __name__ == "__main__":
    main()
