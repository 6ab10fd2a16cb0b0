"""Measures QLoRA of a 7B's shape on a GPU beside PEFT + bitsandbytes on the same card, one after the other: a table, PASS or FAIL for
each floor on cards that bench/gpu_cards.py knows, and a JSON file. `make gpu-bench` builds what it needs and calls it, and
deploy/gpu/day.sh where nothing is built.

  gpu_bench.py PROGRAMS [--device gpu|sim] [--layers 32] [--only REGEX of settings] [--seconds 1500] [--json build/gpu_bench.json]

Both train from the same files: random weights of that shape, LoRA of rank 64 on all linear layers with dropout 0.1, rows of 2,048
tokens, 16 of them a step, micro-batches of 1 and of 4, with and without recomputation. Ours is a whole job through coordinator,
worker and rank. With --device sim the device is the simulated accelerator of tests, the model one small layer, and there is no peer
unless --peer yes asks for one on the CPU: it shows that all of this runs, and no figure of it means anything.

Whatever cannot be measured is a row that says why. Each process has a limit, and the whole has --seconds. Exit status 1 when a
floor is missed or a row could not be measured.
"""

import argparse
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import gpu_cards
import models
import ours
import peer
import report
from report import Row, median

GIB = 1 << 30
RANK, DROPOUT = 64, 0.1
LLAMA_7B = {**models.SLICE, "num_hidden_layers": 32}
SMALL = {**LLAMA_7B, "hidden_size": 64, "intermediate_size": 192, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": 512}
SIMULATED_RATES = ("--rows", "192", "--columns", "64", "--copy-mib", "1", "--gemm", "64", "--calls", "2")
# Seconds that each may take: writing the model, the rates, a plan and a job of ours, a run of the peer.
LIMITS = {"model": 180, "rates": 60, "plan": 30, "ours": 150, "peer": 200}
LEAST_SECONDS = 5  # With less left nothing is started.
# Parts of a plan that LibTorch's allocator does not count: of a GPU, and of a simulated device, whose products need no workspace either.
UNCOUNTED = {"gpu": ("CUDA's context",), "sim": ("CUDA's context", "workspace of products")}


@dataclasses.dataclass(frozen=True)
class Setting:
    micro_batch: int
    recomputed: bool

    @property
    def name(self):
        return f"mb{self.micro_batch}_{'recomputed' if self.recomputed else 'kept'}"

    @property
    def heading(self):
        how = "recomputed" if self.recomputed else "kept"
        return f"QLoRA step, micro-batches of {self.micro_batch}, activations {how}"


# What the floors are of comes first: time may run out.
SETTINGS = (Setting(4, True), Setting(1, True), Setting(4, False), Setting(1, False))
HEADINGS = {"nf4": "NF4 to bf16 of one weight, bytes read and written; limit: a copy on this card",
            **{setting.name: setting.heading for setting in SETTINGS}}
# On cards of gpu_cards.CARDS that promise them, with all 32 layers: (row, its field, sense, bound), as in bench/report.py.
FLOORS = (("mb4_recomputed.tokens", "ratio", ">=", 1.8),
          ("mb4_recomputed.memory", "ratio", "<=", 1.0),
          ("nf4.dequantise", "limit_share", ">=", 0.7))


@dataclasses.dataclass(frozen=True)
class Shape:
    """How large everything is."""
    config: dict
    length: int = 2048
    rows: int = 16  # A step.
    warm_up: int = 2
    steps: int = 4  # Timed, behind those that warm up.

    @property
    def tokens(self):
        return self.rows * self.length

    def timed(self, values):
        return values[self.warm_up:]


class Bench:
    """One run: its model, its node, its limits, and what it found. Use as a context."""

    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        self.simulated = args.device == "sim"
        self.shape = (Shape({**SMALL, "num_hidden_layers": args.layers}, length=128, rows=4, warm_up=1, steps=2) if self.simulated
                      else Shape({**LLAMA_7B, "num_hidden_layers": args.layers}))
        self.threads = len(os.sched_getaffinity(0))
        self.end = time.monotonic() + args.seconds
        self.rates = {}
        self.has_no_device = False
        self.model = None
        self.tokens = None
        self.peer_nf4 = []
        self._node = None
        self._nodes = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop_node()

    def limit(self, what):
        """Seconds for such a process now."""
        left = self.end - time.monotonic()
        if left < LEAST_SECONDS:
            raise RuntimeError(f"not started: the {self.args.seconds} s of the whole are over (--seconds)")
        return min(LIMITS[what], left)

    @property
    def card(self):
        return gpu_cards.card_of(self.rates.get("card"))

    def environment(self):
        """Of our programs: which device library they open, and the faults that a simulated one is told of."""
        if not self.simulated:
            return {}
        library = os.path.join(os.path.dirname(self.args.programs), "lib", "libft_sim.so")
        return {"FT_CUDA_LIBRARY": library, "FAKE_NVML_CARDS": "1",
                **{name: value for name, value in os.environ.items() if name.startswith("FT_SIM_")}}

    def measure_rates(self):
        command = [os.path.join(self.args.programs, "ft-golden"), "gpu-rates", *(SIMULATED_RATES if self.simulated else ())]
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.limit("rates"), check=False,
                              env={**os.environ, **self.environment()}, stdin=subprocess.DEVNULL)
        self.has_no_device = done.returncode == 1  # It said so; what crashes ends otherwise.
        if done.returncode != 0:
            raise RuntimeError(last_line(done.stderr) or f"ft-golden gpu-rates ended with {done.returncode}")
        self.rates = json.loads(done.stdout.splitlines()[-1])

    def make_model(self):
        path = os.path.join(self.args.models, f"llama-{self.shape.config['hidden_size']}-{self.args.layers}-layers")
        if not os.path.exists(os.path.join(path, "config.json")):
            os.makedirs(self.args.models, exist_ok=True)
            peer.run("random_model.py", path, json.dumps(self.shape.config), threads=self.threads, python=self.args.python,
                     timeout=self.limit("model"))
        self.model = models.Model(path)
        self.tokens = models.write_tokens(os.path.join(self.folder, "rows.jsonl"), self.model.vocabulary, self.shape.length,
                                          rows=self.shape.rows)

    def job(self, setting):
        return ours.job(setting.name, self.model, {"source": self.tokens, "format": "tokens"},
                        **{"method.rank": RANK, "method.dropout": DROPOUT, "train.packing": False,
                           "train.micro_batch": setting.micro_batch, "train.accumulation": self.shape.rows // setting.micro_batch,
                           "train.max_steps": self.shape.warm_up + self.shape.steps, "train.max_length": self.shape.length,
                           "train.activation_checkpointing": setting.recomputed, "resources.device": "gpu"})

    def make_node(self):
        """Daemons, not yet started, in a folder of their own. A simulated device needs the worker's list of devices, and a rank that
        may be told of it."""
        folder = os.path.join(self.folder, f"node{self._nodes}")
        self._nodes += 1
        os.makedirs(folder)
        arguments = []
        if self.simulated:
            tests = os.path.join(os.path.dirname(self.args.programs), "tests")
            arguments = ["--config", os.path.join(folder, "worker.yaml")]
            with open(arguments[1], "w", encoding="utf-8") as file:
                file.write(f"nvml: {tests}/control/fakes/libfake_nvml.so\nrank_binary: {tests}/ft-rank-simulated\npoll: 20ms\n")
        return ours.Node(self.args.programs, folder, self.threads, arguments, self.environment())

    def train_ours(self, setting):
        """What ours.Node.train found, with "planned": bytes that `ftctl plan` predicts of what the device's allocator counts. A job that
        fails, or hangs, ends with its daemons, and the next has others."""
        made = self.job(setting)
        try:
            if self._node is None:
                self._node = self.make_node()
                self._node.daemons.start()
            plan = self._node.daemons.ask("plan", self._node.daemons.write_job(made), timeout=self.limit("plan"))
            found = self._node.train(made, timeout=self.limit("ours"))
        except BaseException:
            self.stop_node()
            raise
        return {**found, "planned": counted_bytes(plan, self.args.device)}

    def stop_node(self):
        if self._node is not None:
            self._node.daemons.stop()
            self._node = None

    def train_peer(self, setting):
        found = peer.run("gpu_peer.py", "--model", self.model.path, "--tokens", self.tokens,
                         "--steps", str(self.shape.warm_up + self.shape.steps), "--micro-batch", str(setting.micro_batch),
                         "--accumulation", str(self.shape.rows // setting.micro_batch), "--rank", str(RANK), "--dropout", str(DROPOUT),
                         "--device", "cpu" if self.simulated else "cuda", *(["--checkpointing"] if setting.recomputed else []),
                         threads=self.threads, python=self.args.python, timeout=self.limit("peer"))
        self.rates.setdefault("card", found["device"])  # Where gpu-rates failed.
        self.peer_nf4.append(found["nf4_bytes_per_second"])
        return found

    def rate(self, found):
        """Tokens a second of the median step."""
        return self.shape.tokens / median(self.shape.timed(found["seconds"])) if found else None


def counted_bytes(plan, device):
    """Of what `ftctl plan` predicts: the bytes that LibTorch's allocator counts on such a device. A KeyError says that a part has another
    name now."""
    return plan["memory_total_bytes"] - sum(plan["memory_bytes"][part] for part in UNCOUNTED[device])


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def attempt(what, call, *arguments):
    """(what it found, why it did not): one of them is None. Whatever fails becomes a row, and the rest is still measured."""
    print(f"gpu-bench: {what}", file=sys.stderr, flush=True)
    try:
        return call(*arguments), None
    except subprocess.TimeoutExpired as error:
        return None, f"{what}: no end after {error.timeout:.0f} s"
    except Exception as error:  # noqa: BLE001, it is shown and fails the run.
        print(f"gpu-bench: {error}", file=sys.stderr, flush=True)
        return None, f"{what}: {last_line(str(error)) or type(error).__name__}"


def setting_rows(bench, setting):
    """Ours, then the peer, and what a step of each took."""
    mine, broken = attempt(f"ours, {setting.name}", bench.train_ours, setting)
    theirs = None
    if bench.args.peer:
        theirs, their_fault = attempt(f"PEFT, {setting.name}", bench.train_peer, setting)
        broken = "; ".join(filter(None, (broken, their_fault)))
    flops = bench.model.step_flops(bench.shape.length, RANK, False)  # Model operations: what is recomputed does not count.
    gemm = bench.rates.get("gemm_flops")

    def both(what, unit, figure, **more):
        return Row(f"{setting.name}.{what}", unit, figure(mine) if mine else None, figure(theirs) if theirs else None,
                   "PEFT+bnb" if bench.args.peer else None, **more)

    def alone(what, unit, figure, **more):
        return Row(f"{setting.name}.{what}", unit, figure(mine) if mine else None, **more)
    yield both("tokens", "tok/s", bench.rate, limit=gemm / flops if gemm else None, why=broken or None)
    if bench.card:
        peak = bench.card.bf16_flops
        yield both("mfu", "%", lambda found: 100 * flops * bench.rate(found) / peak, limit=100 * gemm / peak if gemm else None)
    else:
        yield Row(f"{setting.name}.mfu", "%", None, refused="no published peak of this card is known")
    yield both("memory", "GiB", lambda found: found["device_memory"] / GIB)
    yield alone("memory_by_plan", "GiB", lambda found: found["device_memory"] / GIB, peer=mine["planned"] / GIB if mine else None,
                peer_name="plan")
    yield alone("norm_ledger_optimizer", "%", lambda found: 100 * sum(bench.shape.timed(found["optimizer_seconds"])) /
                sum(bench.shape.timed(found["seconds"])))


def nf4_row(bench, why):
    rates = [rate for rate in bench.peer_nf4 if rate]
    found = {key: value / 1e9 for key, value in bench.rates.items() if key.endswith("_per_second")}
    return Row("nf4.dequantise", "GB/s", found.get("nf4_bytes_per_second"), median(rates) / 1e9 if rates else None,
               "bnb" if rates else None, found.get("copy_bytes_per_second"), why)


def measure(bench):
    """Rows of the chosen settings, and the sentences of what stopped before any of them."""
    _, why = attempt("rates of the device", bench.measure_rates)
    # Where there is no device, 13 GB of weights are not written for it.
    nothing = why if bench.has_no_device else attempt("random weights", bench.make_model)[1]
    rows = []
    for setting in bench.args.settings:
        rows += [Row(f"{setting.name}.tokens", "", None, why=nothing)] if nothing else setting_rows(bench, setting)
    return [nf4_row(bench, why), *rows]


def scenarios(rows):
    return {row.name.partition(".")[0] for row in rows}


def floors_of(card, layers, rows):
    """Those that this run must keep."""
    if not (card and card.floors and layers == LLAMA_7B["num_hidden_layers"]):
        return ()
    return tuple(floor for floor in FLOORS if floor[0].partition(".")[0] in scenarios(rows))


def judged(floors, rows):
    """Prints PASS or FAIL for each floor; whether none is missed."""
    if not floors:
        print("no floor is judged: they are those of an H100 or H200 with 32 layers")
    by_name = {row.name: row for row in rows}
    missed = {line.partition(":")[0]: line for line in report.missed(rows, scenarios(rows), floors)}
    for row, field, sense, bound in floors:
        kept = None if row in missed else f"{row}: {field} {getattr(by_name[row], field):.3g}, floor {sense} {bound:g}"
        print(f"PASS {kept}" if kept else f"FAIL {missed[row]}")
    return not missed


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("programs", type=os.path.abspath, help="folder of finetuned, ft-worker, ft-rank, ftctl, ft-golden")
    parser.add_argument("--device", choices=("gpu", "sim"), default="gpu")
    parser.add_argument("--layers", type=int, help="of the 7B's 32 (1 on the simulated device)")
    parser.add_argument("--only", default=".", help="settings whose name matches this")
    parser.add_argument("--seconds", type=int, default=1500, help="for the whole run")
    parser.add_argument("--peer", choices=("yes", "no"), help="beside PEFT + bitsandbytes (yes on a GPU)")
    parser.add_argument("--python", default=peer.PYTHON, help="the Python that has PyTorch and the peer")
    parser.add_argument("--models", type=os.path.abspath, default=os.path.join(models.ROOT, "build", "bench", "models"))
    parser.add_argument("--json", default=os.path.join(models.ROOT, "build", "gpu_bench.json"))
    args = parser.parse_args()
    args.settings = [setting for setting in SETTINGS if re.search(args.only, setting.name)]
    if not args.settings:
        sys.exit(f"gpu-bench: no setting matches '{args.only}': there are {', '.join(setting.name for setting in SETTINGS)}")
    args.layers = args.layers or (1 if args.device == "sim" else LLAMA_7B["num_hidden_layers"])
    args.peer = args.device == "gpu" if args.peer is None else args.peer == "yes"
    return args


def write(path, bench, rows):
    shape = dataclasses.asdict(bench.shape)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"device": bench.args.device, **bench.rates, "shape": shape, "rows": [row.as_json() for row in rows]}, file, indent=1)
        file.write("\n")


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("gpu-bench: stopped"))  # So that its daemons end with it.
    with tempfile.TemporaryDirectory(prefix="ftg") as folder, Bench(args, folder) as bench:
        rows = measure(bench)
    print(f"{bench.rates.get('card', 'no card')}: products {bench.rates.get('gemm_flops', 0) / 1e12:.0f} TFLOPS, copy "
          f"{bench.rates.get('copy_bytes_per_second', 0) / 1e9:.0f} GB/s; {args.layers} layers, {bench.shape.rows} rows of "
          f"{bench.shape.length} tokens a step\n")
    floors = floors_of(bench.card, args.layers, rows)
    print(report.table(rows, scenarios(rows), floors, HEADINGS) + "\n")
    write(args.json, bench, rows)
    broken = [row for row in rows if row.why]
    for row in broken:
        print(f"not measured, {row.name}: {row.why}")
    kept = judged(floors, rows)
    print(f"{len(rows) - len(broken)} of {len(rows)} rows are whole" + ("" if kept else ", a floor is missed") +
          (f"; {broken[0].why}" if broken else ""))
    return 0 if kept and not broken else 1


if __name__ == "__main__":
    sys.exit(main())
