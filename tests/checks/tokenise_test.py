"""Ids of mixed text equal those of sentencepiece, tokenizers and tiktoken: of published vocabularies where the folder shared
beside the checkout holds them, and of vocabularies trained here with settings that no published one has.

FT_TOKENISE_BYTES: how much text (200,000). FT_TOKENISE_SEED: another text.
"""

import base64
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e"), HERE]
import daemons  # noqa: E402, for its main()
import mixed_text  # noqa: E402

PROGRAM = os.path.join(os.environ.get("FT_BIN", "build/dev/bin"), "..", "tests", "tokenise_texts")
GOLDEN = os.path.join(mixed_text.SHARED, "golden", "tokenizer")
BYTES = int(os.environ.get("FT_TOKENISE_BYTES", "200000"))
SEED = int(os.environ.get("FT_TOKENISE_SEED", "20261128"))
MARK = "\u2581"


class AgreementTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        print(f"{BYTES} bytes of text, seed {SEED}")
        cls.texts = mixed_text.texts(BYTES, SEED)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="fta")
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def copy(self, path):
        if not os.path.exists(path):
            self.skipTest(f"{os.path.basename(path)} is not beside this checkout")
        shutil.copy(path, self.folder)

    def ours(self, special=False):
        lines = self.write("texts.jsonl", "".join(json.dumps(text) + "\n" for text in self.texts))
        done = subprocess.run([PROGRAM, self.folder, lines] + ["--special"] * special, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def compare(self, theirs, special=False):
        """theirs: text -> ids."""
        found = self.ours(special)
        self.assertEqual(len(found), len(self.texts))
        for text, ids in zip(self.texts, found):
            wanted = list(theirs(text))
            if ids != wanted:
                place = next((i for i, pair in enumerate(zip(ids, wanted)) if pair[0] != pair[1]), min(len(ids), len(wanted)))
                self.fail(f"seed {SEED}: {text[:200]!r}: from token {place} on {ids[place:place + 8]}, not "
                          f"{wanted[place:place + 8]}")

    # SentencePiece.

    def sentencepiece(self, unlike=()):
        """`unlike`: ids of ours that stand for others of the library's."""
        import sentencepiece
        theirs = sentencepiece.SentencePieceProcessor(model_file=os.path.join(self.folder, "tokenizer.model"))
        self.compare(lambda text: [dict(unlike).get(i, i) for i in theirs.encode_as_ids(text)])

    def published(self, name, **options):
        self.copy(os.path.join(GOLDEN, name, "tokenizer.model"))
        self.sentencepiece(**options)

    def test_llama_2(self):
        self.published("llama2")

    def test_mistral_v1(self):
        self.published("mistral_v1")

    def test_internlm(self):
        self.published("internlm")

    def test_baichuan(self):
        self.published("baichuan")

    def test_chatglm3(self):
        self.published("chatglm3_trained")

    def train(self, **options):
        import sentencepiece
        corpus = mixed_text.texts(300_000, seed=7)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for text in corpus for line in text.splitlines() if "\0" not in line),
            model_prefix=os.path.join(self.folder, "tokenizer"), vocab_size=3000, num_threads=2, character_coverage=0.98, minloglevel=2,
            max_sentence_length=20000, hard_vocab_limit=False, **options)
        self.sentencepiece()

    def test_unigram_with_a_character_map(self):
        self.train(model_type="unigram", normalization_rule_name="nmt_nfkc_cf")

    def test_unigram_with_bytes_and_user_defined_pieces(self):
        self.train(model_type="unigram", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False,
                   user_defined_symbols=["<|im_end|>", "aaa", "  ", "é"])

    def test_bpe_without_bytes(self):
        self.train(model_type="bpe", normalization_rule_name="nmt_nfkc", user_defined_symbols=["<|im_end|>", "the", "ﬁ"])

    def test_bpe_split_at_nothing(self):
        self.train(model_type="bpe", byte_fallback=True, split_by_whitespace=False, split_by_unicode_script=False,
                   add_dummy_prefix=False, normalization_rule_name="identity", remove_extra_whitespaces=False,
                   allow_whitespace_only_pieces=True)

    # tokenizers.

    def tokenizers(self, special=True):
        import tokenizers
        theirs = tokenizers.Tokenizer.from_file(os.path.join(self.folder, "tokenizer.json"))
        self.compare(lambda text: theirs.encode(text, add_special_tokens=False).ids, special)

    def test_smollm2(self):
        self.copy(os.path.join(GOLDEN, "smollm2", "tokenizer.json"))
        self.tokenizers()

    def test_starcoder(self):
        self.copy(os.path.join(GOLDEN, "starcoder", "tokenizer.json"))
        self.tokenizers()

    def trained(self, model, trainer, normalizer, pre_tokenizer, decoder):
        import tokenizers
        made = tokenizers.Tokenizer(model)
        if normalizer is not None:
            made.normalizer = normalizer
        if pre_tokenizer is not None:
            made.pre_tokenizer = pre_tokenizer
        made.decoder = decoder
        made.train_from_iterator(mixed_text.texts(300_000, seed=7), trainer)
        added = [tokenizers.AddedToken("<|im_end|>", lstrip=True), tokenizers.AddedToken("<|user|>", rstrip=True)]
        made.add_special_tokens(["<s>"] + added)
        made.add_tokens([tokenizers.AddedToken("ABCdef", normalized=True), tokenizers.AddedToken("don't", single_word=True)])
        made.save(os.path.join(self.folder, "tokenizer.json"))
        self.tokenizers()

    def test_unigram_with_metaspace(self):
        from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
        self.trained(models.Unigram(), trainers.UnigramTrainer(vocab_size=5000, unk_token="<unk>", special_tokens=["<unk>"],
                                                               show_progress=False),
                     normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", MARK)]),
                     pre_tokenizers.Metaspace(prepend_scheme="always"), decoders.Metaspace())

    def bytes_and_letters(self):
        return ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]

    def test_bpe_with_byte_fallback(self):
        from tokenizers import decoders, models, normalizers, trainers
        decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
        trainer = trainers.BpeTrainer(vocab_size=2500, special_tokens=self.bytes_and_letters(), limit_alphabet=200,
                                      show_progress=False, max_token_length=12)
        self.trained(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True), trainer,
                     normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)]), None, decoder)

    def test_bpe_with_metaspace_and_unknown_characters(self):
        from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
        trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=["<unk>"], limit_alphabet=100, show_progress=False)
        self.trained(models.BPE(unk_token="<unk>"), trainer, normalizers.NFC(),
                     pre_tokenizers.Metaspace(prepend_scheme="first", split=True), decoders.Metaspace(prepend_scheme="first"))

    def test_byte_level_with_splits(self):
        from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers
        cut = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
                                       pre_tokenizers.Split(Regex("[\u4e00-\u9fff]+"), "isolated"),
                                       pre_tokenizers.Split("=", "merged_with_previous"),
                                       pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False)])
        trainer = trainers.BpeTrainer(vocab_size=1500, show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        self.trained(models.BPE(), trainer, normalizers.NFD(), cut, decoders.ByteLevel())

    # tiktoken.

    def tiktoken(self, path, special, pattern, change=None):
        import tiktoken
        with open(path, "rb") as file:
            ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in file if line.strip())}
        theirs = tiktoken.Encoding("published", pat_str=pattern, mergeable_ranks=ranks,
                                   special_tokens={name: len(ranks) + i for i, name in enumerate(special)})
        self.compare(lambda text: theirs.encode(change(text) if change else text, allowed_special="all"), special=True)

    def about(self, name):
        path = os.path.join(GOLDEN, name, "about.json")
        if not os.path.exists(path):
            self.skipTest(f"the reference data of {name} is not beside this checkout")
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def test_qwen(self):
        import unicodedata
        pattern = self.about("qwen")["pattern"]
        self.copy(os.path.join(GOLDEN, "qwen", "qwen.tiktoken"))
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<|extra_{i}|>" for i in range(205))]
        self.tiktoken(os.path.join(self.folder, "qwen.tiktoken"), special, pattern,
                      lambda text: unicodedata.normalize("NFC", text))

    def test_llama_3(self):
        pattern = self.about("llama3")["pattern"]
        found = glob.glob(os.path.join(mixed_text.ROOT, ".deps/checks/lib/python3*/site-packages/llama_models/llama3/tokenizer.model"))
        self.copy(found[0] if found else "tokenizer.model")
        self.tiktoken(os.path.join(self.folder, "tokenizer.model"), ["<|begin_of_text|>"], pattern)


if __name__ == "__main__":
    daemons.main()
