"""Writes a small good file of each binary and text format that tests/fuzz reads: seeds.py FOLDER."""

import argparse
import base64
import hashlib
import io
import json
import math
import os
import struct
import sys
import zipfile
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "recipes"))
import parquet_file  # noqa: E402


def safetensors():
    header = json.dumps({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
                         "b": {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}}).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes(range(22))


def text32(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def pickle():
    """{"w": a 2x2 tensor over storage "0"}, as torch.save writes it."""
    storage = b"(" + text32("storage") + b"ctorch\nFloatStorage\n" + text32("0") + text32("cpu") + b"K\x04tQ"
    tensor = (b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x02K\x02\x86K\x02K\x01\x86\x89"
              + b"ccollections\nOrderedDict\n)RtR")
    return b"\x80\x02}" + text32("w") + tensor + b"s."


def mxfp4():
    """One layer of gpt-oss's experts as ReadMxfp4 has it: two experts, 32 inputs, 64 rows of gate and up and 32 of down."""
    header, data = {}, b""
    for name, rows in (("gate_up_proj", 64), ("down_proj", 32)):
        for half, shape in (("blocks", [2, rows, 1, 16]), ("scales", [2, rows, 1])):
            content = bytes((7 * i + 120) % 256 for i in range(math.prod(shape)))
            header[f"model.layers.0.mlp.experts.{name}_{half}"] = {"dtype": "U8", "shape": shape,
                                                                   "data_offsets": [len(data), len(data) + len(content)]}
            data += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def torch():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle())
        archive.writestr("archive/data/0", struct.pack("<4f", 1, 2, 3, 4))
    return target.getvalue()


def gguf():
    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    def entry(key, kind, value):
        return text(key) + struct.pack("<I", kind) + value

    counts = {"context_length": 64, "embedding_length": 4, "block_count": 1, "feed_forward_length": 8,
              "attention.head_count": 2, "attention.head_count_kv": 1, "vocab_size": 8}
    metadata = [entry("general.architecture", 8, text("llama")),
                entry("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5))]
    metadata += [entry(f"llama.{key}", 4, struct.pack("<I", value)) for key, value in counts.items()]
    tensors = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 4, 8, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(metadata)) + b"".join(metadata) + tensors
    return head + bytes(-len(head) % 32) + bytes(4 * 8 * 4)


def gguf_with_vocabulary():
    """A header that carries a tokenizer: every byte, one merge and an end-of-text token."""
    def text(value):
        data = value.encode()
        return struct.pack("<Q", len(data)) + data

    def texts(key, values):
        return text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(text, values))

    letters = byte_letters()
    tokens = [letters[byte] for byte in range(256)] + ["he", "<|im_end|>"]
    metadata = [text("general.architecture") + struct.pack("<I", 8) + text("llama"),
                text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("gpt2"),
                texts("tokenizer.ggml.tokens", tokens), texts("tokenizer.ggml.merges", ["h e"]),
                text("tokenizer.ggml.token_type") + struct.pack("<IIQ", 9, 5, 258) + struct.pack("<258i", *[1] * 257, 3),
                text("tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, 257)]
    tensors = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 1, 258, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(metadata)) + b"".join(metadata) + tensors
    return head + bytes(-len(head) % 32) + bytes(258 * 4)


def byte_letters():
    """The printable character of every byte, as byte-level vocabularies write it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def tokenizer():
    letters = byte_letters()
    vocabulary = {letters[byte]: byte for byte in range(256)} | {"he": 256, "ll": 257}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    added = {"id": 258, "content": "<|im_end|>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
    return json.dumps({"version": "1.0", "added_tokens": [added], "normalizer": None, "pre_tokenizer": byte_level,
                       "post_processor": None, "decoder": byte_level,
                       "model": {"type": "BPE", "unk_token": None, "vocab": vocabulary, "merges": ["h e", "l l"]}}).encode()


def llama_tokenizer():
    """Characters with byte fallback, the mark in front and for spaces by normalizers, as Llama 2's tokenizer.json."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "\u2581", "a", "b", "\u2581a", "ab"]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    return {"added_tokens": [{"id": 1, "content": "<s>", "special": True, "normalized": True, "lstrip": True}],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, replace]},
            "decoder": {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "post_processor": {"type": "TemplateProcessing", "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True,
                      "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": ["\u2581 a", ["a", "b"]]}}


def unigram_tokenizer():
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": True}
    nfkc = {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]}
    pieces = [["<unk>", 0], ["\u2581", -2.5], ["a", -3.5], ["b", -3.25], ["ab", -4.5], ["\u2581ab", -5], ["\u4f60", -6]]
    return {"added_tokens": [], "normalizer": nfkc, "pre_tokenizer": metaspace, "decoder": metaspace, "post_processor": None,
            "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": False, "vocab": pieces}}


