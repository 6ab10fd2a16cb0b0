"""Writes the adapter that LoRA of both sides begins with, as PEFT draws it, in bf16: first_adapter.py MODEL RANK TO."""

import os
import shutil
import sys

import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM

import qlora_step


def main():
    model, rank, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    part = target + ".part"
    shutil.rmtree(part, ignore_errors=True)
    torch.manual_seed(0)
    made = get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16), qlora_step.lora(rank),
                          autocast_adapter_dtype=False)
    made.save_pretrained(part)
    os.rename(part, target)


if __name__ == "__main__":
    main()
