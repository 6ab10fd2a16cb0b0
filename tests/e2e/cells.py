"""The cells of `ftctl capabilities`: which of them the matrices of the five names run, on CPUs (zero_matrix_test.py) and on simulated devices
(five_names_test.py). One list for those that run them and for capabilities_test.py, which holds the promise against it.
"""

import collections
import itertools

ADAPTER = {"rank": 4, "alpha": 8, "dropout": 0.1}
METHODS = {"qlora": {"kind": "qlora", **ADAPTER}, "int8_lora": {"kind": "int8_lora", **ADAPTER}, "lora": {"kind": "lora", **ADAPTER},
           "full": {"kind": "full"}}
RANKS = 2

Cell = collections.namedtuple("Cell", "method device offload zero")

# All of these run with FT_SOAK=1, and end with the bytes of one rank that has everything.
RUN = frozenset(Cell(*choice) for choice in itertools.product(METHODS, ("cpu", "gpu"), ("none", "cpu", "disk"), range(4)))


def of(device, method):
    """In a steady order."""
    return sorted(cell for cell in RUN if (cell.device, cell.method) == (device, method))


def division(cell):
    """Keys of a job's `parallel` that ask for the cell: at stage 3 weights rest where the optimizer's state does."""
    return {"zero": cell.zero, "offload": {"optimizer": cell.offload, "parameters": cell.offload if cell.zero == 3 else "none"}}
