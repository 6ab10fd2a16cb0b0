"""F13: agent and coordinator are parted by a real network that loses, loses one way, or delays; ranks see each other.

The coordinator and one of two agents sit in network namespaces of their own (wire.py) and speak TLS; the other agent is
beside the test. Ranks are fake ones that step together. history_check judges every test.
"""

import os
import time

import certificates
import daemons
import history
import wire

LEASE, STALL, NODE_LOSS = "1s", "1s", "3s"
PORT = 7000  # Of a namespace of our own.


class PartitionTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.need_not(wire.why_not())
        self.wire = wire.Wire()
        self.addCleanup(self.wire.close)
        authority = certificates.Authority(self.folder, "ours")
        server = authority.issue("coordinator", f"IP:{wire.SERVER}")
        worker = authority.issue("worker", certificates.WORKER_ROLE)
        self.node = self.daemons(start=False, cores=1, history=True)
        self.node.coordinator_prefix = self.wire.inside("server")
        self.node.coordinator_arguments = ["--config", self.write_config(
            "finetuned", worker_listen=f"{wire.SERVER}:{PORT}", certificate=server[0], key=server[1], worker_ca=authority.ca,
            lease=LEASE, stall=STALL, node_loss_timeout=NODE_LOSS, retry_backoff="50ms")]
        common = {"rank_binary": history.FAKE_RANK, "shared": os.path.join(self.folder, "shared"), "poll": "5ms", "nvml": "none"}
        self.node.worker_arguments = ["--config", self.write_config("near", node_id="near", **common)]
        self.far = self.write_config("far", node_id="far", cores=1, coordinator=f"{wire.SERVER}:{PORT}", certificate=worker[0],
                                     key=worker[1], ca=authority.ca, **common)

    def start(self, near=True):
        self.node.start_coordinator()
        if near:
            self.node.start_worker()
        self.node.start_other_worker("far", ["--config", self.far], prefix=self.wire.inside("client"))
        daemons.wait_for("all nodes are there", lambda: self.states() == ["READY"] * (2 if near else 1), 30)

    def states(self):
        done = self.node.run("nodes", "-o", "json", timeout=5)
        return [node["state"] for node in daemons.json.loads(done.stdout)["nodes"]] if done.returncode == 0 else []

    def submit(self, steps, ranks):
        data = self.write_tokens([[1, 2, 3]])
        job = daemons.tokens_job("job", self.folder, data, **{
            "train.checkpoint": {"every_steps": 20, "keep_last": 2}, "parallel": {"ranks": ranks},
            "labels": {"fake_steps": str(steps), "fake_step_ms": "5"}})
        name = self.node.submit(job)
        self.node.wait_step(name, 5)
        return name

    def part(self, how, seconds):
        self.node.history.fault("network", "begin")
        self.wire.tell(how)
        time.sleep(seconds)
        self.wire.tell("pass")
        self.node.history.fault("network", "end")

    def wait_contact(self, name, lost):
        daemons.wait_for(f"contact_lost is {lost}", lambda: self.node.get(name)["contact_lost"] == lost, 30)

    def finish(self, name, steps, epoch):
        done = self.node.finish(name)
        self.assertEqual(int(done["epoch"]), epoch)
        self.assertEqual([int(step["step"]) for step in self.node.steps(name)], list(range(1, steps + 1)))
        self.node.history.judge(self, stall=STALL, node_loss=NODE_LOSS)

    def events(self):
        return [daemons.json.loads(line)["type"] for line in self.node.ftctl("events", "-o", "json").splitlines()]

    def test_gang_that_steps_outlives_cuts_of_any_kind(self):
        self.start()
        # Twice as long as the cuts and what follows them take: a gang that ends while it is cut is another matter.
        name = self.submit(3000, ranks=2)
        for how, seconds in (("cut", 0.4), ("cut", 2.5), ("unplugged", 1.5), ("to_server", 1.8), ("to_client", 1.8)):
            self.part(how, seconds)
            self.wait_contact(name, lost=False)
        self.assertIn("ATTEMPT_ALIVE", self.events())
        self.finish(name, 3000, epoch=2)

    def test_late_packets_are_no_lost_ones(self):
        self.start()
        name = self.submit(600, ranks=2)
        self.part("0.08", 3)
        self.assertNotIn("NODE_SUSPECT", self.events())
        self.finish(name, 600, epoch=2)

    def test_node_that_nobody_can_witness_is_given_up_after_its_time(self):
        self.start(near=False)
        name = self.submit(1000, ranks=1)
        self.node.wait_step(name, 25)  # Beyond its first checkpoint.
        self.node.history.fault("network", "begin")
        self.wire.tell("cut")
        daemons.wait_for("it is given up", lambda: "ATTEMPT_DEAD" in self.events(), 30)
        self.wire.tell("pass")
        self.node.history.fault("network", "end")
        self.finish(name, 1000, epoch=3)


if __name__ == "__main__":
    daemons.main()
