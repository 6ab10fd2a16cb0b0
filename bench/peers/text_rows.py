"""Rows of text, tokenised, that all carry loss: text_rows.py MODEL TEXT LENGTH ROWS OUT writes a jsonl of {input_ids, labels}, rows one
after another out of the file."""

import json
import sys

from transformers import AutoTokenizer


def main():
    model, text, length, rows, out = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    with open(text, encoding="utf-8") as file:
        ids = AutoTokenizer.from_pretrained(model)(file.read())["input_ids"]
    if len(ids) < length * rows:
        raise ValueError(f"{text} has {len(ids)} tokens, and {rows} rows of {length} were asked for")
    with open(out, "w", encoding="utf-8") as file:
        for begin in range(0, length * rows, length):
            row = ids[begin:begin + length]
            file.write(json.dumps({"input_ids": row, "labels": row}) + "\n")


if __name__ == "__main__":
    main()
