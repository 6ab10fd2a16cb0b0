"""Writes a Llama folder in Hugging Face layout as a GGUF file whose matrices are Q4_0, as llama.cpp's own quantiser makes it:
gguf_model.py FOLDER FILE --threads N. There is no vocabulary in it: prompts are ids. Prints {"bytes"} of the file.
"""

import argparse
import glob
import json
import os

import gguf
import llama_cpp
import numpy
import torch
from safetensors import safe_open

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm"}
WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def name_of(name):
    """What GGUF calls a weight."""
    if name in WHOLE:
        return WHOLE[name]
    index, _, rest = name.removeprefix("model.layers.").partition(".")
    return f"blk.{index}.{NAMES[rest.removesuffix('.weight')]}.weight"


def interleaved(weight, heads):
    """Rows of queries and keys in llama.cpp's order, where a rotated pair stands side by side."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_header(writer, config):
    heads = config["num_attention_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(config.get("rope_theta") or config.get("rope_parameters", {}).get("rope_theta", 10000.0))
    writer.add_tokenizer_model("no_vocab")


def write(folder, path):
    """The file with matrices in half precision."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    writer = gguf.GGUFWriter(path, "llama")
    write_header(writer, config)
    rows = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    for file in sorted(glob.glob(os.path.join(folder, "*.safetensors"))):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():
                values = tensors.get_tensor(name).to(torch.float32).numpy()
                part = name.split(".")[-2]
                values = interleaved(values, rows[part]) if part in rows else values
                writer.add_tensor(name_of(name), values if values.ndim == 1 else values.astype(numpy.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("file")
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    half, part = args.file + ".f16", args.file + ".part"
    write(args.folder, half)
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.nthread = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, args.threads
    if llama_cpp.llama_model_quantize(half.encode(), part.encode(), options) != 0:
        raise SystemExit(f"llama.cpp does not quantise {half}")
    os.remove(half)
    os.rename(part, args.file)
    print(json.dumps({"bytes": os.path.getsize(args.file)}))


if __name__ == "__main__":
    main()
