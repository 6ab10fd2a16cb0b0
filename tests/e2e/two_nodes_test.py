"""A job over two nodes that share no storage: what lies at the path that both call `shared` is a folder of each node's own. The ranks exchange
over Gloo, what the other node's rank owns of a checkpoint comes to rank 0, and a rank killed on either node changes no bit (decision 134).
"""

import glob
import json
import os
import shutil
import signal
import subprocess

import daemons

STEPS = 30
SLICES = 4
# A mount of its own for the program that follows: of its first folder in the place of its second.
MOUNT = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--mount",
         "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh"]


class TwoNodesTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.shared, self.private = (os.path.join(self.folder, name) for name in ("shared", "private"))
        for path in (self.shared, self.private):
            os.mkdir(path)
        self.need(shutil.which("unshare"), "unshare")
        done = subprocess.run([*MOUNT, self.private, self.shared, "true"], capture_output=True, text=True, timeout=20, check=False)
        self.need_not(f"a folder cannot be mounted here: {done.stderr.strip()}" if done.returncode else "")
        self.node = self.daemons(start=False, cores=1, coordinator_arguments=[
            "--config", self.write_config("finetuned", retry_backoff="50ms")])
        self.node.worker_arguments = ["--config", self.write_config("near", node_id="near", shared=self.shared)]
        self.node.start()

    def start_far(self):
        """The second node. Prepared data is brought to it by hand, as nothing is shared."""
        shutil.copytree(os.path.join(self.shared, "cache", "data"), os.path.join(self.private, "cache", "data"))
        config = self.write_config("far", node_id="far", shared=self.shared, cores=1, coordinator="unix:" + self.node.worker_socket)
        far = self.node.start_other_worker("far", ["--config", config], prefix=[*MOUNT, self.private, self.shared])
        daemons.wait_for("both nodes are there", lambda: len(self.node.ask("nodes")["nodes"]) == 2, 30)
        return far

    def job(self, name, ranks):
        data = self.write_tokens(daemons.random_samples(64))
        return daemons.tokens_job(name, self.small_model(), data, **{
            "method": {"kind": "full"}, "train.accumulation": 16 // ranks, "train.epochs": 1000, "train.max_steps": STEPS,
            "train.checkpoint": {"every_steps": 2, "keep_last": 2}, "parallel": {"ranks": ranks, "max_ranks": SLICES, "zero": 3}})

    def rank_on(self, worker, name, epoch):
        """Number and pid of the rank that a node runs of an attempt."""
        def probe():
            self.node.check_not_failed(name)
            for pid in daemons.children(worker.pid):
                run = self.node.attempt_of(pid).get("run", {})
                rank = daemons.number_of(pid)
                if (run.get("job_id"), run.get("epoch")) == (name, epoch) and rank is not None:
                    return rank, pid
            return None
        return daemons.wait_for(f"a rank of attempt {epoch}", probe, 60)

    def checkpoints(self, shared, name):
        return glob.glob(os.path.join(shared, "runs", name, "checkpoints", "e*-s*"))

    def test_ranks_that_share_no_folder_are_killed_on_either_node_and_end_with_the_bytes_of_one(self):
        alone = self.node.train(self.job("left-alone", ranks=1))
        far = self.start_far()
        name = self.node.submit(self.job("apart", ranks=2))
        epoch = 2  # The first one prepares.
        for step, worker in ((5, far), (15, self.node.worker)):
            self.node.wait_step(name, step)
            ranks = {self.rank_on(worker, name, epoch)[0] for worker in (self.node.worker, far)}
            self.assertEqual(ranks, {0, 1})
            os.kill(self.rank_on(worker, name, epoch)[1], signal.SIGKILL)
            epoch += 1
            self.rank_on(worker, name, epoch)
        done = self.node.finish(name)
        self.assertEqual(int(done["epoch"]), epoch)
        for key in ("adapter_sha256", "ledger_sha256"):
            self.assertEqual(alone["result"][key], done["result"][key], key)
        self.check_files(name)
        events = [json.loads(line)["message"] for line in self.node.ftctl("events", name, "-o", "json").splitlines()]
        self.assertEqual(sum("and others, from step " in message for message in events), epoch - 2, events)

    def check_files(self, name):
        """All slices lie where rank 0 ran, and none where the other rank did."""
        written = [self.checkpoints(shared, name) for shared in (self.shared, self.private)]
        self.assertEqual(sorted(map(bool, written)), [False, True], written)
        for checkpoint in written[0] or written[1]:
            self.assertEqual(sorted(os.listdir(checkpoint)),
                             ["manifest.json"] + [f"slice-{number:04}.safetensors" for number in range(SLICES)])


if __name__ == "__main__":
    daemons.main()
