"""Parquet files that pyarrow wrote, in every encoding, compression and version of a page that it knows, are read as pyarrow reads
them."""

import datetime
import decimal
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "e2e")]
import daemons  # noqa: E402, for its main()

PROGRAM = os.path.join(os.environ.get("FT_BIN", "build/dev/bin"), "..", "tests", "read_records")
ROWS = 3000
WORDS = ["library", "opens", "图书馆", "at", "nine", "ねこ", "🙂", ""]


def texts(source, repeated):
    return [None if source.random() < 0.1 else " ".join(source.choice(WORDS) for _ in range(source.randrange(4 if repeated else 12)))
            for _ in range(ROWS)]


def messages(source):
    def one():
        return [{"role": source.choice(["user", "assistant"]), "content": source.choice(WORDS + [None]),
                 "weight": source.choice([None, 0, 1])} for _ in range(source.randrange(5))]
    return [source.choice([one(), one(), None]) for _ in range(ROWS)]


def columns(pa, source):
    """name: (array, what our reader is to say of each value)."""
    same = list
    numbers = [None if source.random() < 0.2 else source.randrange(-2**40, 2**40) for _ in range(ROWS)]
    rising = sorted(source.randrange(2**31) for _ in range(ROWS))
    reals = [source.choice([None, 0.1, -2.5, 1e300, source.random()]) for _ in range(ROWS)]
    days = [datetime.date(2000, 1, 1) + datetime.timedelta(days=source.randrange(-20000, 20000)) for _ in range(ROWS)]
    moments = [datetime.datetime(2023, 11, 5, 14, 30, source.randrange(60)) for _ in range(ROWS)]
    prices = [decimal.Decimal(source.randrange(-10**12, 10**12)).scaleb(-3) for _ in range(ROWS)]
    nested = [[[source.randrange(9) for _ in range(source.randrange(3))] for _ in range(source.randrange(3))] for _ in range(ROWS)]
    of_message = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int64())])
    written = [str(number) if number is not None else None for number in numbers]
    said = messages(source)
    return {
        "repeated": (pa.array(texts(source, True)), same), "texts": (pa.array(texts(source, False)), same),
        "large": (pa.array(texts(source, False), pa.large_string()), same),
        "numbers": (pa.array(numbers), lambda _: written),
        "rising": (pa.array(rising, pa.int32()), lambda values: [str(value) for value in values]),
        "unsigned": (pa.array(rising, pa.uint32()), lambda values: [str(value) for value in values]),
        "flags": (pa.array([source.choice([True, False, None]) for _ in range(ROWS)]), same),
        "reals": (pa.array(reals), same),
        "days": (pa.array(days), lambda values: [value.isoformat() for value in values]),
        "moments": (pa.array(moments, pa.timestamp("us")), lambda values: [str(value) for value in values]),
        "prices": (pa.array(prices, pa.decimal128(20, 3)), lambda values: [str(value) for value in values]),
        "nothing": (pa.nulls(ROWS), same), "nested": (pa.array(nested), same),
        "messages": (pa.array(said, pa.list_(of_message)), same),
        "facts": (pa.array([{"a": {"b": [word]}} for word in (WORDS * ROWS)[:ROWS]]), same),
    }


class ParquetTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        import pyarrow
        import pyarrow.parquet
        cls.arrow, cls.parquet = pyarrow, pyarrow.parquet
        cls.columns = columns(pyarrow, random.Random(20261128))
        cls.table = pyarrow.table({name: array for name, (array, _) in cls.columns.items()})

    def compare(self, table, **options):
        with tempfile.TemporaryDirectory(prefix="ftq") as folder:
            path = os.path.join(folder, "t.parquet")
            self.parquet.write_table(table, path, **options)
            done = subprocess.run([PROGRAM, path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(found), table.num_rows)
        for name in table.column_names:
            wanted = self.columns[name][1](self.columns[name][0].to_pylist())
            for row, (value, record) in enumerate(zip(wanted, found)):
                if isinstance(value, float):  # The same number, which need not have the fewest digits.
                    record[name] = float(record[name])
                self.assertEqual(record[name], value, f"{name}, row {row + 1}, {options}")

    def test_every_compression_and_version_of_a_page(self):
        for compression in ("none", "snappy", "gzip", "zstd"):
            for version in ("1.0", "2.0"):
                with self.subTest(compression=compression, version=version):
                    self.compare(self.table, compression=compression, data_page_version=version, row_group_size=700)

    def test_small_pages_and_dictionaries_that_overflow(self):
        self.compare(self.table, data_page_size=500, dictionary_pagesize_limit=300, write_batch_size=50)
        self.compare(self.table, use_dictionary=False, data_page_size=500, write_batch_size=50, write_page_index=True)

    def test_every_encoding_of_values(self):
        of_texts = [(name, encoding) for name in ("repeated", "texts", "large")
                    for encoding in ("PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY")]
        of_numbers = [(name, encoding) for name in ("numbers", "rising") for encoding in ("DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT")]
        for name, encoding in of_texts + of_numbers + [("reals", "BYTE_STREAM_SPLIT"), ("flags", "RLE"), ("flags", "PLAIN")]:
            for version in ("1.0", "2.0"):
                with self.subTest(column=name, encoding=encoding, version=version):
                    self.compare(self.table.select([name]), use_dictionary=False, column_encoding={name: encoding},
                                 data_page_version=version, data_page_size=2000)

    def test_lists_as_older_writers_wrote_them(self):
        self.compare(self.table.select(["messages", "nested"]), use_compliant_nested_type=False)

    def test_old_timestamps(self):
        self.compare(self.table.select(["moments"]), use_deprecated_int96_timestamps=True)


if __name__ == "__main__":
    daemons.main()
