"""Disks that fill up and disks that fail, below real daemons: small file systems of the test's own, and system calls that
strace has fail. Nothing acknowledged is lost, the job succeeds once the disk is well again, and history_check judges it.
"""

import os
import shutil
import signal
import subprocess
import time

import daemons
import history
from strace import StraceTest

SMALL = 24 << 20
SPARE = 64 << 10  # What a filler leaves at most.


class SmallDisk:
    """A file system of 24 MiB: ext4 on a loop device, else a tmpfs; `kind` says which, empty when neither can be had."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "small")
        os.mkdir(self.path)
        self.filler = os.path.join(self.path, "filler")
        self.kind, self.why_not = "", ""
        image = os.path.join(folder, "small.img")
        with open(image, "wb") as file:
            file.truncate(SMALL)
        for kind, commands in (("loop", [["mkfs.ext4", "-q", "-m", "0", image], ["mount", "-o", "loop", image, self.path]]),
                               ("tmpfs", [["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", self.path]])):
            if all(self.works(command) for command in commands):
                self.kind = kind
                break

    def works(self, command):
        if not shutil.which(command[0]):
            self.why_not = f"{command[0]} is not installed"
            return False
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        self.why_not = done.stderr.strip()
        return done.returncode == 0

    def fill(self):
        """Takes all that is left, and what is given back while it looks."""
        block = bytes(SPARE)
        with open(self.filler, "ab", buffering=0) as file:
            while block:
                try:
                    file.write(block)
                except OSError:
                    block = block[:len(block) // 2]
            try:
                os.fsync(file.fileno())
            except OSError:
                pass

    def free(self):
        os.unlink(self.filler)

    def close(self):
        if self.kind:
            subprocess.run(["umount", "--lazy", self.path], capture_output=True, timeout=30, check=False)


class DiskFaultsTest(daemons.DaemonTest):
    def node_with(self, **options):
        node = self.daemons(start=False, history=True, **options)
        node.worker_arguments += ["--config", self.write_config("worker", poll="20ms", nvml="none", **self.rank)]
        return node

    rank = {"rank_binary": history.FAKE_RANK}

    def small_disk(self):
        disk = SmallDisk(self.folder)
        self.addCleanup(disk.close)
        if not disk.kind:
            self.skipTest(f"neither a loop device nor a tmpfs can be mounted here: {disk.why_not}")
        print(f"a small {disk.kind} file system")
        return disk

    def submit(self, node, steps, **changes):
        job = daemons.tokens_job("job", self.folder, self.write_tokens([[1, 2, 3]]), **{
            "train.checkpoint": {"every_steps": 20, "keep_last": 2},
            "labels": {"fake_steps": str(steps), "fake_step_ms": "5"}, **changes})
        name = node.submit(job)
        node.wait_step(name, 25)
        return name

    def check_whole(self, node, name, steps, epoch=None):
        done = node.finish(name, timeout=120)
        if epoch is not None:
            self.assertEqual(int(done["epoch"]), epoch)
        self.assertEqual([int(step["step"]) for step in node.steps(name)], list(range(1, steps + 1)))
        node.history.judge(self)
        return done


class FullDiskTest(DiskFaultsTest):
    def test_full_store_refuses_changes_and_stops_nothing(self):
        disk = self.small_disk()
        node = self.node_with()
        node.move_coordinator(os.path.join(disk.path, "finetuned"))
        node.start()
        name = self.submit(node, 1500)
        node.note_fault("store", "begin")
        disk.fill()
        daemons.wait_for("a change is refused", lambda: self.is_refused(node), 60)
        self.assertEqual(node.get(name)["state"], "RUNNING")
        self.assertTrue(node.node_is_ready())
        time.sleep(20)  # Longer than a lease.
        self.assertTrue(node.node_is_ready())
        self.assertIsNone(node.coordinator.poll())
        disk.free()
        node.note_fault("store", "end")
        daemons.wait_for("changes are taken again", lambda: not self.is_refused(node), 60)
        self.check_whole(node, name, 1500, epoch=2)

    def is_refused(self, node):
        """Whether a job is refused for want of space; one that is taken is cancelled at once."""
        probe = daemons.tokens_job("probe", self.folder, os.path.join(self.folder, "tokens.jsonl"))
        done = node.run("submit", node.write_job(probe), "-o", "json")
        if done.returncode == 0:
            node.ftctl("cancel", daemons.json.loads(done.stdout)["name"])
            return False
        self.assertIn("disk is full", done.stderr)
        return True

    def test_full_spool_costs_attempts_and_no_job(self):
        disk = self.small_disk()
        node = self.node_with()
        node.worker_data = os.path.join(disk.path, "worker")
        node.start()
        name = self.submit(node, 900)
        node.note_fault("rank", "begin")
        disk.fill()
        daemons.wait_for("the rank ends for want of space", lambda: self.epoch(node, name) > 2 or not node.rank_pids(), 60)
        time.sleep(2)
        disk.free()
        node.note_fault("rank", "end")
        done = self.check_whole(node, name, 900)
        self.assertGreater(int(done["epoch"]), 2)

    @staticmethod
    def epoch(node, name):
        return int(node.get(name)["epoch"])


class FailingCallsTest(StraceTest, DiskFaultsTest):
    def test_coordinator_whose_sync_fails_ends_at_once_and_loses_nothing(self):
        node = self.node_with()
        node.start()
        name = self.submit(node, 1500)
        deaths = 0
        for when in (1, 2, 5, 9, 14):
            node.note_fault("coordinator", "begin")
            node.coordinator.kill()
            node.coordinator.wait(daemons.STOP_TIMEOUT)
            node.coordinator_prefix = self.strace(f"fdatasync,fsync:error=EIO:when={when}")
            node.start_coordinator(wait=False)
            try:
                status = node.coordinator.wait(20)
            except subprocess.TimeoutExpired:
                continue  # It had no more to sync than that.
            deaths += 1
            # Only a folder that could not be made safe at the start is said with words.
            self.assertIn(status, (-signal.SIGABRT, 2), daemons.tail(node.log("finetuned")))
            node.note_fault("coordinator", "begin")
            node.coordinator_prefix = []
            node.start_coordinator()
        self.assertGreaterEqual(deaths, 3)
        self.check_whole(node, name, 1500, epoch=2)

    def test_coordinator_whose_writes_find_no_space_goes_on_afterwards(self):
        node = self.node_with()
        node.coordinator_prefix = self.strace("pwrite64:error=ENOSPC:when=150..170")
        node.start()
        self.check_whole(node, self.submit(node, 600), 600, epoch=2)

    def test_agent_whose_disk_fails_loses_nothing(self):
        node = self.node_with()
        node.start()
        name = self.submit(node, 800)
        injected = 0
        for inject in ("fsync:error=EIO", "openat:error=EIO:when=3+9", "rename:error=ENOSPC", "pread64:error=EIO:when=2+5"):
            node.note_fault("agent")
            tracer = self.attach(node.agent_pid(), inject)
            time.sleep(1)
            injected += self.detach(tracer)
        self.assertGreater(injected, 3)
        self.check_whole(node, name, 800, epoch=2)


class FailingRankTest(StraceTest, DiskFaultsTest):
    """The same with real ranks: a checkpoint that cannot be made durable costs its attempt, and no bit."""

    rank = {}

    def test_rank_whose_checkpoint_cannot_be_synced_tries_again(self):
        node = self.node_with(cores=1)
        node.start()
        job = daemons.tokens_job("job", self.small_model(), self.write_tokens(daemons.random_samples(64)), **{
            "train.accumulation": 16, "train.epochs": 1000, "train.max_steps": 40,
            "train.checkpoint": {"every_steps": 5, "keep_last": 2}})
        one = node.train({**job, "name": "left-alone"})
        name = node.submit(job)
        node.wait_step(name, 6)
        node.note_fault("rank")
        tracer = self.attach(node.training_rank(name), "fsync,fdatasync:error=EIO")
        node.wait_state(name, "RECOVERING", 60)
        self.assertGreater(self.detach(tracer), 0)
        self.assertEqual(node.get(name)["failure"]["failure_class"], "CHECKPOINT_IO")
        two = self.check_whole(node, name, 40)
        self.assertEqual(two["result"]["adapter_sha256"], one["result"]["adapter_sha256"])


if __name__ == "__main__":
    daemons.main()
