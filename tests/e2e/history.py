"""What happened in a test, written down for history_check (tests/control/history.h has the lines), and its judgement.

A watcher is an `ftctl events -f`: it is sent the whole log again each time it connects, so each is judged by itself.
"""

import json
import os
import struct
import subprocess
import threading
import time

import daemons

CHECKER = os.path.join(os.path.dirname(daemons.BIN), "tests", "control", "check", "history_check")
FAKE_RANK = os.path.join(os.path.dirname(daemons.BIN), "tests", "control", "fakes", "fake_rank")


FRAME = struct.Struct("<II")  # Size and checksum, before each frame of a ledger.


def read_ledger(path):
    """The ledger of one attempt: step -> its entry, digests of samples, gradient and weights, as text."""
    try:
        with open(path, "rb") as file:
            rest = file.read()
    except FileNotFoundError:
        return {}  # It ended before its first step.
    entries = {}
    while len(rest) >= FRAME.size:
        size, _ = FRAME.unpack_from(rest)
        frame, rest = rest[FRAME.size:FRAME.size + size], rest[FRAME.size + size:]
        if len(frame) == size:  # Else it died while it wrote.
            entries[json.loads(frame)["step"]] = frame
    return entries


class History:
    """Of one coordinator and its workers. Appends are whole lines, so ranks may write to the same file."""

    def __init__(self, node):
        self.node = node
        self.path = os.path.join(node.folder, "history.jsonl")
        self.watchers = []  # (name, process, thread)
        self.newest = {}    # Revision last sent, by watcher.
        self.add("clock", wall=time.time_ns())

    def add(self, kind, **fields):
        line = json.dumps({"t": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "kind": kind, **fields}) + "\n"
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line)

    def fault(self, target, phase="once"):
        self.add("fault", target=target, phase=phase)

    def watch(self):
        """One more watcher, until its stream ends."""
        name = f"watcher-{len(self.watchers)}"
        process = subprocess.Popen([os.path.join(daemons.BIN, "ftctl"), "events", "-f", "-o", "json"], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env=self.node.environment(), cwd=self.node.folder)
        self.node.started.append(process)

        def read():
            for text in process.stdout:
                event = json.loads(text)
                self.add("watch", watcher=name, stream="events", revision=int(event["revision"]), type=event["type"],
                         subject=event["subject"], to_state=event["to_state"])
                self.newest[name] = int(event["revision"])
            process.stdout.close()
        thread = threading.Thread(target=read)
        thread.start()
        self.watchers.append((name, process, thread))

    def note_processes(self):
        for pid in self.node.rank_pids():
            run = self.node.attempt_of(pid).get("run")
            if run:
                self.add("process", job=run["job_id"], epoch=run["epoch"], rank=run["ranks_on_node"][0], pid=pid)

    def finish(self):
        """Lets the last watcher catch up, and ends the history."""
        self.note_processes()
        events = self.node.ftctl("events", "--limit", "100000", "-o", "json").splitlines()
        newest = int(json.loads(events[-1])["revision"])
        if self.watchers:
            name = self.watchers[-1][0]
            daemons.wait_for(f"{name} is sent revision {newest}", lambda: self.newest.get(name, 0) >= newest, 20)
            self.add("watch_end", watcher=name, revision=newest)
        self.add("end")

    def judge(self, test, stall="15s", node_loss="120s", progress="60s"):
        """Stops the daemons and fails the test with what history_check finds."""
        self.finish()
        self.node.stop()
        for _, process, thread in self.watchers:
            process.kill()
            thread.join(daemons.STOP_TIMEOUT)
        command = [CHECKER, "--coordinator", self.node.data, "--history", self.path, "--stall", stall, "--node-loss", node_loss,
                   "--progress", progress]
        for folder in [self.node.worker_data] + self.node.other_workers:
            command += ["--worker", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        test.assertEqual(done.returncode, 0, done.stderr)
        print(done.stderr.strip().splitlines()[-1])
