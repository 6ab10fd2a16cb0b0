"""Identifiers that were renamed and must not come back: the rows of words.txt, and where a file breaks one."""

import collections
import re

from tree import without_comments

Row = collections.namedtuple("Row", "folder identifier replacement")
_ROW = re.compile(r"(?P<folder>\S+) +(?P<identifier>[A-Za-z_]\w*) +-> +(?P<replacement>\S.*)")
_IDENTIFIER = re.compile(r"\b[A-Za-z_]\w*")


def read(text):
    """The rows of words.txt by line number, and (line number, what is wrong) of lines that are none."""
    rows, problems, seen = {}, [], {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _ROW.fullmatch(line)
        if match is None:
            problems.append((number, "is not 'FOLDER IDENTIFIER -> REPLACEMENT'"))
            continue
        row = Row(match["folder"].rstrip("/"), match["identifier"], match["replacement"])
        first = seen.setdefault((row.folder, row.identifier), number)
        if first != number:
            problems.append((number, f"says again what line {first} says of {row.identifier}"))
        rows[number] = row
    return rows, problems


def is_below(path, folder):
    """Whether a file lies in a folder (or is it, where a row names a file); "." is the whole project."""
    return folder == "." or path == folder or path.startswith(folder + "/")


def replaced(path, text, rows):
    """(line, row) of each identifier in a C++ file that a row forbids there. Comments and literals do not count, nor does a part of
    a longer identifier."""
    here = {row.identifier: row for row in rows if is_below(path, row.folder)}
    if not here:
        return
    code = without_comments(text)
    for match in _IDENTIFIER.finditer(code):
        row = here.get(match.group(0))
        if row is not None:
            yield code.count("\n", 0, match.start()) + 1, row
