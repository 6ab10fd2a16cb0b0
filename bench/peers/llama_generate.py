"""llama.cpp on a GGUF file, through llama-cpp-python's functions of C: continues a prompt of random ids, each time by the most probable
id. Prints one JSON object:

  {"load_seconds", "first_token_seconds", "seconds": both since the prompt, "tokens"}
"""

import argparse
import ctypes
import json
import random
import time

import llama_cpp
import numpy


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("--prompt-tokens", type=int, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def open_context(args):
    """The model and a context of it. SystemExit where llama.cpp gives none; it has said why."""
    llama_cpp.llama_backend_init()
    model = llama_cpp.llama_model_load_from_file(args.model.encode(), llama_cpp.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp does not load {args.model}")
    options = llama_cpp.llama_context_default_params()
    options.n_ctx = args.prompt_tokens + args.new_tokens
    options.n_threads = options.n_threads_batch = args.threads
    context = llama_cpp.llama_init_from_model(model, options)
    if not context:
        raise SystemExit(f"llama.cpp makes no context of {args.model}")
    return model, context


def generate(context, vocabulary, args):
    """Seconds from the prompt to each token."""
    source, ends = random.Random(0), []
    ids = [source.randrange(3, vocabulary) for _ in range(args.prompt_tokens)]
    start = time.perf_counter()
    for _ in range(args.new_tokens):
        tokens = (llama_cpp.llama_token * len(ids))(*ids)  # The batch only points to it.
        if llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))) != 0:
            raise SystemExit("llama.cpp does not decode")
        logits = ctypes.cast(llama_cpp.llama_get_logits_ith(context, -1), ctypes.POINTER(ctypes.c_float))
        ids = [int(numpy.ctypeslib.as_array(logits, (vocabulary,)).argmax())]
        ends.append(time.perf_counter() - start)
    return ends


def main():
    args = parse()
    start = time.perf_counter()
    model, context = open_context(args)
    loaded = time.perf_counter() - start
    ends = generate(context, llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model)), args)
    print(json.dumps({"load_seconds": loaded, "first_token_seconds": ends[0], "seconds": ends[-1], "tokens": len(ends)}))


if __name__ == "__main__":
    main()
