"""The 25 base models of the recipes at two small layers: for each the config.json of its family (recipes/models has what the real
one says about size and arithmetic), random weights under the names, in the shapes, types and files in which the real one is stored,
and a vocabulary of its kind (small_tokenizers.py).

    made = Models(texts).make("chatglm2_6b")      # -> {"config.json": bytes, "pytorch_model-00001-of-00002.bin": bytes, ...}

Needs the Python of .deps/checks: torch and safetensors.
"""

import io
import json
import os
from typing import NamedTuple

import safetensors.torch
import small_tokenizers
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAYERS = 2
HEAD = 16
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
NEVER_RUN = b"raise SystemExit('this is never run')\n"
ZEPHYR_TEMPLATE = ("{% for message in messages %}\n{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
                   "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")


class Stored(NamedTuple):
    """How the real repository keeps its weights and vocabulary."""
    sizes: str          # File of recipes/models with its sizes.
    vocabulary: str     # A method of Models.
    kind: str           # "bin" or "safetensors"
    files: int          # So many files of weights here: 1 where the real one has 1.
    angles: bool = False  # Whether the angles of rotary positions lie among the weights.


STORED = {
    "internlm_7b": Stored("internlm_7b", "internlm", "bin", 2, angles=True),
    "internlm_chat_7b": Stored("internlm_7b", "internlm", "bin", 2, angles=True),
    "internlm_20b": Stored("internlm_20b", "internlm", "bin", 2),
    "internlm_chat_20b": Stored("internlm_20b", "internlm", "bin", 2),
    "llama_7b": Stored("llama_7b", "llama", "safetensors", 2, angles=True),
    "llama2_7b": Stored("llama2_7b", "llama", "safetensors", 2, angles=True),
    "llama2_7b_chat": Stored("llama2_7b", "llama", "safetensors", 2, angles=True),
    "llama2_70b": Stored("llama2_70b", "llama", "safetensors", 2, angles=True),
    "baichuan_7b": Stored("baichuan_7b", "baichuan", "bin", 1, angles=True),
    "baichuan_13b_base": Stored("baichuan_13b_base", "baichuan", "bin", 2),
    "baichuan_13b_chat": Stored("baichuan_13b_base", "baichuan", "bin", 2),
    "baichuan2_7b_base": Stored("baichuan2_7b_base", "baichuan2", "bin", 1),
    "baichuan2_7b_chat": Stored("baichuan2_7b_base", "baichuan2", "bin", 1),
    "baichuan2_13b_base": Stored("baichuan2_13b_base", "baichuan2", "bin", 2),
    "baichuan2_13b_chat": Stored("baichuan2_13b_base", "baichuan2", "bin", 2),
    "chatglm2_6b": Stored("chatglm2_6b", "chatglm2", "bin", 2, angles=True),
    "chatglm3_6b_base": Stored("chatglm2_6b", "chatglm3", "bin", 2, angles=True),
    "chatglm3_6b": Stored("chatglm3_6b", "chatglm3", "safetensors", 2, angles=True),
    "qwen_7b": Stored("qwen_7b", "qwen", "safetensors", 2),
    "qwen_7b_chat": Stored("qwen_7b", "qwen", "safetensors", 2),
    "mistral_7b": Stored("mistral_7b", "mistral", "safetensors", 2),
    "zephyr_7b_beta": Stored("mistral_7b", "zephyr", "safetensors", 2),
    "starcoder": Stored("starcoder", "starcoder", "safetensors", 2),
    "yi_6b": Stored("yi_6b", "yi", "safetensors", 2),
    "yi_34b": Stored("yi_34b", "yi", "safetensors", 2),
}
# Of each family: its classes, the code that lies beside it, and what its config.json says besides sizes.
FAMILIES = {
    "internlm": {"architectures": ["InternLMForCausalLM"], "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
                 "auto_map": {"AutoConfig": "configuration_internlm.InternLMConfig",
                              "AutoModelForCausalLM": "modeling_internlm.InternLMForCausalLM"}},
    "llama": {"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pretraining_tp": 1,
              "rope_scaling": None},
    "baichuan": {"architectures": ["BaichuanForCausalLM"], "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
                 "auto_map": {"AutoConfig": "configuration_baichuan.BaichuanConfig",
                              "AutoModelForCausalLM": "modeling_baichuan.BaichuanForCausalLM"}},
    "chatglm": {"architectures": ["ChatGLMModel"], "apply_query_key_layer_scaling": True, "attention_softmax_in_fp32": True,
                "apply_residual_connection_post_layernorm": False, "post_layer_norm": True, "eos_token_id": 2, "pad_token_id": 0,
                "auto_map": {"AutoConfig": "configuration_chatglm.ChatGLMConfig",
                             "AutoModelForCausalLM": "modeling_chatglm.ChatGLMForConditionalGeneration"}},
    "qwen": {"architectures": ["QWenLMHeadModel"], "tokenizer_class": "QWenTokenizer", "scale_attn_weights": True, "use_flash_attn": "auto",
             "auto_map": {"AutoConfig": "configuration_qwen.QWenConfig", "AutoModelForCausalLM": "modeling_qwen.QWenLMHeadModel"}},
    "mistral": {"architectures": ["MistralForCausalLM"], "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2},
    "gpt_bigcode": {"architectures": ["GPTBigCodeForCausalLM"], "bos_token_id": 0, "eos_token_id": 0, "scale_attn_weights": True},
}


def read_sizes(name):
    with open(os.path.join(ROOT, "recipes", "models", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


def shrunk(config, vocabulary):
    """The config with two layers, narrow heads in groups as large as the real ones, and `vocabulary` rows."""
    config = dict(config)
    heads = config.get("num_attention_heads") or config["n_head"]
    keys = config.get("num_key_value_heads") or heads
    group = heads // keys
    # Five heads stand for forty of the 13B's and 20B's: no power of two, which matters to ALiBi.
    heads = 2 * group if group in (2, 4) else group if group > 1 else 5 if heads == 40 else 4
    small = {"num_hidden_layers": LAYERS, "num_layers": LAYERS, "n_layer": LAYERS, "hidden_size": heads * HEAD, "n_embd": heads * HEAD,
             "num_attention_heads": heads, "n_head": heads, "num_key_value_heads": heads // group, "kv_channels": HEAD,
             "intermediate_size": 144 * (2 if config["model_type"] == "qwen" else 1), "ffn_hidden_size": 144, "n_inner": 4 * heads * HEAD,
             "vocab_size": vocabulary, "padded_vocab_size": vocabulary, "n_positions": 2048}
    config.update({key: value for key, value in small.items() if key in config})
    return config


def linear(name, rows, columns, bias=False):
    return {name + ".weight": (rows, columns), **({name + ".bias": (rows,)} if bias else {})}


def llama_block(c, at):
    width, heads, bias = c["hidden_size"], c["num_attention_heads"], c.get("bias", False)
    keys = c.get("num_key_value_heads", heads) * HEAD
    if c["model_type"] == "baichuan":
        shapes = linear(at + "self_attn.W_pack", 3 * width, width)
    else:
        shapes = {**linear(at + "self_attn.q_proj", width, width, bias), **linear(at + "self_attn.k_proj", keys, width, bias),
                  **linear(at + "self_attn.v_proj", keys, width, bias)}
    shapes.update(linear(at + "self_attn.o_proj", width, width, bias))
    for name in ("gate_proj", "up_proj"):
        shapes.update(linear(at + "mlp." + name, c["intermediate_size"], width))
    shapes.update(linear(at + "mlp.down_proj", width, c["intermediate_size"]))
    return {**shapes, at + "input_layernorm.weight": (width,), at + "post_attention_layernorm.weight": (width,)}


def chatglm_block(c, at):
    width, rows = c["hidden_size"], (c["num_attention_heads"] + 2 * c["multi_query_group_num"]) * HEAD
    return {**linear(at + "self_attention.query_key_value", rows, width, c["add_qkv_bias"]), **linear(at + "self_attention.dense", width, width),
            **linear(at + "mlp.dense_h_to_4h", 2 * c["ffn_hidden_size"], width), **linear(at + "mlp.dense_4h_to_h", width, c["ffn_hidden_size"]),
            at + "input_layernorm.weight": (width,), at + "post_attention_layernorm.weight": (width,)}


def qwen_block(c, at):
    width, half = c["hidden_size"], c["intermediate_size"] // 2
    return {**linear(at + "attn.c_attn", 3 * width, width, True), **linear(at + "attn.c_proj", width, width),
            **linear(at + "mlp.w1", half, width), **linear(at + "mlp.w2", half, width), **linear(at + "mlp.c_proj", width, half),
            at + "ln_1.weight": (width,), at + "ln_2.weight": (width,)}


def bigcode_block(c, at):
    width = c["n_embd"]
    return {**linear(at + "attn.c_attn", width + 2 * HEAD, width, True), **linear(at + "attn.c_proj", width, width, True),
            **linear(at + "mlp.c_fc", c["n_inner"], width, True), **linear(at + "mlp.c_proj", width, c["n_inner"], True),
            **{at + norm + part: (width,) for norm in ("ln_1", "ln_2") for part in (".weight", ".bias")}}


def shapes_of(c, angles):
    """Every stored tensor with its shape, in the order of the blocks."""
    kind, width = c["model_type"], c.get("hidden_size") or c["n_embd"]
    rows = c.get("vocab_size") or c["padded_vocab_size"]
    block, blocks, embedding, norm, head, inverse = {
        "chatglm": (chatglm_block, "transformer.encoder.layers.", "transformer.embedding.word_embeddings", "transformer.encoder.final_layernorm",
                    "transformer.output_layer", "transformer.rotary_pos_emb.inv_freq"),
        "qwen": (qwen_block, "transformer.h.", "transformer.wte", "transformer.ln_f", "lm_head", ""),
        "gpt_bigcode": (bigcode_block, "transformer.h.", "transformer.wte", "transformer.ln_f", "lm_head", ""),
    }.get(kind, (llama_block, "model.layers.", "model.embed_tokens", "model.norm", "lm_head", ".self_attn.rotary_emb.inv_freq"))
    shapes = {embedding + ".weight": (rows, width)}
    if kind == "gpt_bigcode":
        shapes.update({"transformer.wpe.weight": (c["n_positions"], width), norm + ".bias": (width,)})
    if angles and not inverse.startswith("."):
        shapes[inverse] = (HEAD // 4,)
    for layer in range(LAYERS):
        shapes.update(block(c, f"{blocks}{layer}."))
        if angles and inverse.startswith("."):
            shapes[f"{blocks}{layer}{inverse}"] = (HEAD // 2,)
    return {**shapes, norm + ".weight": (width,), head + ".weight": (rows, width)}


def tensors_of(config, angles, seed):
    random = torch.Generator().manual_seed(seed)
    dtype = DTYPES[config.get("torch_dtype") or "bfloat16"]
    tensors = {}
    for name, shape in shapes_of(config, angles).items():
        if name.endswith("inv_freq"):
            tensors[name] = 10000.0 ** -(torch.arange(shape[0], dtype=torch.float32) / shape[0])
        elif len(shape) == 1 and name.endswith(".weight"):
            tensors[name] = torch.ones(shape, dtype=dtype)
        else:
            tensors[name] = (0.05 * torch.randn(shape, generator=random)).to(dtype)
    if config.get("tie_word_embeddings"):
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    return tensors


def weights(tensors, kind, files):
    """The files of these tensors, with the index where there are several."""
    stem, ending = ("model", "safetensors") if kind == "safetensors" else ("pytorch_model", "bin")

    def content(part):
        if kind == "safetensors":
            return safetensors.torch.save(part, {"format": "pt"})
        out = io.BytesIO()
        torch.save(part, out)
        return out.getvalue()

    if files == 1:
        return {f"{stem}.{ending}": content(tensors)}
    names = list(tensors)
    per_file = -(-len(names) // files)
    made, places = {}, {}
    for number in range(files):
        path = f"{stem}-{number + 1:05}-of-{files:05}.{ending}"
        part = {name: tensors[name] for name in names[number * per_file:(number + 1) * per_file]}
        made[path] = content(part)
        places.update(dict.fromkeys(part, path))
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    made[f"{stem}.{ending}.index.json"] = json.dumps({"metadata": {"total_size": size}, "weight_map": places}, indent=2).encode()
    return made


def token(content):
    """As Baichuan's files write it."""
    return {"__type": "AddedToken", "content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": True}


class Models:
    """Makes models with vocabularies from these texts; each kind of vocabulary once."""

    def __init__(self, texts):
        self.texts = texts
        self.vocabularies = {}

    def make(self, name):
        """The files of a base model by its name in recipes/models."""
        stored = STORED[name]
        if stored.vocabulary not in self.vocabularies:
            self.vocabularies[stored.vocabulary] = getattr(self, stored.vocabulary)()
        files, ids = self.vocabularies[stored.vocabulary]
        real = read_sizes(stored.sizes)
        config = {**shrunk(real, -(-ids // 64) * 64), **FAMILIES[real["model_type"]]}
        if stored.vocabulary == "baichuan2":
            config["tokenizer_class"] = "BaichuanTokenizer"
        made = {"README.md": b"# about", "config.json": json.dumps(config, indent=2).encode(), **files}
        if "auto_map" in config:
            made.update({path.partition(".")[0] + ".py": NEVER_RUN for path in config["auto_map"].values()})
        tensors = tensors_of(config, stored.angles, seed=sorted(STORED).index(name))
        return {**made, **weights(tensors, stored.kind, stored.files)}

    # Vocabularies: their files, and how many ids they need.

    def _sentencepiece(self, config, **options):
        model = small_tokenizers.sentencepiece_model(self.texts, **options)
        return {"tokenizer.model": model, "tokenizer_config.json": json.dumps(config).encode()}, len(small_tokenizers.pieces_of(model))

    def _with_json(self, config, bos="<s>", eos="</s>", **files):
        made, ids = self._sentencepiece(config, bos=bos, eos=eos)
        made["tokenizer.json"] = small_tokenizers.llama_json(made["tokenizer.model"], bos, eos)
        return {**made, **files}, ids

    def llama(self):
        config = {"add_bos_token": True, "add_eos_token": False, "bos_token": token("<s>"), "eos_token": token("</s>"), "pad_token": None,
                  "unk_token": token("<unk>"), "clean_up_tokenization_spaces": False, "legacy": False, "tokenizer_class": "LlamaTokenizer"}
        return self._with_json(config, **{"special_tokens_map.json": json.dumps({"bos_token": "<s>", "eos_token": "</s>"}).encode()})

    def mistral(self):
        return self._with_json({"add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>", "pad_token": None,
                                "unk_token": "<unk>", "legacy": True, "tokenizer_class": "LlamaTokenizer"})

    def zephyr(self):
        config = {"additional_special_tokens": ["<unk>", "<s>", "</s>"], "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>",
                  "unk_token": "<unk>", "legacy": True, "tokenizer_class": "LlamaTokenizer", "chat_template": ZEPHYR_TEMPLATE}
        return self._with_json(config, **{"added_tokens.json": json.dumps({"</s>": 2, "<s>": 1, "<unk>": 0}).encode()})

    def yi(self):
        bos, eos = "<|startoftext|>", "<|endoftext|>"
        return self._with_json({"add_bos_token": False, "add_eos_token": False, "bos_token": bos, "eos_token": eos, "pad_token": "<unk>",
                                "unk_token": "<unk>", "tokenizer_class": "LlamaTokenizer"}, bos, eos)

    def internlm(self):
        config = {"auto_map": {"AutoTokenizer": ["tokenization_internlm.InternLMTokenizer", None]}, "bos_token": "<s>", "eos_token": "</s>",
                  "pad_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "InternLMTokenizer"}
        return self._sentencepiece(config, dummy_prefix=False, user_defined=("<eoh>", "<eoa>", "<TOKENS_UNUSED_2>"))

    def baichuan(self):
        config = {"add_bos_token": False, "add_eos_token": False, "bos_token": token("<s>"), "eos_token": token("</s>"),
                  "pad_token": token("<unk>"), "unk_token": token("<unk>"), "tokenizer_class": "BaichuanTokenizer",
                  "auto_map": {"AutoTokenizer": ["tokenization_baichuan.BaichuanTokenizer", None]}}
        return self._sentencepiece(config, dummy_prefix=False, digits=False, user_defined=("<reserved_102>", "<reserved_103>"))

    def baichuan2(self):
        files, _ = self.baichuan()
        config = json.loads(files["tokenizer_config.json"])
        return self._sentencepiece(config, dummy_prefix=False, user_defined=("<reserved_106>", "<reserved_107>"))

    def _chatglm(self, name):
        config = {"name_or_path": name, "remove_space": False, "do_lower_case": False, "tokenizer_class": "ChatGLMTokenizer",
                  "auto_map": {"AutoTokenizer": ["tokenization_chatglm.ChatGLMTokenizer", None]}}
        files, ids = self._sentencepiece(config, digits=False)
        return files, ids + 9  # Their own tokens stand behind the pieces.

    def chatglm2(self):
        return self._chatglm("THUDM/chatglm2-6b")

    def chatglm3(self):
        return self._chatglm("THUDM/chatglm3-6b")

    def qwen(self):
        ranks, count = small_tokenizers.tiktoken_ranks(self.texts)
        config = {"model_max_length": 8192, "tokenizer_class": "QWenTokenizer",
                  "auto_map": {"AutoTokenizer": ["tokenization_qwen.QWenTokenizer", None]}}
        # Three tokens of the chat markup and 205 others stand behind the ranks.
        return {"qwen.tiktoken": ranks, "tokenizer_config.json": json.dumps(config).encode()}, count + 208

    def starcoder(self):
        special = ("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<commit_before>")
        content = small_tokenizers.byte_level_json(self.texts, special)
        config = {"add_prefix_space": False, "bos_token": special[0], "eos_token": special[0], "unk_token": special[0],
                  "additional_special_tokens": list(special), "tokenizer_class": "GPT2Tokenizer"}
        vocabulary = json.loads(content)["model"]
        merges = "".join(merge + "\n" if isinstance(merge, str) else " ".join(merge) + "\n" for merge in vocabulary["merges"])
        files = {"tokenizer.json": content, "tokenizer_config.json": json.dumps(config).encode(),
                 "vocab.json": json.dumps(vocabulary["vocab"]).encode(), "merges.txt": ("#version: 0.2\n" + merges).encode()}
        return files, len(vocabulary["vocab"])
