"""Writes a Llama model with random weights in bf16 as a folder in Hugging Face layout, one file a layer: random_model.py FOLDER
CONFIG_JSON --threads N. Weights are drawn where that is fast, on a GPU if there is one, and never all held at once. Prints {"weights"}.
"""

import argparse
import json
import os
import shutil

import torch
from safetensors.torch import save_file


def layer(config, index):
    """(name, shape) of a layer's weights."""
    hidden, wide = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    shapes = {"self_attn.q_proj": (hidden, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
              "self_attn.o_proj": (hidden, hidden), "mlp.gate_proj": (wide, hidden), "mlp.up_proj": (wide, hidden),
              "mlp.down_proj": (hidden, wide), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
    return [(f"model.layers.{index}.{name}.weight", shape) for name, shape in shapes.items()]


def files(config):
    """Lists of (name, shape), one a file."""
    table = (config["vocab_size"], config["hidden_size"])
    yield [("model.embed_tokens.weight", table), ("model.norm.weight", (config["hidden_size"],)), ("lm_head.weight", table)]
    for index in range(config["num_hidden_layers"]):
        yield layer(config, index)


def draw(shape, device):
    """Norms are ones, as in a model that was just made."""
    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    return (0.02 * torch.randn(shape, device=device)).to(torch.bfloat16).cpu()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("config", type=json.loads)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    part = args.folder + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    where, size, count = {}, 0, 0
    for number, weights in enumerate(files(args.config)):
        name = f"model-{number:05}.safetensors"
        tensors = {weight: draw(shape, device) for weight, shape in weights}
        save_file(tensors, os.path.join(part, name), metadata={"format": "pt"})
        where.update(dict.fromkeys(tensors, name))
        size += sum(tensor.nbytes for tensor in tensors.values())
        count += sum(tensor.numel() for tensor in tensors.values())
    for name, content in (("model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": where}),
                          ("config.json", {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
                                           "rope_theta": 10000.0, "tie_word_embeddings": False, "attention_bias": False,
                                           "bos_token_id": 1, "eos_token_id": 2, "dtype": "bfloat16", "torch_dtype": "bfloat16",
                                           **args.config})):
        with open(os.path.join(part, name), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
    os.rename(part, args.folder)
    print(json.dumps({"weights": count}))


if __name__ == "__main__":
    main()
