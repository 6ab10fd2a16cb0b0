"""Writes a model with random weights in bf16 as a folder in Hugging Face layout, one file a layer: random_model.py FOLDER CONFIG_JSON
--threads N. It is a Llama unless CONFIG_JSON's model_type is mixtral or qwen3_moe. Weights are drawn where that is fast, on a GPU if
there is one, and never all held at once. Prints {"weights"}.
"""

import argparse
import json
import os
import shutil

import torch
from safetensors.torch import save_file


# Where a family with experts has its router and its experts, how its products are called, and the keys of their count and width.
EXPERTS = {"mixtral": ("block_sparse_moe", ("w1", "w3", "w2"), "num_local_experts", "intermediate_size"),
           "qwen3_moe": ("mlp", ("gate_proj", "up_proj", "down_proj"), "num_experts", "moe_intermediate_size")}


def gated(prefix, hidden, wide, names=("gate_proj", "up_proj", "down_proj")):
    """Shapes of an MLP with a gate, by name."""
    gate, up, down = names
    return {f"{prefix}.{gate}": (wide, hidden), f"{prefix}.{up}": (wide, hidden), f"{prefix}.{down}": (hidden, wide)}


def attention(config):
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    size = config.get("head_dim", hidden // heads)
    keys = size * config["num_key_value_heads"]
    shapes = {"self_attn.q_proj": (size * heads, hidden), "self_attn.k_proj": (keys, hidden), "self_attn.v_proj": (keys, hidden),
              "self_attn.o_proj": (hidden, size * heads)}
    if config.get("model_type") == "qwen3_moe":
        shapes.update({"self_attn.q_norm": (size,), "self_attn.k_norm": (size,)})
    return shapes


def layer(config, index):
    """(name, shape) of a layer's weights."""
    hidden = config["hidden_size"]
    shapes = {**attention(config), "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,)}
    if config.get("model_type") in EXPERTS:
        part, names, count, wide = EXPERTS[config["model_type"]]
        shapes[f"{part}.gate"] = (config[count], hidden)
        for expert in range(config[count]):
            shapes.update(gated(f"{part}.experts.{expert}", hidden, config[wide], names))
    else:
        shapes.update(gated("mlp", hidden, config["intermediate_size"]))
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
