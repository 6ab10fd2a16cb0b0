"""An adapter that this project wrote loads in PEFT and gives the same numbers there; a merged model loads in transformers.

  peft_adapter_test.py --base DIR --adapter DIR --logits FILE [--greedy FILE] [--tolerance 1e-3]
  peft_adapter_test.py --merged DIR --logits FILE [--greedy FILE] [--tolerance 1e-3]
  peft_adapter_test.py --self-test

--base      a folder in Hugging Face layout (fp32, or the dequantised base of `ftctl export --base dequantised`)
--adapter   a folder in PEFT's layout
--merged    what `ftctl merge` wrote: compared without PEFT
--logits    ours, computed in fp32 over the same base. Safetensors: input_ids [rows, length] (I64 or I32), logits
            [rows, length, vocabulary] (F32), attention_mask [rows, length] when rows are padded. Or JSON: a list of
            {"input_ids": [...], "logits": [[...], ...]}
--greedy    JSON, as greedy.json of the golden cases: a list of {"prompt": [ids], "continuation": [ids]}. The first token
            that differs is accepted only where the peer's two best logits lie within twice the tolerance
--tolerance largest absolute difference of a logit

Exit status 0 when everything agrees, 1 with one line a difference.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file


def load_peer(base, adapter):
    """The model as the Python peers read it, in fp32, outside training."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    return model.eval()


def read_logits(path):
    """Pairs (input ids [length], logits [length, vocabulary])."""
    if path.endswith(".json"):
        with open(path, encoding="utf-8") as file:
            return [(torch.tensor(row["input_ids"]), torch.tensor(row["logits"])) for row in json.load(file)]
    tensors = load_file(path)
    ids, logits = tensors["input_ids"].long(), tensors["logits"].float()
    mask = tensors.get("attention_mask")
    lengths = mask.sum(dim=1).tolist() if mask is not None else [ids.shape[1]] * ids.shape[0]
    return [(ids[row, :int(length)], logits[row, :int(length)]) for row, length in enumerate(lengths)]


@torch.no_grad()
def compare_logits(model, rows, tolerance):
    """One sentence a row that differs, and the largest difference."""
    problems, largest = [], 0.0
    if not rows:
        problems.append("the file of logits has no rows")
    for index, (ids, ours) in enumerate(rows):
        theirs = model(input_ids=ids[None]).logits[0]
        if theirs.shape != ours.shape:
            problems.append(f"row {index}: our logits are {tuple(ours.shape)}, the peer's {tuple(theirs.shape)}")
            continue
        difference = (theirs - ours).abs().max().item()
        largest = max(largest, difference) if difference == difference else float("inf")
        if not difference <= tolerance:
            problems.append(f"row {index}: logits differ by {difference:.3e}, allowed are {tolerance:.1e}")
    return problems, largest


@torch.no_grad()
def compare_greedy(model, entries, tolerance):
    """One sentence a prompt whose continuation is not the peer's."""
    problems = [] if entries else ["the file of continuations is empty"]
    for index, entry in enumerate(entries):
        ids = list(entry["prompt"])
        for position, ours in enumerate(entry["continuation"]):
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            best = torch.topk(logits, 2)
            if ours != best.indices[0].item():
                gap = (best.values[0] - logits[ours]).item()
                if gap > 2 * tolerance:
                    problems.append(f"prompt {index}, token {position}: ours is {ours}, the peer's "
                                    f"{best.indices[0].item()}, {gap:.3e} better")
                break
            ids.append(ours)
    return problems


def compare(options):
    model = load_peer(options.merged or options.base, options.adapter)
    problems, largest = compare_logits(model, read_logits(options.logits), options.tolerance)
    if options.greedy:
        with open(options.greedy, encoding="utf-8") as file:
            problems += compare_greedy(model, json.load(file), options.tolerance)
    for problem in problems:
        print(problem)
    print(f"largest difference of a logit: {largest:.3e}")
    return 1 if problems else 0


def make_case(folder):
    """A tiny random model with an adapter, as the peers write them, and the peers' own numbers."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(7)
    base = LlamaForCausalLM(LlamaConfig(vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                                        num_attention_heads=4, num_key_value_heads=2)).eval()
    base.save_pretrained(os.path.join(folder, "base"))
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False,
                                            task_type="CAUSAL_LM")).eval()
    model.save_pretrained(os.path.join(folder, "adapter"))
    ids = torch.randint(0, 128, (2, 9))
    with torch.no_grad():
        logits = model(input_ids=ids).logits
        continuation = []
        for _ in range(5):
            prompt = torch.tensor([ids[0].tolist() + continuation])
            continuation.append(model(input_ids=prompt).logits[0, -1].argmax().item())
    save_file({"input_ids": ids, "logits": logits.contiguous()}, os.path.join(folder, "logits.safetensors"))
    save_file({"input_ids": ids, "logits": logits + 0.01}, os.path.join(folder, "wrong.safetensors"))
    for name, ids_of in (("greedy.json", continuation), ("wrong.json", [(i + 1) % 128 for i in continuation])):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump([{"prompt": ids[0].tolist(), "continuation": ids_of}], file)


def self_test():
    """The peers agree with themselves; other logits, another continuation or no adapter at all are found."""
    with tempfile.TemporaryDirectory() as folder:
        make_case(folder)
        at = {name: os.path.join(folder, name) for name in os.listdir(folder)}
        model = load_peer(at["base"], at["adapter"])
        rows = read_logits(at["logits.safetensors"])
        assert compare_logits(model, rows, 1e-5)[0] == []
        assert len(compare_logits(model, read_logits(at["wrong.safetensors"]), 1e-3)[0]) == 2
        assert compare_logits(load_peer(at["base"], None), rows, 1e-3)[0] != []
        for name, expected in (("greedy.json", 0), ("wrong.json", 1)):
            with open(at[name], encoding="utf-8") as file:
                assert len(compare_greedy(model, json.load(file), 1e-3)) == expected, name
        command = [sys.executable, os.path.abspath(__file__), "--base", at["base"], "--adapter", at["adapter"],
                   "--greedy", at["greedy.json"], "--logits"]
        for name, status in (("logits.safetensors", 0), ("wrong.safetensors", 1)):
            done = subprocess.run(command + [at[name]], capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == status, done.stdout + done.stderr
    return 0


def main():
    parser = argparse.ArgumentParser(description="Compares an adapter or a merged model with PEFT and transformers.")
    for name in ("--base", "--adapter", "--merged", "--logits", "--greedy"):
        parser.add_argument(name)
    parser.add_argument("--tolerance", type=float, default=1e-3)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if not options.logits or bool(options.merged) == bool(options.base and options.adapter):
        parser.error("give --logits, and either --base and --adapter or --merged")
    return compare(options)


if __name__ == "__main__":
    sys.exit(main())
