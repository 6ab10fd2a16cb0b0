"""Writes a Llama model with random weights in bf16 as a folder in Hugging Face layout: make_model.py FOLDER CONFIG_JSON."""

import json
import os
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM


def main():
    folder, config = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    model = LlamaForCausalLM(LlamaConfig(**config, tie_word_embeddings=False))
    model.save_pretrained(folder + ".part")
    os.rename(folder + ".part", folder)


if __name__ == "__main__":
    main()
