"""Whole jobs whose weights are divided and whose state and weights rest on disk, while ranks are killed and the disk fails: the bytes of a job
that was left alone, one sentence for each fault, and nothing left in the folder.

FT_SOAK=1 has all of the faults and more kills. FT_SEED repeats a run; the seed is printed.
"""

import os
import re
import signal

import daemons
import tier_files
from small_disk import SmallDisk
from strace import StraceTest

RANKS = 2
STEPS = 120 if daemons.SOAK else 30
DIVIDED_KILLS = 8 if daemons.SOAK else 2
DISK_KILLS = 20 if daemons.SOAK else 2
SMALL_BYTES = 256 << 10
LARGER_BYTES = 64 << 20  # A file system for a model that needs a GiB.


class OffloadTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.random = daemons.seeded_random()
        self.tiles = os.path.join(self.folder, "tiles")

    def node(self):
        os.makedirs(self.tiles, exist_ok=True)
        node = self.daemons(start=False, coordinator_arguments=["--config", self.write_config("finetuned", retry_backoff="50ms")])
        node.start()
        return node

    def job(self, name, steps=STEPS, zero=0, **tiers):
        """In full, on two ranks; `tiers` is where optimizer and parameters rest."""
        data = self.write_tokens(daemons.random_samples(64))
        offload = {"path": self.tiles, **tiers} if "disk" in tiers.values() else tiers
        return daemons.tokens_job(name, self.small_model(), data, **{
            "method": {"kind": "full"}, "train.accumulation": 8, "train.epochs": 1000, "train.max_steps": steps,
            "train.checkpoint": {"every_steps": 2, "keep_last": 2},
            "parallel": {"ranks": RANKS, "max_ranks": RANKS, "zero": zero, **({"offload": offload} if offload else {})}})

    @staticmethod
    def digests(job):
        return [job["result"][key] for key in ("adapter_sha256", "ledger_sha256")]

    @staticmethod
    def training_ranks(node, name, epoch):
        """Pids by rank, once all ranks of that attempt run."""
        def probe():
            node.check_not_failed(name)
            found = {}
            for pid in node.rank_pids():
                run = node.attempt_of(pid).get("run", {})
                rank = daemons.number_of(pid)
                if (run.get("job_id"), run.get("kind"), run.get("epoch")) == (name, "TRAIN", epoch) and rank is not None:
                    found[rank] = pid
            return found if len(found) == RANKS else None
        return daemons.wait_for(f"{RANKS} ranks of attempt {epoch}", probe, 60)


class KilledRanksTest(OffloadTest):
    def killed(self, node, job, kills):
        """The job with ranks killed at random moments, each of them as often as the others; answers it as it ended."""
        name = node.submit(job)
        victims = [kill % RANKS for kill in range(kills)]
        self.random.shuffle(victims)
        epoch = 2  # The first one prepares.
        for victim, moment in zip(victims, daemons.random_moments(self.random, kills, STEPS)):
            node.wait_moment(name, moment, 0.05)
            pid = self.training_ranks(node, name, epoch)[victim]
            for path, _ in tier_files.descriptors(pid, self.tiles):
                if tier_files.goes_past_the_page_cache(path):
                    self.assertEqual(tier_files.cached_bytes(path)[0], 0)
            os.kill(pid, signal.SIGKILL)
            epoch += 1
            self.training_ranks(node, name, epoch)
            if job["parallel"].get("offload"):
                self.assertEqual(os.listdir(self.tiles), [], "what rests on disk has no name")
        done = node.finish(name, 300)
        self.assertEqual(int(done["epoch"]), epoch)
        return done

    def test_any_rank_killed_at_random_moments_of_stage_3_changes_no_bit_and_leaves_nothing_on_disk(self):
        node = self.node()
        alone = self.digests(node.train(self.job("left-alone"), timeout=300))
        self.assertEqual(self.digests(self.killed(node, self.job("divided", zero=3), DIVIDED_KILLS)), alone)
        disk = self.killed(node, self.job("on-disk", zero=3, optimizer="disk", parameters="disk"), DISK_KILLS)
        self.assertEqual(self.digests(disk), alone)
        self.assertEqual(os.listdir(self.tiles), [])

    @daemons.only_in_soak
    def test_ranks_killed_while_values_rest_beside_their_copies_change_no_bit(self):
        node = self.node()
        alone, killed = self.job("left-alone"), self.job("beside-copies", zero=2, optimizer="disk")
        for job in (alone, killed):
            job["model"]["dtype"] = "bf16"
        expected = self.digests(node.train(alone, timeout=300))
        self.assertEqual(self.digests(self.killed(node, killed, DISK_KILLS)), expected)


