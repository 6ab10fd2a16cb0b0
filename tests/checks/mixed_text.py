"""Mixed text to tokenise, made again from a seed: prose, code, Chinese, chats and noise, in pieces of many lengths."""

import json
import os
import random

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("FT_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
NOISE = [" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2581", "0123456789", "٣٤", "²", "don't", "I'LL", "é", "e\u0301", "ﬁ",
         "👩‍👩‍👧", "🇩🇪", "שלום", "مرحبا", "ไทย", "한국어", "日本語", "𠀀", "\u200b", "\ufeff", "</s>", "<s>", "<|im_end|>", "<|user|>", "<0x0A>",
         "=" * 37, "aaaaaaaaaaaaaaaaaaaaaaaa", "\x01", "\x7f", "\\n", "__init__", "x=1;", "，。！", "ABCdef"]


def _values(node):
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _values(value)
    elif isinstance(node, list):
        for value in node:
            yield from _values(value)


def _sources():
    """Whole texts: the data sets beside this checkout where they are, and this project's own files."""
    folder = os.path.join(SHARED, "data")
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith((".json", ".jsonl", ".txt")):
            with open(path, encoding="utf-8") as file:
                content = file.read()
            if name.endswith(".json"):
                yield "\n".join(_values(json.loads(content)))
            elif name.endswith(".jsonl"):
                yield "\n".join(value for line in content.splitlines() for value in _values(json.loads(line)))
            else:
                yield content
    for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "docs/errors.md", "tests/tidy/tidy.py",
                 "worker/data/tokenizer/regex.cc"):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            yield file.read()


def texts(size, seed):
    """Texts of `size` bytes together."""
    rng = random.Random(seed)
    sources, made = list(_sources()), []
    while size > 0:
        source = rng.choice(sources)
        length = rng.choice((20, 100, 500, 2000, 10000))
        begin = rng.randrange(max(1, len(source) - length))
        text = source[begin:begin + length]
        for _ in range(rng.choice((0, 0, 0, 1, 5))):
            place = rng.randrange(len(text) + 1)
            text = text[:place] + rng.choice(NOISE) * rng.choice((1, 1, 2, 7)) + text[place:]
        if rng.random() < 0.05:
            text = "".join(rng.choice(NOISE) for _ in range(40))
        made.append(text)
        size -= len(text.encode())
    return made
