"""Writes a small good file of each binary and text format that tests/fuzz reads: seeds.py FOLDER."""

import base64
import hashlib
import io
import json
import os
import struct
import sys
import zipfile
import zlib


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


def tiktoken():
    tokens = [bytes([byte]) for byte in range(256)] + [b"he", b"ll"]
    return b"".join(base64.b64encode(token) + f" {rank}\n".encode() for rank, token in enumerate(tokens))


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


def cache():
    content = b"FTTOKEN1" + struct.pack("<4Q", 1, 3, 2, 0) + struct.pack("<2Q", 0, 3) + struct.pack("<3i", 1, 5, 6) + b"\0\1\1"
    return content + hashlib.sha256(content).digest()


SEEDS = {
    "safetensors": [safetensors()], "torch": [torch()], "pickle": [pickle()], "gguf": [gguf()], "tokenizer": [tokenizer()],
    "tiktoken": [tiktoken()], "xlsx": [xlsx()], "spool": [spool()], "cache": [cache()],
    "json": [b'[{"a": "x", "b": [1, {"c": null}]}, {"a": "\\u00e9\\n", "b": -1.5e3}]', b'{"a": 1}\n{"a": true}\n'],
    "csv": [b'q,a\n"x, ""y""\nz",1\n', "\ufeffq;a\nä;ö\n".encode()],
    "txt": ["one\n\ntwo 你好\n".encode(), "甲乙\n".encode("gb18030"), "a\nb\n".encode("utf-16")],
    "job": [b"model: ./m\ndata: [{source: d.jsonl, format: tokens}]\nmethod: {kind: lora, rank: 8}\ntrain: {epochs: 2}\n"],
}


def main():
    for name, files in SEEDS.items():
        folder = os.path.join(sys.argv[1], name)
        os.makedirs(folder, exist_ok=True)
        for number, content in enumerate(files):
            with open(os.path.join(folder, f"good{number}"), "wb") as file:
                file.write(content)


if __name__ == "__main__":
    main()