class FailingTierTest(StraceTest, OffloadTest):
    READ, WRITE = "pread64", "pwrite64"
    # Jobs with the faults of each: call, error, at which of a thread's calls. A job has five attempts for failures of disks.
    SOME = (((READ, "EIO", 2), (WRITE, "ENOSPC", 1)),)
    ALL = tuple(tuple((*what, n) for n in (1, 2, 17)) for what in ((READ, "EIO"), (WRITE, "EIO"), (WRITE, "ENOSPC")))
    TEXTS = {"EIO": "Input/output error (errno 5)", "ENOSPC": "No space left on device (errno 28)"}

    def tier_files(self, pid):
        """A rank's files in the folder, by the names that strace of one age and the other has for them."""
        names = [name for _, name in tier_files.descriptors(pid, self.tiles)]
        return names + [name.removesuffix(" (deleted)") for name in names]

    def break_call(self, node, name, epoch, rank, fault):
        """Has a call of a rank's tier fail; answers what is said of the attempt's end."""
        call, error, n = fault
        node.wait_step(name, int(node.get(name)["progress"]["step"]) + 1)
        pid = self.training_ranks(node, name, epoch)[rank]
        paths = daemons.wait_for("the tier's file", lambda: self.tier_files(pid), 30)
        tracer = self.attach(pid, f"{call}:error={error}:when={n}", paths=paths)
        daemons.wait_for(f"the attempt with {fault} ends", lambda: not daemons.is_alive(pid), 60)
        self.assertGreater(self.detach(tracer), 0, fault)
        self.training_ranks(node, name, epoch + 1)
        events = [daemons.json.loads(line) for line in node.ftctl("events", name, "-o", "json").splitlines()]
        return [event["message"] for event in events if event["type"] == "ATTEMPT_ENDED"][-1]

    def check(self, what, **tiers):
        node = self.node()
        alone = self.digests(node.train(self.job("left-alone"), timeout=300))
        for faults in self.ALL if daemons.SOAK else self.SOME:
            name = node.submit(self.job("faulted", **tiers))
            for epoch, fault in enumerate(faults, start=2):  # The first one prepares.
                rank = epoch % RANKS
                verb = "read" if fault[0] == self.READ else "written"
                self.assertEqual(self.break_call(node, name, epoch, rank, fault),
                                 f"failed: rank {rank}: {what} in {self.tiles} could not be {verb}: {self.TEXTS[fault[1]]}")
            done = node.finish(name, 300)
            self.assertEqual(int(done["epoch"]), 2 + len(faults))
            self.assertEqual(self.digests(done), alone, faults)
            self.assertEqual(os.listdir(self.tiles), [])

    def test_a_disk_that_fails_under_the_optimizers_state_costs_attempts_and_no_bit(self):
        self.check("tile 1 of 1 of the optimizer's state", zero=2, optimizer="disk")

    @daemons.only_in_soak
    def test_a_disk_that_fails_under_weights_costs_attempts_and_no_bit(self):
        self.check("the trained part of the model", zero=3, parameters="disk")


class FolderTest(SmallDisk, OffloadTest):
    """A folder that cannot be used is an error of the first second: one sentence, and no step."""

    def refusal(self, node, job, states):
        """What a job is told that does not come to its first step."""
        name = node.submit(job)
        node.wait_state(name, states, 120)
        ended = daemons.wait_for("what failed", lambda: (job := node.get(name)).get("failure") and job, 30)
        self.assertEqual((int(ended["progress"]["step"]), node.steps(name)), (0, []))
        self.assertEqual(os.listdir(self.tiles), [])
        if ended["state"] != "FAILED":
            node.ftctl("cancel", name)
        return ended["failure"]["failure_class"], ended["failure"]["message"]

    def in_folder(self, path):
        job = self.job("refused", zero=3, optimizer="disk", parameters="disk")
        job["parallel"]["offload"]["path"] = path
        return job

    def test_a_folder_that_is_missing_or_a_file_or_not_writable_is_named_before_the_first_step(self):
        if not self.in_a_namespace_that_may_mount():
            return
        node = self.node()
        missing = os.path.join(self.folder, "missing")
        self.assertEqual(self.refusal(node, self.in_folder(missing), "FAILED"),
                         ("CONFIG", f"parallel.offload.path: {missing} does not exist; check the path"))
        file = self.write_file("file", "")
        self.assertEqual(self.refusal(node, self.in_folder(file), "FAILED"),
                         ("CONFIG", f"parallel.offload: {file} is no folder: give one"))
        read_only = os.path.join(self.folder, "read-only")
        with self.small_disk(read_only, SMALL_BYTES):
            self.assertEqual(self.mount("-o", "remount,ro", read_only).returncode, 0)
            self.assertEqual(self.refusal(node, self.in_folder(read_only), "FAILED"),
                             ("CONFIG", f"parallel.offload: nothing can be written into {read_only}: let this user write there, or "
                                        "give another folder"))

    def check_too_small(self, size, job):
        """Of a job whose state and weights do not find room, the sentence names what is wanted and what is free."""
        with self.small_disk(self.tiles, size):
            failure_class, told = self.refusal(self.node(), job, "RECOVERING")
        self.assertEqual(failure_class, "CHECKPOINT_IO")
        found = re.fullmatch(rf"rank \d: parallel\.offload: (.+) needs (\d+) bytes in {re.escape(self.tiles)}, (\d+) are free: make room, "
                             "or give another folder", told)
        self.assertTrue(found, told)
        wanted, free = int(found[2]), int(found[3])
        self.assertLess(free, wanted)
        self.assertLessEqual(free, size)
        return found[1], wanted

    def test_a_file_system_that_is_too_small_says_what_is_wanted_and_free(self):
        if self.in_a_namespace_that_may_mount():
            self.check_too_small(SMALL_BYTES, self.job("small", zero=2, optimizer="disk"))

    @daemons.only_in_soak
    def test_a_file_system_of_64_mib_is_too_small_for_the_demo_models_state(self):
        model = self.need_demo_model()
        if not self.in_a_namespace_that_may_mount():
            return
        job = self.job("demo", zero=2, optimizer="disk")
        job["model"]["source"] = model
        _, wanted = self.check_too_small(LARGER_BYTES, job)
        self.assertGreater(wanted, 500_000_000, "8 bytes for each weight of half of the model")


if __name__ == "__main__":
    daemons.main()
