"""This build beside another one of this project, in one run (`--against FOLDER`): both train the same job in every pair, and
the order changes from pair to pair, so that a machine that gets slower or faster in the meantime favours neither.
"""

import dataclasses
import os
import statistics

PROGRAMS = ("finetuned", "ft-worker", "ft-rank", "ftctl")
NEW, OLD = "new", "old"
# How much slower the median of the ratios may be before a row fails, by unit. The rate of a step is a median over seconds of work,
# but two cores share memory and heat: less than 3 % is not to be told from noise in the three or five pairs of a run. Waits are
# seconds or less, most of it processes that start: beside itself, on cores that others used too, one build's first step differed by
# 7 % and its `ftctl list` by 23 % within a pair. Memory is shown, and its floor is the one against the peers.
TOLERANCES = {"tok/s": 0.03, "s": 0.10, "ms": 0.25}
FASTER_IS_MORE = ("tok/s",)


def missing_programs(folder):
    """Those of the four programs that a folder has not got."""
    return [name for name in PROGRAMS if not os.access(os.path.join(folder, name), os.X_OK)]


def order(pair, builds):
    """In which order the builds run in a pair, counted from 0: old, new; new, old; old, new; ..."""
    found = [build for build in (OLD, NEW) if build in builds]
    return found if pair % 2 == 0 else found[::-1]


@dataclasses.dataclass
class Comparison:
    """One row's figure of every pair, on both builds."""
    new: list
    old: list

    @property
    def ratios(self):
        """New by old, pair by pair: what changes from pair to pair is in both."""
        return [new / old for new, old in zip(self.new, self.old, strict=True)]

    @property
    def ratio(self):
        return statistics.median(self.ratios)

    def is_slower(self, unit):
        """Whether the median ratio is beyond the tolerance of this unit, on the slower side."""
        if unit not in TOLERANCES:
            return False
        return self.ratio < 1 - TOLERANCES[unit] if unit in FASTER_IS_MORE else self.ratio > 1 + TOLERANCES[unit]

    def as_json(self):
        return {"new": self.new, "old": self.old, "ratio": self.ratio, "lowest": min(self.ratios), "highest": max(self.ratios)}


class Figures:
    """What each pair gave on each build. `measure(node)` is called once a build and pair."""

    def __init__(self, nodes):
        self._nodes = nodes
        self._found = {build: [] for build in nodes}

    def measure(self, pair, measure):
        for build in order(pair, self._nodes):
            self._found[build].append(measure(self._nodes[build]))

    def of(self, figure):
        """Fields of a Row: this build's median, and the comparison where there is another build."""
        by_build = {build: [figure(found) for found in runs] for build, runs in self._found.items()}
        against = Comparison(by_build[NEW], by_build[OLD]) if OLD in by_build else None
        return {"ours": statistics.median(by_build[NEW]), "against": against}


def missed(rows, scenarios):
    """Sentences for the rows that are slower than the other build, and for scenarios that could not be compared."""
    found = []
    for row in rows:
        if row.against is not None and row.against.is_slower(row.unit):
            found.append(f"{row.name}: {row.against.ratio:.3f} of the other build's {row.unit}, "
                         f"more than {TOLERANCES[row.unit]:.0%} slower")
    compared = {row.name.split(".")[0] for row in rows if row.against is not None}
    return found + [f"{name}: not compared with the other build" for name in scenarios if name not in compared]
