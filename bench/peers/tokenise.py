"""A Python library on a published vocabulary, one thread, text after text as a data loader calls it. Prints {"seconds", "bytes"}
of the fastest pass.
"""

import argparse
import base64
import json
import os
import time


def sentencepiece_encode(folder):
    import sentencepiece
    return sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model")).encode_as_ids


def tokenizers_encode(folder):
    import tokenizers
    made = tokenizers.Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    return lambda text: made.encode(text, add_special_tokens=False).ids


def tiktoken_encode(folder):
    import tiktoken
    with open(os.path.join(folder, "about.json"), encoding="utf-8") as file:
        pattern = json.load(file)["pattern"]
    with open(os.path.join(folder, "qwen.tiktoken"), "rb") as file:
        ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file if line.strip())}
    return tiktoken.Encoding("published", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}).encode_ordinary


ENCODERS = {"sentencepiece": sentencepiece_encode, "tokenizers": tokenizers_encode, "tiktoken": tiktoken_encode}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", choices=ENCODERS)
    parser.add_argument("folder")
    parser.add_argument("texts", help="one JSON string a line")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--threads", type=int, choices=[1], required=True)
    args = parser.parse_args()
    with open(args.texts, encoding="utf-8") as file:
        texts = [json.loads(line) for line in file]
    encode, seconds = ENCODERS[args.library](args.folder), []
    for _ in range(args.passes):
        start = time.perf_counter()
        for text in texts:
            encode(text)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(seconds), "bytes": sum(len(text.encode()) for text in texts)}))


if __name__ == "__main__":
    main()
