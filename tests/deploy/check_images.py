"""Starts both images as a cluster would, without an engine: `buildah run` with chroot isolation and the host's loopback.
A coordinator and a worker with the very files of the ConfigMaps, certificates where the Secrets put them, speak TLS;
ftctl of the coordinator's image reaches it, sees the worker register, and has a job of two steps trained.

    check_images.py        with the Python of .deps/deploy; needs root rights, and the images of `make images`
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import certificates  # noqa: E402
import daemons  # noqa: E402

MANIFESTS = os.path.join(daemons.ROOT, "deploy", "kubernetes")
USER = 10001  # As in docker/ and deploy/kubernetes/.
TOKEN = "a-secret-of-alice"


def ask(*words, timeout=120):
    """Standard output of a command that must succeed."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise SystemExit(f"check-deploy: {' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


class Image:
    """A container of an image; `mounts` is {path inside: path here}."""

    def __init__(self, name, mounts):
        self.name = name
        self.container = ask("buildah", "from", "--pull-never", f"localhost/{name}:0.1.0")
        self.mounts = [word for inside, here in mounts.items() for word in ("-v", f"{here}:{inside}:rw")]
        self._log = None
        self.process = None

    def command(self, *words):
        return ["buildah", "run", "--isolation", "chroot", "--network", "host", *self.mounts, self.container, "--", *words]

    def start(self, folder, *words):
        self._log = open(os.path.join(folder, self.name + ".log"), "w+b")
        self.process = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                                        start_new_session=True)

    def log(self):
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(30)
        ask("buildah", "rm", self.container)


class Cluster:
    """The files that Kubernetes would mount, below one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.addresses = {port: daemons.free_address() for port in ("7717", "7718", "9464", "9465", "9466", "9467")}
        authority = certificates.Authority(folder, "authority")
        server = authority.issue("coordinator", certificates.LOOPBACK)
        worker = authority.issue("worker", certificates.WORKER_ROLE)
        for name, pair in (("coordinator", server), ("worker", worker)):
            for target, source in (("tls.crt", pair[0]), ("tls.key", pair[1]), ("ca.crt", authority.ca)):
                with open(source, encoding="utf-8") as file:
                    self._write(f"{name}-tls/{target}", file.read())
        self._write("tokens/tokens", f"alice {hashlib.sha256(TOKEN.encode()).hexdigest()}\n")
        self._write("user/token", TOKEN + "\n")
        shutil.copytree(daemons.model_case(), self.path("shared/model"))
        self._write("user/data.jsonl", "".join(json.dumps({"input_ids": ids, "labels": ids}) + "\n"
                                               for ids in daemons.random_samples(4)))
        self._write("user/job.yaml", json.dumps(
            daemons.tokens_job("job", "/srv/finetune/model", "data.jsonl", **{"train.max_steps": 2})))
        self._config("coordinator", "finetuned.yaml")
        self._config("gpu-workers", "ft-worker.yaml")
        for name in ("state", "runs", "uploads", "shared-runs"):
            os.mkdir(self.path(name))
            os.chown(self.path(name), USER, USER)

    def path(self, name):
        return os.path.join(self.folder, name)

    def _config(self, folder, name):
        """A file of a ConfigMap on loopback: same keys, other addresses."""
        with open(os.path.join(MANIFESTS, folder, name), encoding="utf-8") as file:
            text = re.sub(r"(?:0\.0\.0\.0|finetune-workers):(\d+)", lambda found: self.addresses[found[1]], file.read())
        self._write(f"{folder}-config/{name}", text)

    def _write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chown(path, USER, USER)

    def coordinator(self):
        return Image("finetuned-coordinator", {
            "/var/lib/finetuned": self.path("state"), "/etc/finetuned/config": self.path("coordinator-config"),
            "/etc/finetuned/tls": self.path("coordinator-tls"), "/etc/finetuned/tokens": self.path("tokens"),
            "/etc/finetuned/user": self.path("user"), **self.shared()})

    def worker(self):
        return Image("finetuned-worker", {
            "/var/lib/ft-worker": self.path("runs"), "/srv/finetune-runs": self.path("shared-runs"),
            "/etc/finetuned/config": self.path("gpu-workers-config"),
            "/etc/finetuned/tls": self.path("worker-tls"), **self.shared()})

    def shared(self):
        """The volume that coordinator and workers see at the same paths."""
        return {"/srv/finetune": self.path("shared"), "/var/lib/finetuned/uploads": self.path("uploads")}


def healthy(address):
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def check(cluster, coordinator, worker):
    for image, program, word in ((coordinator, "finetuned", "--version"), (coordinator, "ftctl", "version"),
                                 (worker, "ft-worker", "--version"), (worker, "ft-rank", "version")):
        print(f"check-deploy: {image.name}: {program}:", ask(*image.command(program, word)).splitlines()[0])
    print("check-deploy: runs as", ask(*coordinator.command("id", "-u")), "and", ask(*worker.command("id", "-u")))
    coordinator.start(cluster.folder, "finetuned", "--config", "/etc/finetuned/config/finetuned.yaml")
    daemons.wait_for("the coordinator's /readyz is 200", lambda: healthy(cluster.addresses["9466"]), 60)
    ftctl = ["ftctl", "--server", cluster.addresses["7717"], "--ca", "/etc/finetuned/tls/ca.crt", "--token-file",
             "/etc/finetuned/user/token"]
    print("check-deploy: ftctl list:", ask(*coordinator.command(*ftctl, "list")) or "(no jobs)")
    worker.start(cluster.folder, "ft-worker", "--config", "/etc/finetuned/config/ft-worker.yaml", "--node-id", "node-1",
                 "--address", "127.0.0.1")
    daemons.wait_for("the worker's /readyz is 200", lambda: healthy(cluster.addresses["9467"]), 60)
    nodes = json.loads(ask(*coordinator.command(*ftctl, "nodes", "-o", "json")))["nodes"]
    print("check-deploy: nodes:", [(node["node_id"], node["state"]) for node in nodes])
    if [node["state"] for node in nodes] != ["READY"]:
        raise SystemExit("check-deploy: the worker is not ready")
    ask(*coordinator.command(*ftctl, "submit", "/etc/finetuned/user/job.yaml", "--wait"))
    print(ask(*coordinator.command(*ftctl, "list")))


def main():
    with tempfile.TemporaryDirectory(prefix="ftc") as folder:
        os.chmod(folder, 0o755)
        cluster = Cluster(folder)
        images = []
        try:
            images += [cluster.coordinator()]
            images += [cluster.worker()]
            check(cluster, *images)
        except BaseException:
            for image in images:
                if image.process is not None:
                    print(f"--- {image.name}\n{image.log()}", file=sys.stderr)
            raise
        finally:
            for image in reversed(images):
                image.stop()
    print("check-deploy: both images run, over TLS")


if __name__ == "__main__":
    main()
