"""Rows of models with experts: a step of a Mixtral of few and small layers beside the same step of a dense model of this project's
whose products are as large: a row goes through two of eight experts, and there through an MLP as wide as both.
"""

import os

import models
import ours
from against import NEW
from report import Row, median
from training import GIB

LENGTH = 2048
STEPS = 4  # Of which the first warms up.
RANK = 16
CHOSEN = 2
DENSE = {"hidden_size": 1024, "intermediate_size": 2 * 3584, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2,
         "vocab_size": 4096, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
MIXTRAL = {**DENSE, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "intermediate_size": 3584,
           "num_local_experts": 8, "num_experts_per_tok": CHOSEN, "sliding_window": None}


def experts(context):
    """One build only: what is compared are two models."""
    node, threads = context.nodes[NEW], context.threads
    of = {name: models.random(context.kept, name, config, threads) for name, config in (("mixtral", MIXTRAL), ("dense", DENSE))}
    tokens = models.write_tokens(os.path.join(context.folder, "experts.jsonl"), DENSE["vocab_size"], LENGTH, rows=STEPS)
    jobs = {name: ours.job(f"experts_{name}", model, {"source": tokens, "format": "tokens"},
                           **{"method.rank": RANK, "train.max_steps": STEPS, "train.max_length": LENGTH, "train.packing": False})
            for name, model in of.items()}
    runs = {name: [] for name in jobs}
    for made in jobs.values():
        node.train(made)  # Builds the bases in 4 bits.
    for _ in context.pairs("experts"):
        for name, made in jobs.items():
            runs[name].append(node.train(made))
    yield from rows(runs["mixtral"], runs["dense"])


def rows(mixtral, dense):
    """REQUIRES: a run of each a pair."""
    def step(found):
        return median([median(run["seconds"][1:]) for run in found])
    yield Row("experts.step", "s", step(mixtral), step(dense), "dense")
    yield Row("experts.memory", "GiB", median([run["memory"] / GIB for run in mixtral]), median([run["memory"] / GIB for run in dense]),
              "dense")
