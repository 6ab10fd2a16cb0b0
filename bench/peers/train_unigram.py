"""Trains a unigram model of SentencePiece: FOLDER/tokenizer.model. Prints {"pieces"}."""

import argparse
import json
import os

import sentencepiece


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("texts", help="one JSON string a line")
    parser.add_argument("--rule", required=True, help="normalization_rule_name; identity also has byte pieces and keeps all spaces")
    parser.add_argument("--pieces", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    with open(args.texts, encoding="utf-8") as file:
        lines = [line for text in file for line in json.loads(text).splitlines() if "\0" not in line]
    plain = {"byte_fallback": True, "remove_extra_whitespaces": False} if args.rule == "identity" else {}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=os.path.join(args.folder, "tokenizer"), model_type="unigram",
        vocab_size=args.pieces, hard_vocab_limit=False, character_coverage=0.995, normalization_rule_name=args.rule,
        num_threads=args.threads, max_sentence_length=20000, minloglevel=2, **plain)
    model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(args.folder, "tokenizer.model"))
    print(json.dumps({"pieces": model.get_piece_size()}))


if __name__ == "__main__":
    main()
