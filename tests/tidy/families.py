"""Families of models stay in their files: a family_*.cc is short, and no other code of worker/ says a family's name."""

import re

import device_words

FOLDER = "worker/model/decoder/"
MAX_LINES = 150
# Where a family's word is no question for a family: GGUF's architecture is a key of its format, and worker/data has vocabularies and
# templates, which bear the names of the models that they came with.
FREE = ("worker/model/weights/gguf", "worker/data/")

_MODEL_TYPE = re.compile(r'\.model_type = "(\w+)"')


def is_family_file(path):
    return path.startswith(FOLDER + "family_") and path.endswith(".cc") and not path.endswith("_test.cc")


def names(texts):
    """The model types that the family files give, and with them the files' own names: {path: text} -> {"llama", "qwen2", ...}."""
    found = set()
    for path, text in texts.items():
        found.update(_MODEL_TYPE.findall(text))
        found.add(path[len(FOLDER + "family_"):-len(".cc")])
    return found


def _said_by(identifier, families):
    """The first family that an identifier or a literal of one word names: `IsQwen2`, `qwen2`, `gpt_bigcode`."""
    if identifier.lower() in families:
        return True
    return bool(device_words.words_of(identifier) & families)


def refusals(path, text, families):
    """(line, identifier) of each name of a family, once a line."""
    if not path.startswith("worker/") or path.startswith(FREE) or path.startswith(FOLDER + "famil") or device_words.is_free(path):
        return
    seen = set()
    for line, identifier in device_words.said(text):
        if _said_by(identifier, families) and (line, identifier) not in seen:
            seen.add((line, identifier))
            yield line, identifier
