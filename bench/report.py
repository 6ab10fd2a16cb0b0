"""What the benchmark found: rows, the floors they must keep, and how both are shown."""

import dataclasses
import json
import statistics
import typing

from against import Comparison

# The rows that a release must keep, and nothing else decides the exit status: (row, its field, sense, bound). Rates and
# times are those of issue 4; a row that was not measured misses its floor.
FLOORS = (
    ("demo.tokens", "ratio", ">=", 1.5),
    ("demo.memory", "ratio", "<=", 0.5),
    ("demo_ckpt.tokens", "ratio", ">=", 1.6),
    ("demo_ckpt.memory", "ratio", "<=", 0.5),
    ("slice.tokens", "ratio", ">=", 1.35),
    ("slice_ckpt.tokens", "ratio", ">=", 1.35),
    ("sft.tokens", "ratio", ">=", 2.0),
    ("sft.memory", "ratio", "<=", 0.4),
    ("nf4.dequantise", "ratio", ">=", 7.0),
    ("nf4.quantise", "ratio", ">=", 20.0),
    ("attention.256", "ratio", ">=", 1.5),
    ("attention.512", "ratio", ">=", 1.5),
    ("attention.2048", "ratio", ">=", 1.5),
    ("start.first_step", "ours", "<=", 1.2),
    ("start.step_end", "ours", "<=", 2.5),
    ("start.ftctl_list", "ours", "<=", 30.0),
    ("control.submits_0", "ours", ">=", 1000),
    ("control.submits_10000", "ours", ">=", 1000),
    ("control.submits_100000", "ours", ">=", 1000),
    ("control.load_100000", "ours", "<=", 3.0),
    ("control.pass_ms", "ours", "<=", 50.0),
    ("control.progress_batches", "ours", ">=", 1900),
    ("control.progress_cores", "ours", "<=", 0.5),
    ("control.progress_mb", "ours", "<=", 5.0),
    ("control.watch_p99_ms", "ours", "<=", 100.0),
    ("zero_memory.full_zero2", "ours", "<=", 2.2),  # These are issue 17's; that losses are one rank's, all of STEPS.
    ("zero_memory.full_zero3", "ours", "<=", 2.0),
    ("ledger.qlora", "ours", "<=", 2.5),
    ("ledger.full", "ours", "<=", 5.0),
    *((f"zero_memory.{setting}_same", "ours", ">=", 5)
      for setting in ("full_zero0", "full_zero2", "full_zero3", "qlora_zero0", "qlora_zero3")),
    *((f"dist_{setting}.tokens", "ratio", ">=", 1.5) for setting in ("zero1", "zero2", "zero3", "offload")),
    ("dist_qlora.tokens", "ratio", ">=", 2.0),
    ("dist_gloo.tokens", "ratio", ">=", 1.0),
    *((f"dist_{setting}.memory", "ratio", "<=", 0.65) for setting in ("zero1", "zero2", "gloo")),
    *((f"dist_{setting}.memory", "ratio", "<=", 0.6) for setting in ("zero3", "offload")),
    *((f"dist_{setting}.loss", "ours", "<=", 2e-2) for setting in ("zero1", "zero2", "gloo", "zero3", "offload", "qlora")),
    *((f"adamw.weight_{threads}", "ratio", "<=", 1.0) for threads in ("1", "all")),
    *((f"adamw.memory_{threads}", "limit_share", ">=", 0.8) for threads in ("1", "all")),
    ("tokenise.llama2", "ratio", ">=", 2.0),
    ("tokenise.internlm", "ratio", ">=", 2.0),
    ("tokenise.unigram", "ratio", ">=", 2.0),
    ("tokenise.unigram_plain", "ratio", ">=", 2.0),
    ("tokenise.smollm2", "ratio", ">=", 5.0),
    ("tokenise.starcoder", "ratio", ">=", 5.0),
    ("tokenise.qwen", "ratio", ">=", 1.0),
    ("load.seconds", "ratio", "<=", 0.2),  # From here on issue 16's. The limit of memory is the size of the quantised model.
    ("load.anonymous", "limit_share", "<=", 1.15),
    ("chat.demo", "ratio", ">=", 10.0),
    ("chat.demo_llama", "ratio", ">=", 0.7),
    ("chat.slice", "ratio", ">=", 10.0),
    ("chat.slice_llama", "ratio", ">=", 0.7),
    ("experts.step", "ratio", "<=", 1.3),
)
HEADINGS = {"demo": "QLoRA step, demo model, 512 tokens, r 64, bf16 adapters",
            "demo_fp32": "the same with adapter_compute: fp32",
            "demo_lean": "QLoRA step against the peer in autocast, without its preparation",
            "demo_lean_fp32": "the same with adapter_compute: fp32",
            "demo_ckpt": "QLoRA step with activation checkpointing, bf16 adapters",
            "demo_ckpt_fp32": "the same with adapter_compute: fp32",
            "slice": "QLoRA step, two layers of Llama 2 7B's size, bf16 adapters",
            "slice_fp32": "the same with adapter_compute: fp32",
            "zero_memory": "the larger peak of 2 ranks in bf16, 256 tokens; losses as of one",
            "slice_ckpt": "the same slice with activation checkpointing, bf16 adapters",
            "slice_ckpt_fp32": "the same with adapter_compute: fp32",
            "sft": "64 Alpaca records in packed rows of 2048, one epoch",
            "ledger": "digests of gradients and weights: share of all steps' time",
            "nf4": "NF4 of one weight: 11008 x 4096, and 1536 x 576 (_small)",
            "attention": "causal attention, forward and backward, 9 heads over 3",
            "dist_zero1": "full fine-tuning, 256 tokens, 2 ranks, stage 1",
            "dist_zero2": "the same at stage 2; FSDP2 keeps layers gathered",
            "dist_gloo": "the same at stage 2, ours over Gloo too",
            "dist_zero3": "the same at stage 3; FSDP2 gathers layers again",
            "dist_offload": "the same at stage 3 with offload to the host",
            "dist_qlora": "QLoRA, r 64, 256 tokens, 2 ranks, stage 3",
            "adamw": "AdamW of 16 Mi weights, 28 bytes each; limit: memory alone",
            "control": "coordinator: 10,000 wait on 1,000 nodes; 200 run; 2,000 watch",
            "tokenise": "mixed text to ids, one thread, by vocabulary",
            "load": "four layers of Llama 2 7B's size, 16 bits read, 4 held; limit: that",
            "chat": "ftctl chat --bits 4: tokens behind the first, and the prompt",
            "experts": "QLoRA step of 2 of 8 experts, 2,048 tokens, beside an MLP as wide",
            "start": "submit to first step of 128 tokens, data prepared; ftctl list"}


