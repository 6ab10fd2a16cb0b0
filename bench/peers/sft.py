"""TRL's SFTTrainer on Alpaca records with a 4-bit base and LoRA on all linear layers, rows of one micro-batch, bf16. Prints
one JSON object:

  {"import_done", "first_step", "end": seconds since the epoch; "tokens": real ones in all rows, padding excluded; "steps"}

A record becomes {prompt, completion}, so that, as in our job, only the answer carries loss.
"""

import argparse
import json
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer

IMPORT_DONE = time.time()


class Clock(TrainerCallback):
    first = end = None

    def on_step_begin(self, args, state, control, **kwargs):
        self.first = self.first or time.time()

    def on_step_end(self, args, state, control, **kwargs):
        self.end = time.time()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--records", required=True, help="Alpaca records as JSON")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--output", required=True, help="folder that the trainer may write to")
    parser.add_argument("--no-packing", dest="packing", action="store_false")
    return parser.parse_args()


def conversation(record):
    question = record["instruction"] + ("\n" + record["input"] if record["input"] else "")
    return {"prompt": [{"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": record["output"]}]}


def main():
    args = parse()
    torch.set_num_threads(args.threads)
    with open(args.records, encoding="utf-8") as file:
        records = json.load(file)[:args.count]
    quantised = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                   bnb_4bit_compute_dtype=torch.bfloat16)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.bfloat16, quantization_config=quantised)
    clock = Clock()
    trainer = SFTTrainer(
        model=model, processing_class=AutoTokenizer.from_pretrained(args.model),
        train_dataset=Dataset.from_list([conversation(record) for record in records]), callbacks=[clock],
        peft_config=LoraConfig(r=args.rank, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"),
        args=SFTConfig(output_dir=args.output, packing=args.packing, max_length=args.length, per_device_train_batch_size=1,
                       num_train_epochs=1, learning_rate=1e-4, bf16=True, use_cpu=True, gradient_checkpointing=True,
                       report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=0))
    tokens = sum(len(row["input_ids"]) for row in trainer.train_dataset)
    trainer.train()
    print(json.dumps({"import_done": IMPORT_DONE, "first_step": clock.first, "end": clock.end, "tokens": tokens,
                      "steps": trainer.state.global_step}))


if __name__ == "__main__":
    main()