def varint(value):
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def nested(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def sentencepiece(kind, charsmap=b"", bytes_too=False):
    """A SentencePiece model: 1 = unigram, 2 = BPE. Field numbers as in sentencepiece_model.proto."""
    pieces = [("<unk>", 0, 2), ("<s>", 0, 3), ("</s>", 0, 3)]
    pieces += [(f"<0x{byte:02X}>", 0, 6) for byte in range(256 if bytes_too else 0)]
    pieces += [("\u2581", -1, 1), ("H", -2, 1), ("e", -2.5, 1), ("l", -3, 1), ("He", -1.5, 1), ("ll", -1.25, 1), ("<x>", 0, 4),
               ("\u2581He", -0.5, 1), ("\u4f60", -4, 1)]
    content = b"".join(nested(1, nested(1, text.encode()) + b"\x15" + struct.pack("<f", score) + number(3, type_))
                       for text, score, type_ in pieces)
    content += nested(2, number(3, kind) + number(35, int(bytes_too)) + number(41, 1) + number(42, 2))
    return content + nested(3, nested(2, charsmap) + number(3, 1) + number(4, int(not bytes_too)) + number(5, 1))


def charsmap():
    """A map that writes "He" instead of "A": a double array whose root has the offset 1."""
    units = [0] * 128
    units[0], units[1 ^ 65], units[1 ^ 65 ^ 1] = 1 << 10, 1 << 10 | 1 << 8 | 65, 1 << 31
    return struct.pack("<I128I", 4 * 128, *units) + b"He\0"


def tiktoken():
    tokens = [bytes([byte]) for byte in range(256)] + [b"he", b"ll"]
    return b"".join(base64.b64encode(token) + f" {rank}\n".encode() for rank, token in enumerate(tokens))


def parquet_messages():
    """A list of records in each of two rows, as conversations are kept: [{role, content}]."""
    struct_of, out, chunks = parquet_file.Struct, bytearray(b"PAR1"), []
    for name, values in (("role", ["user", "assistant", "user"]), ("content", ["hi", "yes", "why"])):
        repetitions, definitions = parquet_file.runs([0, 1, 0]), parquet_file.runs([4, 4, 4])
        levels = b"".join(struct.pack("<I", len(level)) + level for level in (repetitions, definitions))
        head = struct_of().i32(1, 3).i32(2, parquet_file.PLAIN).i32(3, parquet_file.RLE).i32(4, parquet_file.RLE)
        begin = len(out)
        out += parquet_file.page(parquet_file.DATA_PAGE, 5, head, levels + parquet_file.plain(values))[0]
        about = struct_of().i32(1, parquet_file.BYTE_ARRAY).i32(4, parquet_file.SNAPPY).i64(5, 3).i64(7, len(out) - begin).i64(9, begin)
        chunks.append(struct_of().i64(2, begin).struct(3, about).end())
    text = [struct_of().i32(1, parquet_file.BYTE_ARRAY).i32(3, parquet_file.OPTIONAL).text(4, name).i32(6, parquet_file.UTF8)
            for name in ("role", "content")]
    elements = [struct_of().text(4, "schema").i32(5, 1), struct_of().i32(3, 1).text(4, "messages").i32(5, 1).i32(6, 3),
                struct_of().i32(3, 2).text(4, "list").i32(5, 1), struct_of().i32(3, 1).text(4, "element").i32(5, 2), *text]
    group = struct_of().list(1, 12, chunks).i64(2, len(out)).i64(3, 2)
    footer = struct_of().i32(1, 2).list(2, 12, [element.end() for element in elements]).i64(3, 2).list(4, 12, [group.end()]).end()
    return bytes(out) + footer + struct.pack("<I", len(footer)) + b"PAR1"


def xlsx():
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
                       'Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
                       'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
                           'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet '
                           'name="Data" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
                                      '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/'
                                      'relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
                                    '<row r="1"><c r="A1" t="inlineStr"><is><t>Q</t></is></c><c r="B1" t="inlineStr"><is><t>A'
                                    '</t></is></c></row><row r="2"><c r="A2"><v>1.5</v></c><c r="B2" t="b"><v>1</v></c></row>'
                                    '</sheetData></worksheet>'}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def spool():
    """Two frames of records: a sequence number (field 1) and an empty step or note (fields 3 and 8)."""
    return b"".join(struct.pack("<II", len(payload), zlib.crc32(payload)) + payload for payload in (b"\x08\x01\x1a\0", b"\x08\x02\x42\0"))