@dataclasses.dataclass
class Row:
    name: str  # SCENARIO.WHAT
    unit: str
    ours: typing.Optional[float]
    peer: typing.Optional[float] = None
    peer_name: typing.Optional[str] = None
    limit: typing.Optional[float] = None  # What this machine could do at most, measured in the same run.
    why: typing.Optional[str] = None      # Why there is no figure.
    refused: typing.Optional[str] = None  # Why this version does not run it; no floor is missed.
    against: typing.Optional[Comparison] = None  # With another build, where one was named.

    @property
    def ratio(self):
        """Ours divided by the peer's, for rates and for memory alike."""
        return self.ours / self.peer if self.ours is not None and self.peer else None

    @property
    def limit_share(self):
        return self.ours / self.limit if self.ours is not None and self.limit else None

    def as_json(self):
        made = {"name": self.name, "unit": self.unit, "ours": self.ours, "peer": self.peer, "peer_name": self.peer_name,
                "ratio": self.ratio, "limit": self.limit}
        made.update({key: text for key, text in (("why", self.why), ("refused", self.refused)) if text})
        return made if self.against is None else {**made, "against": self.against.as_json()}


def median(values):
    """The median of the figures there are; None of none."""
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def missed(rows, scenarios, floors=FLOORS):
    """Sentences for the floors of these scenarios that are not kept."""
    by_name = {row.name: row for row in rows}
    refused = [row.name for row in rows if row.refused]
    found = []
    for name, field, sense, bound in floors:
        if name.split(".")[0] not in scenarios or any(name.startswith(one) for one in refused):
            continue
        row = by_name.get(name)
        value = getattr(row, field) if row else None
        if value is None:
            found.append(f"{name}: not measured" + (f": {row.why}" if row and row.why else ""))
        elif not (value >= bound if sense == ">=" else value <= bound):
            found.append(f"{name}: {field} {value:.3g}, floor {sense} {bound:g}")
    return found


def _figure(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(rows, scenarios, floors=FLOORS, headings=None):
    """Lines of at most 80 columns."""
    headings = headings or HEADINGS
    shown = {name: (field, f"{sense}{bound:g}") for name, field, sense, bound in floors}
    bad = {line.split(":")[0] for line in missed(rows, scenarios, floors)}
    form = "{:<26}{:<6}{:>7} {:>7}  {:<9}{:>6} {:>7} {:>7}"
    lines, group = [form.format("", "unit", "ours", "peer", "", "ratio", "limit", "floor").rstrip()], None
    for row in rows:
        scenario, _, what = row.name.partition(".")
        if scenario != group:
            lines += ["", f"{scenario}: {headings[scenario]}"]
            group = scenario
        if row.refused:
            lines.append(f"  {what:<24}{row.unit:<6}{row.refused}"[:80])
            continue
        floor = shown.get(row.name, ("", ""))[1] + ("!" if row.name in bad else "")
        lines.append(form.format("  " + what, row.unit, _figure(row.ours), _figure(row.peer), row.peer_name or "",
                                 _figure(row.ratio), _figure(row.limit), floor).rstrip())
        if row.why:
            lines.append(f"    {row.why}"[:80])
    return "\n".join(lines)


def comparisons(rows):
    """Lines of at most 80 columns: of both builds the medians, the ratio of the pairs, and its least and most."""
    form = "{:<26}{:<6}{:>7} {:>7} {:>6}  {:<15}{}"
    lines = [form.format("new / old", "unit", "new", "old", "ratio", "spread", "").rstrip()]
    for row in rows:
        if row.against is not None:
            ratios = row.against.ratios
            lines.append(form.format(row.name, row.unit, _figure(median(row.against.new)), _figure(median(row.against.old)),
                                     f"{row.against.ratio:.3f}", f"{min(ratios):.3f} - {max(ratios):.3f}",
                                     "slower!" if row.against.is_slower(row.unit) else "").rstrip())
    return "\n".join(lines)


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        json.dump([row.as_json() for row in rows], file, indent=1)
        file.write("\n")
