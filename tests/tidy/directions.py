"""Which folder may include which: the rules of docs/architecture.md, 'Who may include whom'."""

# Inside worker/, a folder may use those of smaller rows, never its own row or a larger one.
WORKER_ROWS = {
    "comm": 0, "tokenizer": 0, "weights": 0, "ops": 0,
    "model": 1, "optim": 1, "data": 1,
    "quant": 2, "shard": 2, "prepare": 2,
    "adapt": 3, "run": 3,
    "generate": 4, "checkpoint": 4,
    "train": 5,
    "cuda": 6, "rank": 7,
}
CORE_ONLY = {"supervisor", "agent"}
CUDA_USES = {"ops", "comm"}
KERNEL_USERS = {"worker/ops", "worker/cuda"}
TORCH_FOLDERS = {"worker/" + name for name in (
    "ops", "model", "optim", "quant", "adapt", "run", "train", "checkpoint", "generate", "shard", "comm", "rank",
    "cuda")}
GRPC_FREE = {"client/render", "core/base", "core/recipe", "core/plan", "core/records", "core/ledger"}
TOPS = {"core", "kernels", "server", "worker", "client", "tests", "bench"}
# Besides itself. tests/ and bench/ may include anything.
TOP_USES = {"core": set(), "kernels": set(), "server": {"core"}, "client": {"core"}, "worker": {"core"}}


def folder_of(path):
    """`worker/data/xlsx/sheet.h` -> `worker/data`; a file of a top folder -> that folder."""
    parts = path.split("/")
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def is_test(path):
    return path.endswith(("_test.cc", "_bench.cc", "_test.cu"))


def is_torch(include):
    return include.startswith(("torch/", "ATen/", "c10/", "caffe2/"))


def is_protobuf(include):
    return (include.startswith(("google/protobuf/", "grpcpp/", "grpc/", "grpc++/", "google/rpc/"))
            or include.endswith(".pb.h"))


def is_grpc(include):
    return include.startswith(("grpcpp/", "grpc/", "grpc++/")) or include.endswith(".grpc.pb.h")


def refusal(path, target):
    """Why `path` may not include the project file `target`, or None."""
    here, there = folder_of(path), folder_of(target)
    top, other = here.split("/")[0], there.split("/")[0]
    if here == there or top in ("tests", "bench") or top not in TOPS or other not in TOPS:
        return None
    if other == "tests":
        return None if is_test(path) and there == "tests/support" else "only tests include tests/support"
    if other == "bench":
        return "nothing includes bench/"
    if other == "kernels" and top == "worker":
        return None if here in KERNEL_USERS else "kernels are used by worker/ops and worker/cuda only"
    if other != top:
        return None if other in TOP_USES[top] else f"{top}/ never includes {other}/"
    if top == "worker":
        return _worker_refusal(here.partition("/")[2], there.partition("/")[2])
    return None


def _worker_refusal(here, there):
    if here == "":  # worker/main.cc wires supervisor and agent into one program.
        return None if there in CORE_ONLY else "worker/main.cc uses supervisor and agent only"
    if here in CORE_ONLY:
        return f"worker/{here} uses core/ only"
    if there in CORE_ONLY:
        return f"nothing in worker/ includes worker/{there}"
    for name in (here, there):
        if name not in WORKER_ROWS:
            return f"worker/{name} has no row in tests/tidy/directions.py"
    if here == "cuda" and there not in CUDA_USES:
        return "worker/cuda uses kernels, ops and comm only"
    if WORKER_ROWS[there] >= WORKER_ROWS[here]:
        return (f"worker/{here} (row {WORKER_ROWS[here]}) may use only smaller rows, "
                f"worker/{there} is row {WORKER_ROWS[there]}")
    return None