def field(number, value):
    """A field of a protobuf message: a small number, or bytes."""
    if isinstance(value, int):
        return bytes((number << 3, value))
    return bytes((number << 3 | 2, len(value))) + value


def journal():
    """Records of two ranks, the second rank's in two pieces."""
    pieces = ((0, 0, spool()), (1, 0, spool()[:12]), (1, 12, spool()[12:]))
    entries = [field(1, b"j1") + field(2, 3) + field(3, rank) + field(4, offset) + field(5, data) for rank, offset, data in pieces]
    return b"".join(struct.pack("<II", len(entry), zlib.crc32(entry)) + entry for entry in entries)


def transfer():
    """Three bytes of "hello", with the SHA-256 begun: its first chaining value, the number of bytes, the bytes."""
    begun = struct.pack("<8IQ", 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19, 3) + b"hel"
    return json.dumps({"sha256": hashlib.sha256(b"hello").hexdigest(), "size": 5, "received": 3, "digest": begun.hex()}).encode()


def cache():
    content = b"FTTOKEN1" + struct.pack("<4Q", 1, 3, 2, 0) + struct.pack("<2Q", 0, 3) + struct.pack("<3i", 1, 5, 6) + b"\0\1\1"
    return content + hashlib.sha256(content).digest()


def sheet():
    """What ReadSheetParts takes apart: sheet, workbook, shared strings, styles."""
    rows = ('<worksheet><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
            '<row r="2"><c r="A2" t="inlineStr"><is><t>x_x000D_y</t></is></c><c r="B2" s="1"><v>45235.5</v></c></row>'
            '<row r="3"><c r="A3" t="str"><f>A2</f><v>z</v></c><c r="B3" t="e"><v>#N/A</v></c></row></sheetData></worksheet>')
    book = ('<workbook xmlns:r="r"><workbookPr date1904="1"/><sheets><sheet name="Data" sheetId="1" r:id="r1"/></sheets>'
            '</workbook>')
    strings = '<sst><si><t>Q</t></si><si><r><t>A</t></r><r><t> b</t></r></si></sst>'
    styles = ('<styleSheet><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd"/></numFmts><cellXfs>'
              '<xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>')
    return "\f".join((rows, book, strings, styles)).encode()


TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
            "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}").encode()

