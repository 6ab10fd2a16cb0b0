"""Parquet files as `datasets` leaves them on a hub, made without pyarrow: columns of text and of whole numbers that may be null,
text through a dictionary page, pages compressed by snappy, several row groups.

    parquet_file.write({"question": ["Why?", None], "idx": [1, 2]}, rows_per_group=1000)    # -> bytes

The format is that of apache/parquet-format: parquet.thrift in the compact protocol, Encodings.md, snappy's format_description.txt.
"""

import struct

INT64, BYTE_ARRAY = 2, 6  # Type
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8  # Encoding
DATA_PAGE, DICTIONARY_PAGE = 0, 2  # PageType
OPTIONAL, UTF8, SNAPPY = 1, 0, 1


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Struct:
    """A thrift struct in the compact protocol; fields are added by rising id."""

    def __init__(self):
        self.out = bytearray()
        self.last = 0

    def _field(self, number, kind, content):
        self.out.append((number - self.last) << 4 | kind)
        self.out += content
        self.last = number
        return self

    def i32(self, number, value):
        return self._field(number, 5, varint(value << 1))

    def i64(self, number, value):
        return self._field(number, 6, varint(value << 1))

    def text(self, number, value):
        return self._field(number, 8, binary(value))

    def struct(self, number, value):
        return self._field(number, 12, value.end())

    def list(self, number, kind, items):
        head = bytes([len(items) << 4 | kind]) if len(items) < 15 else bytes([0xF0 | kind]) + varint(len(items))
        return self._field(number, 9, head + b"".join(items))

    def end(self):
        return bytes(self.out) + b"\0"


def binary(text):
    encoded = text.encode()
    return varint(len(encoded)) + encoded


def snappy(data):
    """A snappy block of literals alone."""
    out = bytearray(varint(len(data)))
    for at in range(0, len(data), 1 << 16):
        piece = data[at:at + (1 << 16)]
        out += b"\xf4" + struct.pack("<H", len(piece) - 1) + piece
    return bytes(out)


def runs(values):
    """RLE of values below 256, one run after the other."""
    out, at = bytearray(), 0
    while at < len(values):
        end = at
        while end < len(values) and values[end] == values[at]:
            end += 1
        out += varint((end - at) << 1) + bytes([values[at]])
        at = end
    return bytes(out)


def packed(values, width):
    """One bit-packed run of groups of eight values."""
    padded = values + [0] * (-len(values) % 8)
    bits = sum(value << (i * width) for i, value in enumerate(padded))
    return varint(len(padded) // 8 << 1 | 1) + bits.to_bytes(len(padded) * width // 8, "little")


def page(kind, number, head, content):
    compressed = snappy(content)
    header = Struct().i32(1, kind).i32(2, len(content)).i32(3, len(compressed)).struct(number, head)
    return header.end() + compressed, len(header.end()) + len(content)


def plain(values):
    if isinstance(values[0], str):
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return struct.pack(f"<{len(values)}q", *values)


def column_chunk(name, values, offset):
    """The pages of one column in one row group; their bytes and the thrift that describes them."""
    there = [value for value in values if value is not None]
    is_text = any(isinstance(value, str) for value in there)
    levels = runs([0 if value is None else 1 for value in values])
    body, sizes, dictionary_at = b"", 0, None
    content, encoding = plain(there) if there else b"", PLAIN
    if is_text:
        dictionary = sorted(set(there))
        width = max(1, (len(dictionary) - 1).bit_length())
        dictionary_at = offset
        body, sizes = page(DICTIONARY_PAGE, 7, Struct().i32(1, len(dictionary)).i32(2, PLAIN), plain(dictionary))
        content = bytes([width]) + packed([dictionary.index(value) for value in there], width)
        encoding = RLE_DICTIONARY
    data_at = offset + len(body)
    head = Struct().i32(1, len(values)).i32(2, encoding).i32(3, RLE).i32(4, RLE)
    data, size = page(DATA_PAGE, 5, head, struct.pack("<I", len(levels)) + levels + content)
    body += data
    about = Struct().i32(1, BYTE_ARRAY if is_text else INT64)
    about.list(2, 5, [varint(one << 1) for one in sorted({PLAIN, RLE, encoding})]).list(3, 8, [binary(name)]).i32(4, SNAPPY)
    about.i64(5, len(values)).i64(6, sizes + size).i64(7, len(body)).i64(9, data_at)
    if dictionary_at is not None:
        about.i64(11, dictionary_at)
    return body, Struct().i64(2, offset).struct(3, about).end()


def schema(columns):
    elements = [Struct().text(4, "schema").i32(5, len(columns))]
    for name, values in columns.items():
        if any(isinstance(value, str) for value in values):
            string_type = Struct().struct(1, Struct())
            elements.append(Struct().i32(1, BYTE_ARRAY).i32(3, OPTIONAL).text(4, name).i32(6, UTF8).struct(10, string_type))
        else:
            elements.append(Struct().i32(1, INT64).i32(3, OPTIONAL).text(4, name))
    return [element.end() for element in elements]


def write(columns, rows_per_group=1000):
    """The file of these columns, all equally long."""
    count = len(next(iter(columns.values())))
    out, groups = bytearray(b"PAR1"), []
    for at in range(0, count, rows_per_group):
        begin, chunks = len(out), []
        for name, values in columns.items():
            body, chunk = column_chunk(name, values[at:at + rows_per_group], len(out))
            out += body
            chunks.append(chunk)
        rows = min(rows_per_group, count - at)
        groups.append(Struct().list(1, 12, chunks).i64(2, len(out) - begin).i64(3, rows).end())
    footer = Struct().i32(1, 2).list(2, 12, schema(columns)).i64(3, count).list(4, 12, groups)
    footer.text(6, "finetuned tests/recipes/parquet_file.py")
    end = footer.end()
    return bytes(out) + end + struct.pack("<I", len(end)) + b"PAR1"
