"""transformers with bitsandbytes: loads a model folder in 4 bits (NF4, double quantisation, bf16 products) and continues a prompt of
random ids, each time by the most probable id, from the cache of keys and values. Prints one JSON object:

  {"load_seconds": of from_pretrained alone, "first_token_seconds", "seconds": both since the prompt, "tokens"}
"""

import argparse
import json
import time

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--prompt-tokens", type=int, required=True)
    parser.add_argument("--new-tokens", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def load(folder):
    quantised = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                   bnb_4bit_compute_dtype=torch.bfloat16)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, quantization_config=quantised).eval()


@torch.inference_mode()
def generate(model, args):
    """Seconds from the prompt to each token, without what `generate` does beside the model."""
    ids, past, ends = torch.randint(3, model.config.vocab_size, (1, args.prompt_tokens)), None, []
    start = time.perf_counter()
    for _ in range(args.new_tokens):
        out = model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
        ids, past = out.logits[:, -1:].argmax(dim=-1), out.past_key_values
        ends.append(time.perf_counter() - start)
    return ends


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    start = time.perf_counter()
    model = load(args.model)
    loaded = time.perf_counter() - start
    ends = generate(model, args)
    print(json.dumps({"load_seconds": loaded, "first_token_seconds": ends[0], "seconds": ends[-1], "tokens": len(ends)}))


if __name__ == "__main__":
    main()