JINJA = [TEMPLATE,
         b"{%- set ns = namespace(first=true) -%}{% for m in messages if m.role != 'system' %}{% set ns.first = false %}"
         b"{{ loop.index0 ~ ':' ~ m.content | trim | upper }}{% if not loop.last %}, {% endif %}{% else %}none{% endfor %}"
         b"{{ messages[0]['content'][1:-1] if messages is defined and tools is none else bos_token }}",
         b"{% macro x(a, b=2) %}{{ a ~ b }}{{ caller() if caller }}{% endmacro %}{{ x(1) }}{% call(y) x('q') %}c{{ y }}{% endcall %}"
         b"{% for t in [1, [2.5, 3]] recursive %}{{ loop(t) if t is iterable else t / 2 }}{% endfor %}{{ messages | "
         b"selectattr('role', 'eq', 'user') | list | tojson }}{{ {'b': 1, 'a': -0.1} | dictsort }}{{ strftime_now('%d %b') }}"
         b"{% set t | upper %}a{% endset %}{{ t.split('A', 1) | join('-') }}{{ 'it is' | title | replace('I', 'i') | indent }}",
         b"{% generation %}{{ messages | length // 2 % 3 }}{% endgeneration %}"
         b"{{ messages | map(attribute='role') | join('-') }}{{ [1, 2, 3] | tojson(indent=2) }}{{ 'a,b'.split(',') | last }}"]

LLAMA = {"model_type": "llama", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "intermediate_size": 32, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 8192}}

