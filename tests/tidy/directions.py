"""Which folder may include which: the rules of docs/architecture.md, 'Who may include whom'."""

# The wings of worker/: their rooms by rows, and what else a wing may use ("wing", or "wing/room"). Inside a wing, a room uses
# rooms of smaller rows, never its own row or a larger one. A wing without rooms is one folder.
WORKER_WINGS = {
    "node": ({"supervisor": 0, "agent": 0}, set()),
    "device": ({}, set()),
    "model": ({"weights": 0, "ops": 0, "params": 1, "decoder": 2, "run": 3, "generate": 4}, {"device"}),
    "data": ({"tokenizer": 0, "cache": 0, "readers": 1, "jinja": 1, "chat": 2, "prepare": 3}, {"model/weights"}),
    "train": ({"cuda": 0, "offload": 0, "optim": 1, "comm": 1, "shard": 2, "checkpoint": 3, "trainer": 4}, {"device", "model", "data"}),
    "rank": ({}, {"device", "model", "data", "train"}),
}
# The rooms of client/ by rows: a room uses rooms of smaller rows. client/main.cc uses what it likes.
CLIENT_ROOMS = {"job": 0, "connect": 0, "render": 0, "session": 1, "daemons": 2, "stored": 2, "transfer": 2, "follow": 3,
                "commands": 4}
KERNEL_USERS = {"worker/model/ops", "worker/train/cuda"}
TORCH_FOLDERS = {"worker/" + name for name in (
    "device", "model/ops", "model/params", "model/decoder", "model/run", "model/generate", "train/comm", "train/offload", "train/optim", "train/shard",
    "train/checkpoint", "train/trainer", "train/cuda", "rank")}
GRPC_FREE = {"client/render", "core/base", "core/recipe", "core/recipes", "core/hub", "core/plan", "core/records", "core/ledger"}
TOPS = {"core", "kernels", "server", "worker", "client", "tests", "bench"}
# Besides itself. tests/ and bench/ may include anything.
TOP_USES = {"core": set(), "kernels": set(), "server": {"core"}, "client": {"core"}, "worker": {"core"}}


def folder_of(path):
    """`worker/data/readers/sheet.h` -> `worker/data/readers`, `core/base/file.h` -> `core/base`; a file of a top folder -> that
    folder."""
    parts = path.split("/")[:-1]
    return "/".join(parts[:3 if parts[0:1] == ["worker"] else 2])


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
        return None if here in KERNEL_USERS else "kernels are used by worker/model/ops and worker/train/cuda only"
    if other != top:
        return None if other in TOP_USES[top] else f"{top}/ never includes {other}/"
    if top == "worker":
        return _worker_refusal(here.partition("/")[2], there.partition("/")[2])
    if top == "client" and here != "client":
        return _client_refusal(here.partition("/")[2], there.partition("/")[2])
    return None


def _client_refusal(here, there):
    for name in (here, there):
        if name not in CLIENT_ROOMS:
            return f"client/{name} has no row in tests/tidy/directions.py"
    return _row_refusal("client", here, CLIENT_ROOMS[here], there, CLIENT_ROOMS[there])


def _row_refusal(top, here, row, there, other_row):
    if other_row < row:
        return None
    return f"{top}/{here} (row {row}) may use only smaller rows, {top}/{there} is row {other_row}"


def _worker_refusal(here, there):
    if here == "":  # worker/main.cc wires supervisor and agent into one program.
        return None if there.startswith("node/") else "worker/main.cc uses supervisor and agent only"
    for name in (here, there):
        wing, _, room = name.partition("/")
        if wing not in WORKER_WINGS or (room or WORKER_WINGS[wing][0]) and room not in WORKER_WINGS[wing][0]:
            return f"worker/{name} has no row in tests/tidy/directions.py"
    (wing, _, room), other_wing = here.partition("/"), there.partition("/")[0]
    rooms, uses = WORKER_WINGS[wing]
    if wing != other_wing:
        return None if {there, other_wing} & uses else f"worker/{wing} uses {', '.join(sorted(uses)) or 'core'}, not worker/{there}"
    return _row_refusal("worker", here, rooms[room], there, rooms[there.partition("/")[2]])

