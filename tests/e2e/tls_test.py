"""TLS on the users' port and mutual TLS on the workers', on loopback, with certificates made for each test."""

import hashlib
import os
import urllib.error
import urllib.request

import certificates
import daemons


class TlsTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.authority = certificates.Authority(self.folder, "ours")
        self.server = self.authority.issue("coordinator", certificates.LOOPBACK)
        self.token = self.write_file("token", "a-secret-of-alice\n")
        digest = hashlib.sha256(b"a-secret-of-alice").hexdigest()
        self.tokens = self.write_file("tokens", f"# users\nalice {digest}\n")

    def coordinator_config(self, **changes):
        keys = {"listen": daemons.free_address(), "worker_listen": daemons.free_address(), "certificate": self.server[0],
                "key": self.server[1], "worker_ca": self.authority.ca, "tokens": self.tokens, **changes}
        self.listen, self.worker_listen = keys["listen"], keys["worker_listen"]
        return self.write_config("finetuned", **{key: value for key, value in keys.items() if value})

    def worker_config(self, pair, name="worker"):
        return self.write_config(name, certificate=pair[0], key=pair[1], ca=self.authority.ca)

    def node(self, worker_pair):
        config = self.coordinator_config()
        worker = ["--config", self.worker_config(worker_pair), "--coordinator", self.worker_listen]
        return self.daemons(start=False, coordinator_arguments=["--config", config], worker_arguments=worker)

    def remote(self, **changes):
        """The environment of an ftctl that comes in over TLS."""
        return {"FTCTL_SERVER": self.listen, "FTCTL_CA": self.authority.ca, "FTCTL_TOKEN_FILE": self.token, **changes}

    @staticmethod
    def health(address):
        try:
            with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def test_a_job_runs_over_tls_and_mutual_tls(self):
        node = self.node(self.authority.issue("worker", certificates.WORKER_ROLE))
        node.start()
        data = self.write_tokens(daemons.random_samples(8))
        job = node.submit(daemons.tokens_job("job", self.small_model(), data), environment=self.remote())
        node.finish(job)
        self.assertIn("SUCCEEDED", node.ftctl("get", job, environment=self.remote()))
        self.assertEqual([self.health(node.metrics), self.health(node.worker_metrics)], [200, 200])

    def test_a_worker_without_the_role_is_refused(self):
        node = self.refused_worker(self.authority.issue("user", "URI:urn:finetuned:role:user"),
                                   "does not name the URI urn:finetuned:role:worker")
        node.worker.terminate()
        node.worker.wait(daemons.STOP_TIMEOUT)
        node.start_worker()

    def test_a_worker_of_another_ca_is_refused(self):
        other = certificates.Authority(self.folder, "other")
        node = self.refused_worker(other.issue("worker", certificates.WORKER_ROLE), "cannot register with 127.0.0.1")
        # It was never connected, so its new certificate needs no restart.
        daemons.wait_for("the worker joins with its new certificate", node.node_is_ready, 30)

    def refused_worker(self, pair, said):
        """The node of a worker that is told why, is no node, and is not healthy. It has a good certificate afterwards."""
        node = self.node(pair)
        node.start_coordinator()
        node.start_worker(wait=False)
        daemons.wait_for("the refusal is logged", lambda: said in daemons.tail(node.log("ft-worker")), 30)
        self.assertFalse(node.node_is_ready())
        self.assertEqual(self.health(node.worker_metrics), 404)
        good = self.authority.issue("good", certificates.WORKER_ROLE)
        for new, old in zip(reversed(good), reversed(pair)):
            os.replace(new, old)
        return node

    def test_plain_text_on_a_tls_port_is_refused(self):
        node = self.node(self.authority.issue("worker", certificates.WORKER_ROLE))
        node.start_coordinator()
        done = node.run("list", environment={"FTCTL_SERVER": self.listen})
        self.assertEqual(done.returncode, 3)
        self.assertIn("it does not speak plain text: give --ca FILE", done.stderr)
        worker = node.spawn("ft-worker", ["--data", node.worker_data, "--metrics", "0", "--coordinator", self.worker_listen])
        daemons.wait_for("the refusal is logged", lambda: "cannot register" in daemons.tail(node.log("ft-worker")), 30)
        self.assertIsNone(worker.poll())
        self.assertFalse(node.node_is_ready())

    def test_a_coordinator_of_another_ca_is_not_trusted(self):
        node = self.node(self.authority.issue("worker", certificates.WORKER_ROLE))
        node.start_coordinator()
        other = certificates.Authority(self.folder, "other")
        done = node.run("list", environment=self.remote(FTCTL_CA=other.ca))
        self.assertEqual(done.returncode, 3)
        self.assertIn("its certificate is not accepted", done.stderr)
        # A renewed certificate is used without a restart.
        for new, old in zip(other.issue("coordinator", certificates.LOOPBACK), self.server):
            os.replace(new, old)
        daemons.wait_for("the new certificate is shown",
                         lambda: node.run("list", environment=self.remote(FTCTL_CA=other.ca)).returncode == 0, 30)

    def test_a_missing_or_wrong_token_is_refused(self):
        node = self.node(self.authority.issue("worker", certificates.WORKER_ROLE))
        node.start_coordinator()
        node.ftctl("list", environment=self.remote())
        for token, said in (("", "wants a token"), (self.write_file("wrong", "guess"), "does not know this token")):
            done = node.run("list", environment=self.remote(FTCTL_TOKEN_FILE=token))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(said, done.stderr)

    def refused_coordinator(self, node, **changes):
        config = self.coordinator_config(**changes)
        return self.refused_daemon(node, "finetuned", ["--data", node.data, "--metrics", "0", "--config", config])

    def test_files_that_are_missing_or_wrong(self):
        node = self.daemons(start=False)
        certificate, key = self.server
        missing = os.path.join(self.folder, "none.pem")
        stranger = self.authority.issue("stranger", certificates.LOOPBACK)
        expired = self.authority.issue_expired("expired", certificates.LOOPBACK)
        for changes, said in (
                ({"certificate": missing}, f"certificate: .*{missing}.*No such file"),
                ({"key": missing}, f"key: .*{missing}.*No such file"),
                ({"worker_ca": missing}, f"worker_ca: .*{missing}.*No such file"),
                ({"tokens": missing}, f"tokens: .*{missing}.*No such file"),
                ({"certificate": key}, f"certificate: {key} holds no certificate"),
                ({"key": certificate}, f"key: {certificate} holds no private key"),
                ({"key": stranger[1]}, f"key: {stranger[1]} is not the key of the certificate in {certificate}"),
                ({"certificate": expired[0], "key": expired[1]}, "has expired"),
                ({"tokens": self.write_file("odd", "\nalice\n")}, "odd:2: write NAME and the SHA-256")):
            with self.subTest(**changes):
                self.assertRegex(self.refused_coordinator(node, **changes), said)
        config = self.worker_config((certificate, stranger[1]))
        said = self.refused_daemon(node, "ft-worker", ["--data", node.worker_data, "--metrics", "0", "--config", config,
                                                       "--coordinator", "127.0.0.1:1"])
        self.assertIn(f"key: {stranger[1]} is not the key", said)

    def test_settings_that_would_let_anyone_in(self):
        node = self.daemons(start=False)
        far = "0.0.0.0:" + daemons.free_address().rpartition(":")[2]
        for changes, said in (({"listen": far, "tokens": ""}, "name the users' tokens"),
                              ({"worker_ca": ""}, "workers must show a certificate"),
                              ({"key": ""}, "give both or neither"),
                              ({"certificate": "", "key": ""}, "need certificate and key too")):
            with self.subTest(**changes):
                self.assertIn(said, self.refused_coordinator(node, **changes))


if __name__ == "__main__":
    daemons.main()
