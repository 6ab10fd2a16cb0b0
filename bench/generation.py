"""Rows of `ftctl chat --bits 4`: loading and quantising a model, and tokens a second, beside transformers with bitsandbytes and beside
llama.cpp on Q4_0.
"""

import json
import os
import time

import models
import peer
from report import Row, median
from training import GIB

PROMPT = "Say in plain words what a model that was tuned is good for."
PROMPT_TOKENS = 24
NEW_TOKENS = {"demo": 128, "slice": 48}
SLICE = {**models.SLICE, "num_hidden_layers": 4}
NF4_BYTES = 0.5 + 1 / 64 + 4 / 64 / 256  # Of a weight: its code, a byte of scale for 64, a float for 256 of those.
TIMEOUT = 900


def chat(context, model, new_tokens):
    """{"load_seconds": from the start of the process to the question, "first_token_seconds", "seconds": since the question, "tokens"},
    and the peaks of the process."""
    command = [os.path.join(context.programs, "ftctl"), "chat", model.path, "--bits", "4", "--dtype", "bf16", "--template", "none",
               "--device", "cpu", "--threads", str(context.threads), "--max-new-tokens", str(new_tokens), "--prompt", PROMPT, "--json"]
    start = time.time()
    # ftctl becomes ft-rank, so it is one process all along.
    output, peaks = peer.watched(command, "ftctl chat", TIMEOUT)
    return answered(json.loads(output), time.time() - start, peaks)


def answered(found, whole_seconds, peaks):
    """Of what chat printed and how long its process ran."""
    return {"load_seconds": whole_seconds - found["seconds"], "first_token_seconds": found["first_token_seconds"],
            "seconds": found["seconds"], "tokens": len(found["tokens"]), **peaks}


def rate(run):
    """Tokens a second behind the first, which waits for the prompt. RuntimeError of an answer that has no second."""
    if run["tokens"] < 2:
        raise RuntimeError(f"only {run['tokens']} tokens were generated: there is no rate")
    return (run["tokens"] - 1) / (run["seconds"] - run["first_token_seconds"])


def quantised_bytes(model):
    """Of the model as it is held: linear layers in NF4, all else in 16 bits."""
    linears = sum(rows * columns for rows, columns in model.linears())
    hidden, layers = model.config["hidden_size"], model.config["num_hidden_layers"]
    tables = model.vocabulary * hidden * (1 if model.config.get("tie_word_embeddings") else 2)
    return NF4_BYTES * linears + 2 * (tables + (2 * layers + 1) * hidden)


def load(context):
    """The peer's time leaves out its imports; ours is all from the start of the process."""
    model, mine, theirs = context.chat_slice, [], []
    chat(context, model, 1)  # Has the model's files in memory.
    for _ in context.pairs("load"):
        mine.append(chat(context, model, 1))
        theirs.append(peer.run("bnb_generate.py", model.path, "--prompt-tokens", str(PROMPT_TOKENS), "--new-tokens", "1",
                               threads=context.threads))
    yield Row("load.seconds", "s", median([run["load_seconds"] for run in mine]),
              median([run["load_seconds"] for run in theirs]), "bnb")
    for what in ("memory", "anonymous"):
        yield Row(f"load.{what}", "GiB", median([run[what] / GIB for run in mine]), median([run[what] / GIB for run in theirs]), "bnb",
                  quantised_bytes(model) / GIB)


def gguf_of(context, model):
    """The model as llama.cpp reads it, made once."""
    path = model.path + ".Q4_0.gguf"
    if not os.path.exists(path):
        peer.run("gguf_model.py", model.path, path, threads=context.threads)
    return path


def llama(context, model, arguments):
    """A run of llama.cpp, or why there is none."""
    if not os.path.exists(peer.LLAMA_INSTALLED):
        return None, "llama-cpp-python is not installed: cmake/setup.sh --llama builds it"
    return peer.attempt(lambda: peer.run("llama_generate.py", gguf_of(context, model), *arguments, threads=context.threads))


def rows(name, mine, bnb, of_llama, why):
    """REQUIRES: a run of ours and of bitsandbytes a pair; of llama.cpp those there are, and why others are not."""
    rates = median([rate(run) for run in mine])
    yield Row(f"chat.{name}", "tok/s", rates, median([rate(run) for run in bnb]), "bnb")
    yield Row(f"chat.{name}_llama", "tok/s", rates, median([rate(run) for run in of_llama]), "llamacpp", why=why)
    yield Row(f"chat.{name}_prompt", "s", median([run["first_token_seconds"] for run in mine]),
              median([run["first_token_seconds"] for run in bnb]), "bnb")


def chat_of(context, name, model):
    arguments = ["--prompt-tokens", str(PROMPT_TOKENS), "--new-tokens", str(NEW_TOKENS[name])]
    mine, bnb, of_llama, why = [], [], [], None
    for _ in context.pairs(f"chat, {name}"):
        mine.append(chat(context, model, NEW_TOKENS[name]))
        bnb.append(peer.run("bnb_generate.py", model.path, *arguments, threads=context.threads))
        run, missing = llama(context, model, arguments)
        of_llama += [run] if run else []
        why = missing or why
    yield from rows(name, mine, bnb, of_llama, why)


def tokens_a_second(context):
    yield from chat_of(context, "demo", context.demo)
    yield from chat_of(context, "slice", context.chat_slice)