SIZES = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 32}
FAMILIES = [
    {"model_type": "mistral", **SIZES, "num_key_value_heads": 2, "sliding_window": 7},
    {"model_type": "qwen", **SIZES, "seq_length": 64, "kv_channels": 4, "rotary_pct": 1.0, "no_bias": True},
    {"model_type": "qwen2", **SIZES, "use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1},
    {"model_type": "qwen3", **SIZES, "head_dim": 8, "layer_types": ["full_attention", "sliding_attention"]},
    {"model_type": "internlm", **SIZES, "bias": True, "rotary": {"base": 10000, "type": "dynamic", "scaling_factor": 2.0}},
    {"model_type": "internlm2", **SIZES, "num_key_value_heads": 2, "bias": False},
    {"model_type": "baichuan", **SIZES, "model_max_length": 64, "tokenizer_class": "BaichuanTokenizer"},
    {"model_type": "chatglm", "padded_vocab_size": 32, "hidden_size": 16, "num_layers": 2, "num_attention_heads": 4, "kv_channels": 4,
     "ffn_hidden_size": 32, "multi_query_attention": True, "multi_query_group_num": 2, "add_qkv_bias": True, "rmsnorm": True},
    {"model_type": "gpt_bigcode", "vocab_size": 32, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_inner": 32, "n_positions": 64,
     "activation_function": "gelu_pytorch_tanh", "multi_query": True},
    {"model_type": "gemma", **SIZES, "head_dim": 8, "hidden_activation": "gelu_pytorch_tanh"},
    {"model_type": "gemma2", **SIZES, "head_dim": 8, "sliding_window": 7, "attn_logit_softcapping": 5.0, "query_pre_attn_scalar": 24},
    {"model_type": "phi3", **SIZES, "num_key_value_heads": 2, "sliding_window": 7, "partial_rotary_factor": 0.5},
    {"model_type": "mixtral", **SIZES, "num_key_value_heads": 2, "num_local_experts": 4, "output_router_logits": True},
    {"model_type": "qwen3_moe", **SIZES, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
     "mlp_only_layers": [0], "norm_topk_prob": True},
    {"model_type": "deepseek", **SIZES, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
     "moe_intermediate_size": 8, "first_k_dense_replace": 1},
    {"model_type": "deepseek_v2", **SIZES, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8,
     "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6, "topk_method": "group_limited_greedy",
     "n_group": 2, "topk_group": 1},
    {"model_type": "gpt_oss", **SIZES, "num_key_value_heads": 2, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 7,
     "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 32, "truncate": False}},
    {"model_type": "phi3", **SIZES, "original_max_position_embeddings": 16, "rope_scaling": {
        "type": "longrope", "short_factor": [1.0, 1.5], "long_factor": [2.0, 4.0]}},
    {"model_type": "gemma3_text", **SIZES, "head_dim": 8, "sliding_window": 7, "sliding_window_pattern": 2},
    {"model_type": "gemma3", "text_config": {"hidden_size": 16, "num_hidden_layers": 2, "rope_scaling": {
        "rope_type": "linear", "factor": 8.0}}},
    {"model_type": "gemma4_text", **SIZES, "head_dim": 8, "global_head_dim": 16, "attention_k_eq_v": True,
     "layer_types": ["sliding_attention", "full_attention"], "rope_parameters": {
         "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.25}, "sliding_attention": {"rope_theta": 1e4}}},
    {"model_type": "gemma4", "text_config": {**SIZES, "head_dim": 8}},
    {"model_type": "glm4", **SIZES, "head_dim": 8, "partial_rotary_factor": 0.5},
    {"model_type": "granite", **SIZES, "embedding_multiplier": 9.0, "attention_multiplier": 0.1, "logits_scaling": 1.5},
    {"model_type": "olmo2", **SIZES}, {"model_type": "olmo3", **SIZES, "rope_scaling": {
        "rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 32}},
    {"model_type": "smollm3", **SIZES, "no_rope_layers": [1, 0]}]

ADAPTER = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["q_proj", "v_proj"],
           "bias": "none", "task_type": "CAUSAL_LM", "base_model_name_or_path": "m"}

JOB = (b"name: \xe5\x8c\xbb\xe7\x96\x97\nmodel: {source: ./m, dtype: bf16}\ndata:\n  - source: d.xlsx\n    map: {system: S, input: Q, "
       b"output: A}\n    template: qwen_chat\nmethod: {kind: qlora, rank: 8, targets: [q_proj]}\ntrain:\n  epochs: 2\n"
       b"  optimizer: {kind: adamw, lr: 2.0e-4, betas: [0.9, 0.999]}\n  schedule: {kind: cosine, warmup: 0.03}\n"
       b"resources: {device_memory: 20GiB}\nlabels: {a: b}\n")

DIALOGUES = [b'{"instruction": "Add", "input": "1 2", "output": "3"}\n{"instruction": "Hi", "output": "Ho"}\n',
             b'{"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}\n',
             b'{"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, '
             b'{"role": "assistant", "content": "A"}]}\n',
             b'{"conversation": [{"system": "S", "input": "Q", "output": "A"}, {"input": "R", "output": "B"}]}\n',
             b'{"messages": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": [{"type": "text", "value": "Q"}]}, '
             b'{"role": "assistant", "content": "A", "train": false}, '
             b'{"from": "gpt", "value": "B"}], "system": "S"}\n',
             b'{"query": "Q", "response": "A", "history": [["P", "B"]], "system": null}\n',
             b'{"text": "plain text to learn"}\n', b'{"input_ids": [1, 2, 3], "labels": [-100, 2, 3]}\n']

LARGE = {"oid": "b" * 64, "size": 900, "pointerSize": 134}
HUB_TREE = [{"type": "directory", "path": "data", "oid": "c" * 40}, {"type": "file", "path": "config.json", "size": 7, "oid": "a" * 40},
            {"type": "file", "path": "data/test/x.jsonl", "size": 134, "oid": "a" * 40, "lfs": LARGE, "xetHash": "d" * 64}]
MODELSCOPE_FILES = {"Code": 200, "Success": True, "Message": "", "Data": {"Files": [
    {"Path": "data", "Type": "tree", "Size": 0}, {"Path": "data/train.csv", "Name": "train.csv", "Type": "blob", "Size": 3, "Sha256": "e" * 64}]}}
HUB_LISTINGS = [HUB_TREE, MODELSCOPE_FILES, {"sha": "a" * 40, "gated": False},
                {"format_version": 1, "files": {"m.safetensors": {"size": 134, "blob_id": "a" * 40, "lfs_sha256": "b" * 64, "lfs_size": 900},
                                                "config.json": {"size": 7, "blob_id": "a" * 40}}}]
HUB_HEADERS = [b"https://hub.example:8443/a/b?c=d\nhttps://storage.example/x?signature=y%2F", b"http://[::1]/a/b\n../c", b"https://h\n//i/j",
               b'https://h/"api";r=0;t=12\n/<https://h/api?cursor=x>; rel="next"']

DEEPSPEED = {"train_micro_batch_size_per_gpu": "auto", "gradient_clipping": 1.0,
             "zero_optimization": {"stage": 3, "overlap_comm": True, "offload_param": {"device": "nvme", "nvme_path": "/n"}},
             "fp16": {"enabled": "auto", "initial_scale_power": 16}, "bf16": {"enabled": "auto"},
             "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": [0.9, 0.999]}},
             "scheduler": {"type": "WarmupCosineLR", "params": {"warmup_num_steps": "auto"}}}
# A name that begins with "good" is a promise that the file is accepted.
GOOD = {
    "safetensors": [safetensors()], "mxfp4": [mxfp4(), safetensors()], "torch": [torch()], "pickle": [pickle()], "gguf": [gguf()], "tokenizer": [tokenizer(), *(json.dumps(made()).encode() for made in (llama_tokenizer, unigram_tokenizer))],
    "sentencepiece": [sentencepiece(2, bytes_too=True), sentencepiece(2), sentencepiece(1, charsmap())],
    "merges": [b"#version: 0.2\nh e\nl l\nhe ll\n"],
    "tiktoken": [tiktoken()], "xlsx": [xlsx()],
    "parquet": [parquet_file.write({"q": ["Why?", None, "Why?"], "n": [1, None, 3]}, rows_per_group=2), parquet_messages()],
    "spool": [spool(), spool() + bytes(4096), spool()[:-3] + bytes(60)],
    "journal": [journal(), journal() + bytes(4096), journal()[:-9]], "log_gaps": [b"", b"10 96\n", b"40 7\n150 9\n"], "transfer": [transfer()],
    "cache": [cache()], "sheet": [sheet()],
    "weight_index": [b'{"metadata": {"total_size": 8}, "weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}'],
    "model_config": [json.dumps(config).encode() for config in [LLAMA, *FAMILIES]], "adapter_config": [json.dumps(ADAPTER).encode()],
    "tokenizer_config": [json.dumps({"bos_token": "<|endoftext|>", "eos_token": {"content": "<|im_end|>"},
                                     "chat_template": TEMPLATE.decode()}).encode()],
    "chat_template": [TEMPLATE], "jinja": JINJA,
    "encode": ["hello world, <|im_end|> 你好 1234's\n\t ﬁ é\u0301".encode()],
    "json": [b'[{"a": "x", "b": [1, {"c": null}]}, {"a": "\\u00e9\\n", "b": -1.5e3}]', b'{"a": 1}\n{"a": true}\n'],
    "csv": [b'q,a\n"x, ""y""\r\nz",1\n', b'sep=;\r\nq; a\r\nx; "y" \r\n', "\ufeffq;a\nä;ö\n".encode()],
    "txt": ["one\n\ntwo 你好\n".encode(), "你好，世界\n".encode("gb18030"), "도서관은 언제 문을 여나요\n".encode("cp949"), "a\nb\n".encode("utf-16")],
    "number_format": [struct.pack("<d", 45235.6) + code.encode() for code in
                      ("General", "yyyy-mm-dd hh:mm:ss", '#,##0.00;[Red]-#,##0.00;"zero"', "0.00E+00", "[h]:mm", "0%", "# ??/??",
                       '[>=100]"high";[<5]"low";0', "(000) 000-0000", "##0.0E+0")],
    "python": [b"[{'a': \"it's\", 'b': None}, (1, -2.5), r'\\x' 'y\\n\\x41\\u4e2d', True]", b"{'k': [], 'j': {}}"],
    "agent": [b"""[{'from': 'system', 'value': '{"name":"f","description":"d","paths":[{"parameters":[{"name":"p","description":"q"}]}]}'}, """
              b"""{'from': 'user', 'value': 'q'}, {'from': 'assistant', 'value': 'so <|startofthink|>```JSON\\n{"api_name":"f","parameters":{"p":1}}```"""
              b"""<|endofthink|><|startofexec|>{"ok":true}<|endofexec|>yes'}]"""],
    "tokens": [DIALOGUES[-1]], "prepare": DIALOGUES,
    "prompts": [b'{"id": 1, "Question": "Why?"}\n{"id": 2, "Question": "\\u4e3a\\u4ec0\\u4e48"}\n', b'[{"text": "only"}, {"text": 7}]'],
    "mmlu": [json.dumps([{"input": "1 + 1 =\nA. 1\nB. 2\nAnswer:", "output": letter, "subject": subject} for letter, subject in
                         (("B", "anatomy"), ("D", "world_religions"))]).encode()],
    "job": [b"model: ./m\ndata: [{source: d.jsonl, format: tokens}]\nmethod: {kind: lora, rank: 8}\ntrain: {epochs: 2}\n", JOB],
    "overrides": [b"train.optimizer.lr=1e-4\n" + JOB],
    "recipe": [b"data[1].source=x.json\nrecipe: internlm_7b_qlora_alpaca_enzh_e3\ntrain: {epochs: 1}\n",
               b"\nrecipe: qwen_7b_qlora_moss_sft_all_e2_gpu8\nbot_name: B\nparallel: {ranks: 2}\ntemplate: default\n"],
    "deepspeed": [json.dumps(DEEPSPEED).encode(), b'{"train_batch_size": "auto", "fp16": {"enabled": false}, "steps_per_print": 10}',
                  b'{"bfloat16": {"enabled": true}, "compile": {"deepcompile": false}, "weight_quantization": {"enabled": false}}'],
    "resolved_job": [b'{"model": {"source": "m"}, "data": [{"source": "d"}], "train": {"optimizer": {"betas": [0.9, 0.99]}}}'],
    "config": [b"data: /var/lib/x\ncores: 2\nshared: true\nlease: 15s\nroots: [/a, /b]\nlabels: {zone: a}\n"],
    "record": [b"\x08\x01\x1a\0", b"\x08\x02\x42\0", b"\x08\x03\x1a\x0b\x08\x05\x11\0\0\0\0\0\0\xf0\x3f"],
    "ledger": [json.dumps({"step": 3, "samples": "ab" * 32, "gradient": "cd" * 32, "weights": "ef" * 32,
                           "tensors": {"layers.0.q": ["01" * 8, "23" * 8]}}).encode()],
    "rank_state": [b'{"job_id": "j-1", "epoch": 3, "rank": 0, "kind": "TRAIN", "pid": 42, "boot_id": "b", "start_ticks": 7, '
                   b'"wait_status": 9, "strict": true, "end_reason": "lease"}'],
    "hub_listing": [json.dumps(listing).encode() for listing in HUB_LISTINGS], "hub_headers": HUB_HEADERS[:3],
    "hub_partial": [json.dumps({"digest": "a" * 64, "size": 2500, "range_bytes": 1000, "done": [1000, 7, 500]}).encode()],
    "terminal": ["医疗问答 \x1b[31mred e\u0301 👩‍👩‍👧 ok".encode()],
}
# Starting points only.
OTHER = {"hub_headers": HUB_HEADERS[3:], "sheet": [sheet().replace(b"</sheetData>", b'</sheetData><mergeCells><mergeCell ref="A2:B3"/></mergeCells>'),
                   sheet().replace(b'<row r="3">', b'<row r="3" hidden="1">').replace(b'name="Data"', b'name="Data" state="hidden"')],
         "overrides": [b"data[0].source=x.jsonl\n" + JOB], "gguf": [gguf_with_vocabulary()], "deepspeed": [b'{"zero_optimisation": {"stage": 5}, "a": 1, "a": 2}', b"[" * 70, b'{"fp16": {"enabled": true'],
         "jinja": [b"{% include 'x' %}"], "job": [b"model: *a\n", b"a: &x [1]\nb: *x\n"]}


def main():
    parser = argparse.ArgumentParser(description="Writes the seeds of all readers below a folder.")
    parser.add_argument("folder")
    target = parser.parse_args().folder
    for kind, seeds in (("good", GOOD), ("other", OTHER)):
        for name, files in seeds.items():
            folder = os.path.join(target, name)
            os.makedirs(folder, exist_ok=True)
            for number, content in enumerate(files):
                with open(os.path.join(folder, f"{kind}{number}"), "wb") as file:
                    file.write(content)


if __name__ == "__main__":
    main()
