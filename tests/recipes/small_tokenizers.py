"""Vocabularies of the kinds that the 25 base models have, about a thousand pieces each, made from texts that the caller gives.

    sentencepiece_model(texts, pieces=1200)       tokenizer.model of Llama, InternLM, Baichuan, ChatGLM
    llama_json(model)                             the tokenizer.json that transformers makes of one
    byte_level_json(texts, special)               StarCoder's kind
    tiktoken_ranks(texts)                         Qwen's qwen.tiktoken

Needs the Python of .deps/checks: sentencepiece and tokenizers.
"""

import base64
import io
import json

import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2

MARK = "\u2581"  # What stands for a blank in SentencePiece.


def sentencepiece_model(texts, pieces=1200, user_defined=(), dummy_prefix=True, digits=True, bos="<s>", eos="</s>"):
    """BPE with the 256 bytes to fall back on; `pieces` in all."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(line for text in texts for line in text.split("\n") if line), model_writer=model, model_type="bpe",
        vocab_size=pieces, byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity",
        add_dummy_prefix=dummy_prefix, remove_extra_whitespaces=False, split_digits=digits, user_defined_symbols=list(user_defined),
        bos_piece=bos, eos_piece=eos, num_threads=1, minloglevel=2, hard_vocab_limit=False)
    return model.getvalue()


def pieces_of(model):
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    return [piece.piece for piece in proto.pieces]


def added(number, content, special=True, normalized=False):
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": normalized,
            "special": special}


def llama_json(model, bos="<s>", eos="</s>"):
    """A BPE model's merges are all pairs of pieces that make a piece, by the rank of what they make."""
    names = pieces_of(model)
    rank = {name: number for number, name in enumerate(names)}
    merges = [(rank[name], name[:at], name[at:]) for name in names if not name.startswith("<") for at in range(1, len(name))
              if name[:at] in rank and name[at:] in rank]
    special = [name for name in ("<unk>", bos, eos) if name in rank]
    first = {"SpecialToken": {"id": bos, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    return json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [added(rank[name], name) for name in special],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK},
                                                           {"type": "Replace", "pattern": {"String": " "}, "content": MARK}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [first, text], "pair": [first, text, first, text],
                           "special_tokens": {bos: {"id": bos, "ids": [rank[bos]], "tokens": [bos]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": MARK}, "content": " "},
                                                     {"type": "ByteFallback"}, {"type": "Fuse"},
                                                     {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "vocab": rank,
                  "merges": [f"{left} {right}" for _, left, right in sorted(merges)]}}, ensure_ascii=False).encode()


def byte_level(texts, special, pieces):
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([
        tokenizers.pre_tokenizers.Digits(individual_digits=True),
        tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, tokenizers.trainers.BpeTrainer(
        vocab_size=pieces, special_tokens=list(special), initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    return tokenizer


def byte_level_json(texts, special, pieces=600):
    return byte_level(texts, special, pieces).to_str().encode()


def tiktoken_ranks(texts, pieces=600):
    """The bytes first, then what was learnt, each a line of base64 and rank."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(byte): byte for byte in plain}
    byte_of.update({chr(256 + i): byte for i, byte in enumerate(byte for byte in range(256) if byte not in plain)})
    assert set(letters) == set(byte_of)
    vocabulary = byte_level(texts, (), pieces).get_vocab()
    learnt = sorted((name for name in vocabulary if len(name) > 1), key=vocabulary.get)
    ranks = [bytes([byte]) for byte in range(256)] + [bytes(byte_of[letter] for letter in name) for name in learnt]
    return "".join(f"{base64.b64encode(rank).decode()} {number}\n" for number, rank in enumerate(ranks)).encode(), len(ranks)
