"""Clients that do what nobody should do keep nobody else waiting, and daemons that stand still say so.

The client is a default one of Python's grpcio, without a setting of our own. FT_SOAK=1 reads two million old events instead of
a hundred thousand.
"""

import ctypes
import glob
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import daemons

SILENT = 200  # Connections on each port.
OLD_TOKENS = 20
OLD_EVENTS = 2_000_000 if daemons.SOAK else 100_000
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


def page(address, path, timeout=5):
    """Status and text of a page."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def thread_of(pid, name):
    """The id of a process's thread by its name."""
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
            if file.read().strip() == name:
                return int(task)
    raise AssertionError(f"process {pid} has no thread called {name}")


class StoppedThread:
    """One thread of a child process that stands still while the others go on."""

    def __init__(self, pid, name):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.thread = thread_of(pid, name)

    def ask(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace({request:#x})")

    def __enter__(self):
        self.ask(PTRACE_SEIZE)
        self.ask(PTRACE_INTERRUPT)
        os.waitpid(self.thread, 0x40000000)  # __WALL
        return self

    def __exit__(self, *_):
        self.ask(PTRACE_DETACH)


class HostileTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        root = os.path.join(daemons.ROOT, "proto")
        protos = glob.glob(os.path.join(root, "finetune", "v1", "*.proto"))
        protos.append(os.path.join(root, "finetune", "worker", "v1", "records.proto"))
        stubs = os.path.join(self.folder, "stubs")
        os.mkdir(stubs)
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", root, f"--python_out={stubs}",
                        f"--grpc_python_out={stubs}"] + protos, check=True, timeout=60)
        sys.path.insert(0, stubs)
        import grpc  # pylint: disable=import-outside-toplevel  # Of the peers, which only the run has.
        from finetune.v1 import events_pb2, events_pb2_grpc, jobs_pb2, jobs_pb2_grpc
        self.grpc, self.jobs_pb, self.events_pb = grpc, jobs_pb2, events_pb2
        self.jobs_stub, self.events_stub = jobs_pb2_grpc.JobServiceStub, events_pb2_grpc.EventServiceStub

    def start(self):
        self.users, self.workers, self.probes = (daemons.free_address() for _ in range(3))
        config = self.write_config("coordinator", listen=self.users, worker_listen=self.workers, probes=self.probes)
        node = self.daemons(start=False, coordinator_arguments=["--config", config])
        node.start_coordinator()
        channel = self.grpc.insecure_channel(self.users)
        self.addCleanup(channel.close)
        self.jobs, self.events = self.jobs_stub(channel), self.events_stub(channel)
        return node

    def create(self, name, labels=None, timeout=10, **fields):
        text = f"name: {name}\nmodel: {self.folder}\ndata: {self.folder}/d.jsonl\n"
        job = self.jobs_pb.Job(config_yaml=text, labels=labels or {})
        return self.jobs.CreateJob(self.jobs_pb.CreateJobRequest(job=job, **fields), timeout=timeout)

    def refused(self, what, call):
        with self.assertRaises(self.grpc.RpcError, msg=what) as caught:
            call()
        self.assertEqual(caught.exception.code(), self.grpc.StatusCode.INVALID_ARGUMENT, caught.exception.details())
        return caught.exception.details()

    def quickly(self, what, call):
        start = time.monotonic()
        answer = call()
        self.assertLess(time.monotonic() - start, 1, what)
        return answer

    def test_silent_clients_keep_nobody_waiting(self):
        node = self.start()
        job = self.create("one")
        silent = []
        for address in (self.users, self.workers, self.probes, node.metrics):
            host, port = address.rsplit(":", 1)
            for i in range(SILENT):
                connection = socket.create_connection((host, int(port)), timeout=5)
                if i % 2:
                    connection.sendall(b"GET /me" if i % 4 == 1 else b"PRI * HTTP/2.0\r\n")
                silent.append(connection)
        for _ in range(3):
            self.assertEqual(self.quickly("/livez", lambda: page(self.probes, "/livez"))[0], 200)
            self.assertEqual(self.quickly("/readyz", lambda: page(self.probes, "/readyz"))[0], 200)
            self.assertEqual(self.quickly("/metrics", lambda: page(node.metrics, "/metrics"))[0], 200)
            self.quickly("GetJob", lambda: self.jobs.GetJob(self.jobs_pb.GetJobRequest(name=job.name), timeout=5))
        for connection in silent:
            connection.close()

    def test_a_loop_that_stands_still_is_not_live(self):
        node = self.start()
        with StoppedThread(node.coordinator.pid, "state-loop"):
            status, text = daemons.wait_for("it is not live", lambda: (lambda found: found if found[0] == 503 else None)(
                page(self.probes, "/livez")), 30)
            self.assertEqual(status, 503)
            self.assertIn("the state loop has not turned for", text)
            self.assertEqual(page(node.metrics, "/metrics")[0], 200)
        daemons.wait_for("it is live again", lambda: page(self.probes, "/livez")[0] == 200, 10)
        node.coordinator.terminate()
        self.assertEqual(node.coordinator.wait(10), 0)

    def test_a_worker_is_ready_while_it_takes_work(self):
        probes = daemons.free_address()
        config = self.write_config("worker", probes=probes, nvml="none")
        node = self.daemons(start=False, worker_arguments=["--config", config])
        node.start_coordinator()
        node.start_worker()
        daemons.wait_for("it is ready", lambda: page(probes, "/readyz")[0] == 200, 10)
        node.kill_coordinator()
        daemons.wait_for("it says what it lacks", lambda: "no contact" in page(probes, "/readyz")[1], 30)
        self.assertEqual(page(probes, "/livez")[0], 200)

    def test_oversized_requests_leave_lists_and_watches_whole(self):
        node = self.start()
        reasons = [
            self.refused("labels", lambda: self.create("j", labels={"a": "x" * 70_000})),
            self.refused("name", lambda: self.create("n" * 300)),
            self.refused("request id", lambda: self.create("j", request_id="r" * 300)),
            self.refused("a queue", lambda: self.jobs.CreateJob(self.jobs_pb.CreateJobRequest(job=self.jobs_pb.Job(
                config_yaml=f"name: j\nmodel: {self.folder}\ndata: {self.folder}/d\nresources: {{queue: other}}\n")), timeout=10)),
            self.refused("a reason", lambda: self.jobs.CancelJob(
                self.jobs_pb.CancelJobRequest(name="j", reason="r" * 10_000), timeout=10)),
        ]
        for part in ("labels: have 70001 bytes", "name: has 300 bytes", "request_id: has 300 bytes", "there is no queue 'other'",
                     "reason: has 10000 bytes"):
            self.assertTrue(any(part in reason for reason in reasons), f"{part}: {reasons}")
        labels = {"note": "x" * 60_000}
        names = [self.create(f"job{i}", labels=labels if i % 20 == 0 else None).name for i in range(1000)]
        for view in (self.jobs_pb.BASIC, self.jobs_pb.FULL):
            listed, token = [], ""
            while True:
                answer = self.jobs.ListJobs(self.jobs_pb.ListJobsRequest(page_size=1000, page_token=token, view=view), timeout=10)
                self.assertLess(answer.ByteSize(), 3.2e6)
                listed += answer.jobs
                token = answer.next_page_token
                if not token:
                    break
            self.assertEqual([job.name for job in listed], names[::-1])
            for job in listed[::100]:
                self.assertEqual(bool(job.config_yaml and job.resolved_config_json), view == self.jobs_pb.FULL)
        seen = set()
        for item in self.jobs.WatchJobs(self.jobs_pb.WatchJobsRequest(), timeout=30):
            if item.synced:
                break
            seen.add(item.job.name)
        self.assertEqual(seen, set(names))
        for i in range(300):
            self.create("spread", parent=f"namespaces/n{i}")
        lines = [line for line in page(node.metrics, "/metrics")[1].splitlines() if line and not line.startswith("#")]
        self.assertLess(len(lines), 3000)

    def test_a_reader_that_reads_is_never_dropped(self):
        node = self.start()
        for i in range(2000):
            self.create(f"job{i}")
        watch = self.jobs.WatchJobs(self.jobs_pb.WatchJobsRequest(), timeout=120)
        state = {"changed": 0, "synced": threading.Event(), "error": None}

        def read():
            try:
                for item in watch:
                    if item.synced:
                        state["synced"].set()
                    elif state["synced"].is_set():
                        state["changed"] += item.HasField("job")
            except self.grpc.RpcError as error:
                state["error"] = error
        thread = threading.Thread(target=read)
        thread.start()
        self.assertTrue(state["synced"].wait(30))
        # A node that takes one preparation and cannot train: all the others change their reason in one pass.
        config = self.write_config("small", node_id="small", cores=1, prepare_slots=1, nvml="none",
                                   coordinator="unix:" + node.worker_socket, rank_binary="/bin/false")
        node.start_other_worker("small", ["--config", config])
        daemons.wait_for("all have changed", lambda: state["changed"] >= 1999, 60)
        self.assertIsNone(state["error"])
        watch.cancel()
        thread.join(10)

    def old_token(self, node):
        """A token of the store's beginning, and many events behind it."""
        watch = self.events.WatchEvents(self.events_pb.WatchEventsRequest(), timeout=10)
        token = next(item.resume_token for item in watch if item.synced)
        watch.cancel()
        node.coordinator.terminate()
        node.coordinator.wait(10)
        store = sqlite3.connect(os.path.join(node.data, "coordinator.db"))
        first = int(store.execute("SELECT value FROM meta WHERE key='revision'").fetchone()[0]) + 1
        event = self.events_pb.Event(subject="namespaces/default/jobs/old", type="JOB_STATE", message="x" * 60)

        def rows():
            for revision in range(first, first + OLD_EVENTS):
                event.revision = revision
                yield revision, event.subject, event.type, event.SerializeToString()
        with store:
            store.executemany("INSERT INTO events VALUES (?,?,?,?)", rows())
            store.execute("UPDATE meta SET value=? WHERE key IN ('revision', 'revision_limit')", (str(first + OLD_EVENTS),))
        store.close()
        node.start_coordinator()
        return token

    def test_old_tokens_delay_nobody(self):
        node = self.start()
        token = self.old_token(node)
        counts = [0] * OLD_TOKENS
        watches = []

        def read(index):
            with self.grpc.insecure_channel(self.users) as channel:
                watch = self.events_stub(channel).WatchEvents(self.events_pb.WatchEventsRequest(resume_token=token), timeout=900)
                watches.append(watch)
                try:
                    for item in watch:
                        counts[index] += item.HasField("event")
                        if item.synced:
                            return
                except self.grpc.RpcError:
                    return
        threads = [threading.Thread(target=read, args=(i,)) for i in range(OLD_TOKENS)]
        for thread in threads:
            thread.start()
        daemons.wait_for("all are being read", lambda: min(counts) > 0, 30)
        took, start = [], time.monotonic()
        while time.monotonic() - start < 5:
            before = time.monotonic()
            self.create("busy")
            took.append(time.monotonic() - before)
            time.sleep(0.02)
        # Of what Python itself needs while twenty of its threads read, the middle tells; of the coordinator's delay, the worst.
        print(f"{len(took)} creates, median {sorted(took)[len(took) // 2] * 1e3:.1f} ms, worst {max(took) * 1e3:.1f} ms; "
              f"{sum(counts)} events read")
        delays = self.create_delays(node)
        # Alone on the machine (PROCESSORS 2): what other tests take from it is not the coordinator's delay.
        self.assertLessEqual(delays, 0.1, "seconds for one CreateJob")
        for watch in watches:
            watch.cancel()
        for thread in threads:
            thread.join(10)

    def create_delays(self, node):
        """The upper edge of the slowest CreateJob, as the coordinator measured it, in seconds."""
        buckets = {}
        for line in page(node.metrics, "/metrics")[1].splitlines():
            if line.startswith("finetune_rpc_server_handling_seconds_bucket") and 'method="CreateJob"' in line:
                edge = line.partition('le="')[2].partition('"')[0]
                buckets[float("inf") if edge == "+Inf" else float(edge)] = float(line.rpartition(" ")[2])
        return min(edge for edge, count in buckets.items() if count == max(buckets.values()))


if __name__ == "__main__":
    daemons.main()
