"""Certificate authorities for tests, made with the openssl command line in a folder of the test's own."""

import os
import subprocess

WORKER_ROLE = "URI:urn:finetuned:role:worker"
LOOPBACK = "IP:127.0.0.1,DNS:localhost"


class Authority:
    """A CA and what it issues: <folder>/<name>/ca.crt and <folder>/<name>/<subject>.crt and .key."""

    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        os.mkdir(self.folder)
        self.ca = self._path("ca.crt")
        self._make("ca", f"{name} test CA")

    def issue(self, subject, names):
        """A certificate for these subject alternative names; answers the paths of certificate and key."""
        return self._make(subject, subject, "-CA", self.ca, "-CAkey", self._path("ca.key"), "-addext",
                          f"subjectAltName={names}", "-addext", "basicConstraints=critical,CA:FALSE")

    def issue_expired(self, subject, names):
        """The same, signed by its own key and expired since yesterday."""
        certificate, key = self.issue(subject, names)
        subprocess.run(["openssl", "x509", "-in", certificate, "-key", key, "-days", "-1", "-out", certificate],
                       capture_output=True, timeout=30, check=True)
        return certificate, key

    def _make(self, stem, subject, *options):
        certificate, key = self._path(f"{stem}.crt"), self._path(f"{stem}.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", certificate, "-days", "2", "-subj", f"/CN={subject}", *options],
                       capture_output=True, timeout=30, check=True)
        return certificate, key

    def _path(self, name):
        return os.path.join(self.folder, name)
