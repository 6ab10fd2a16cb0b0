"""How far the reference implementation itself is from its float32 numbers in bf16 (docs/decisions/0025): prints, for each case,
the largest difference of a logit and the root mean square of all differences as fractions of the largest expected one, with
everything in bf16 and with nothing but the weights rounded to bf16. The root mean squares in bf16 are the limits of
tests/golden/bf16_products.cc.

  .deps/checks/bin/python tests/golden/reference_bf16.py GOLDEN_FOLDER CASE...
"""

import argparse
import json
import os
import warnings

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def difference(model, rows, expected):
    """(largest, root mean square) over real tokens, relative to the largest expected logit."""
    mask = torch.tensor(rows["attention_mask"])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor(rows["input_ids"]), attention_mask=mask).logits.float()
    differences = (logits - expected)[mask.bool()] / expected.abs().max()
    return differences.abs().max().item(), differences.square().mean().sqrt().item()


def round_weights(model, compute):
    """Parameters only: rotary frequencies are buffers, and stay float32."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).to(compute)


def measure(folder, compute):
    """{name in expected.safetensors: (largest, root mean square)}, weights rounded to bf16 and multiplied in `compute`."""
    with open(os.path.join(folder, "input.json"), encoding="utf-8") as file:
        inputs = json.load(file)
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    round_weights(model, compute)
    found = {name: difference(model, inputs[key], expected[name])
             for key, name in (("main", "logits"), ("long", "long.logits")) if key in inputs}
    adapted = PeftModel.from_pretrained(model, os.path.join(folder, "adapter"), autocast_adapter_dtype=False).eval()
    round_weights(adapted, compute)
    found["lora.logits"] = difference(adapted, inputs["main"], expected["lora.logits"])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("cases", nargs="+")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    for case in args.cases:
        for what, compute in (("bf16", torch.bfloat16), ("weights only", torch.float32)):
            found = measure(os.path.join(args.folder, case), compute)
            print(f"{case:<24}{what:<14}" + "  ".join(f"{name} {most:.1e} rms {rms:.2e}" for name, (most, rms) in found.items()))


if __name__ == "__main__":
    main()
