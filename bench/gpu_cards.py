"""Cards whose makers publish a rate of dense bf16 products, for MFU and to know whose floors are promised.

Rates are those without sparsity (data sheets print twice as much with it), accumulated in float32:
  H100       NVIDIA H100 Tensor Core GPU data sheet: 1,979 (SXM), 1,513 (PCIe), 1,671 (NVL) TFLOPS with sparsity
  H200       NVIDIA H200 Tensor Core GPU data sheet: 1,979 (SXM), 1,671 (NVL) TFLOPS with sparsity
  A100       NVIDIA A100 Tensor Core GPU data sheet: 312 TFLOPS
"""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Card:
    name: str          # Matches what the driver calls it.
    bf16_flops: float  # A second.
    floors: bool       # Whether the floors of bench/gpu_bench.py are promised on it.


CARDS = (
    Card(r"H200 NVL", 835e12, True),
    Card(r"H200", 989e12, True),
    Card(r"H100 NVL", 835e12, True),
    Card(r"H100 PCIe", 756e12, True),
    Card(r"H100", 989e12, True),
    Card(r"A100", 312e12, False),
)


def card_of(name):
    """The first that matches; None for others, and for a slice of a card, which has a part of its rate."""
    if not name or "MIG" in name:
        return None
    return next((card for card in CARDS if re.search(rf"\b{card.name}\b", name)), None)
