"""Writes a model folder anew with its weights in bf16, as models are published: store_bf16.py FROM TO."""

import os
import shutil
import sys

import torch
from transformers import AutoModelForCausalLM


def main():
    source, target = sys.argv[1:3]
    part = target + ".part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(source, part, ignore=shutil.ignore_patterns("*.safetensors*"))
    AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(part)
    os.rename(part, target)


if __name__ == "__main__":
    main()
