"""Nodes whose GPUs are simulated accelerators (docs/simulated-device.md): what the tests of whole jobs on them share."""

import os

import daemons

BUILD = os.path.dirname(daemons.BIN)
RANK = os.path.join(BUILD, "tests", "ft-rank-simulated")
NVML = os.path.join(BUILD, "tests", "control", "fakes", "libfake_nvml.so")
LIBRARY = os.path.join(BUILD, "lib", "libft_sim.so")
STEPS = 6
SAMPLES = 48


def gpu_job(name, model, data, **changes):
    settings = {"resources": {"device": "gpu", "threads": 1}, "train.max_steps": STEPS, "train.epochs": 100, "method.dropout": 0.1,
                "train.checkpoint": {"every_steps": 2, "keep_last": 2}}
    settings.update(changes)
    return daemons.tokens_job(name, model, data, **settings)


class GpuNodeTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.faults = os.path.join(self.folder, "fault")
        self.model = self.small_model()
        self.data = self.write_tokens(daemons.random_samples(SAMPLES))

    def rank_program(self):
        """A program that becomes the rank, with the fault of the moment: a fault is the process's own, as on a card that failed."""
        path = self.write_file("rank.sh", f"#!/bin/sh\nif [ -s {self.faults} ]; then export FT_SIM_FAULT=$(cat {self.faults}); fi\n"
                                          f"exec {RANK} \"$@\"\n")
        os.chmod(path, 0o755)
        return path

    def node(self, cores=2, slots=1, **variables):
        config = self.write_config("worker", nvml=NVML, rank_binary=self.rank_program(), poll="20ms", slots_per_device=slots)
        node = self.daemons(cores=cores, start=False, worker_arguments=["--config", config])
        node.variables = {"FT_CUDA_LIBRARY": LIBRARY, **variables}
        node.start()
        return node

    def fault(self, text):
        with open(self.faults, "w", encoding="utf-8") as file:
            file.write(text)
