"""What a rank's peak falls by where moments, gradients and weights are divided between two ranks (docs/zero.md), and that it changes
no loss: each setting beside one rank with the same micro-batches.
"""

import dataclasses
import json
import os
import typing

import models
import ours
from against import NEW
from report import Row, median
from training import GIB, STEPS, rate

LENGTH = 256
RANKS = 2
METHODS = {"full": {"kind": "full"}, "qlora": {"kind": "qlora", "rank": 64, "alpha": 16, "dropout": 0.0}}


@dataclasses.dataclass(frozen=True)
class Setting:
    method: str
    zero: int

    @property
    def name(self):
        return f"{self.method}_zero{self.zero}"

    def refusal(self, cells):
        """Why this version does not run it, from the cells of `ftctl capabilities`; None where it does."""
        wanted = {"method": self.method, "zero": self.zero, "device": "cpu", "offload": "none"}
        for cell in cells:
            if all(cell[key] == value for key, value in wanted.items()):
                return None if cell["supported"] else cell["reason"].splitlines()[0]
        raise ValueError(f"ftctl capabilities says nothing of {self.name}")


SETTINGS = (Setting("full", 0), Setting("full", 2), Setting("full", 3), Setting("qlora", 0), Setting("qlora", 3))


@dataclasses.dataclass
class Found:
    """What a setting's runs showed: medians of the pairs."""
    setting: Setting
    refused: typing.Optional[str] = None
    peaks: tuple = ()  # Bytes of each rank, largest first.
    tokens: float = 0  # A second.
    same: int = 0      # Steps whose loss is one rank's to the last bit, in the pair with the fewest.

    def rows(self):
        if self.refused:
            return [Row(f"zero_memory.{self.setting.name}", "GiB", None, refused=self.refused)]
        return [Row(f"zero_memory.{self.setting.name}", "GiB", self.peaks[0] / GIB),
                Row(f"zero_memory.{self.setting.name}_tokens", "tok/s", self.tokens),
                Row(f"zero_memory.{self.setting.name}_same", "steps", self.same, limit=STEPS)]


def same_steps(losses, reference):
    return sum(one == other for one, other in zip(losses, reference, strict=True))


def found_of(setting, runs, reference):
    """REQUIRES: runs of RANKS ranks each, at least one."""
    return Found(setting, peaks=tuple(median([run["each"][rank] for run in runs]) for rank in range(RANKS)),
                 tokens=median([rate(run["seconds"], RANKS * LENGTH) for run in runs]),
                 same=min(same_steps(run["losses"], reference) for run in runs))


def table(all_found):
    """Lines of at most 80 columns: setting, peak of each rank, rate, and whether losses are one rank's."""
    form = "{:<15}{:>17}{:>8}  {}"
    lines = [form.format("2 ranks", "peaks in GiB", "tok/s", "losses beside one rank's")]
    for found in all_found:
        name = f"{found.setting.method}, zero {found.setting.zero}"
        if found.refused:
            lines.append(f"{name:<15}  {found.refused}"[:80])
            continue
        peaks = "  ".join(f"{peak / GIB:.2f}" for peak in found.peaks)
        same = "equal" if found.same == STEPS else f"only {found.same} of {STEPS} equal"
        lines.append(form.format(name, peaks, f"{found.tokens:.0f}", same))
    return "\n".join(lines)


def job_of(context, tokens, method, name, parallel, steps=STEPS):
    """RANKS micro-batches a step, whoever computes them."""
    return ours.job(name, context.demo, {"source": tokens, "format": "tokens"},
                    **{"method": METHODS[method], "train.max_steps": steps, "train.max_length": LENGTH,
                       "train.packing": False, "train.accumulation": RANKS // parallel["ranks"],
                       "parallel": {"max_ranks": RANKS, **parallel},
                       "resources.threads": max(1, context.threads // RANKS)})


def zero_memory(context):
    node = context.nodes[NEW]  # An older build refuses some of it.
    tokens = models.write_tokens(os.path.join(context.folder, "zero_memory.jsonl"), context.demo.vocabulary, LENGTH)
    cells = json.loads(node.daemons.ftctl("capabilities", "--json"))
    refused = {setting: setting.refusal(cells) for setting in SETTINGS}
    alone = {method: node.train(job_of(context, tokens, method, f"zero_memory_{method}_alone", {"ranks": 1}))["losses"]
             for method in METHODS}
    runs = {setting: [] for setting, why in refused.items() if why is None}
    for _ in context.pairs("zero_memory"):
        for setting, of_setting in runs.items():
            of_setting.append(node.train(job_of(context, tokens, setting.method, f"zero_memory_{setting.name}",
                                                {"ranks": RANKS, "zero": setting.zero})))
    all_found = [found_of(setting, runs[setting], alone[setting.method]) if why is None else Found(setting, refused=why)
                 for setting, why in refused.items()]
    print(table(all_found) + "\n")
    return [row for found in all_found for row in found.rows()]
