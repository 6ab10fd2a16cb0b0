"""The list of what recipes ask for and this version does not do yet (not_built.txt), and how it is held to be true.

A line is a kind, a pattern, " -> ", and what follows from it:

    setting  TEXT -> KEY=VALUE; KEY=VALUE      a refusal that holds this text is answered by these changes, and the name trained so
    name     GLOB -> REASON                    this name does not train; where it does, the line is wrong

In TEXT and changes N stands for a number (the source's). A line that no name needed any more is wrong too.
"""

import fnmatch
import os
import re
from typing import NamedTuple

LIST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "not_built.txt")
KINDS = ("setting", "name")


class Line(NamedTuple):
    kind: str
    pattern: str
    then: str
    number: int

    def changes(self, refusal):
        """What to set where a refusal says this; None where it says something else."""
        numbers = re.findall(re.escape(self.pattern).replace(r"\[N\]", r"\[(\d+)\]"), refusal)
        if not numbers:
            return None
        return [change.strip().replace("[N]", f"[{number}]") for number in sorted(set(numbers)) for change in self.then.split(";")]


def parse(text):
    """The lines; ValueError names one that is none."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        kind, _, rest = line.strip().partition(" ")
        pattern, _, then = rest.partition(" -> ")
        if kind not in KINDS or not pattern.strip() or not then.strip():
            raise ValueError(f"line {number}: write one of {', '.join(KINDS)}, a pattern, ' -> ' and what follows from it")
        lines.append(Line(kind, pattern.strip(), then.strip(), number))
    return lines


def read():
    with open(LIST, encoding="utf-8") as file:
        return parse(file.read())


def of_name(lines, name):
    """The line that says that a name does not train, or None."""
    return next((line for line in lines if line.kind == "name" and fnmatch.fnmatchcase(name, line.pattern)), None)


def answers(lines, refusal):
    """The lines that know what to do about a refusal, with their changes: {line: changes}."""
    refusal = " ".join(refusal.split())
    found = {line: line.changes(refusal) for line in lines if line.kind != "name"}
    return {line: changes for line, changes in found.items() if changes is not None}
