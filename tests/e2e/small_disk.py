"""A file system of a few megabytes to fill, for tests of what is said when a disk is full. Needs root, or unprivileged user
namespaces; where there are neither, a test skips and names what is missing."""

import contextlib
import os
import subprocess
import sys


class SmallDisk:
    """For a DaemonTest beside it: a case begins with `if not self.in_a_namespace_that_may_mount(): return`."""

    def in_a_namespace_that_may_mount(self):
        """True here when mounting is possible; otherwise runs this case again in a user namespace and answers False."""
        if os.geteuid() == 0:
            return True
        file = os.path.abspath(sys.modules[type(self).__module__].__file__)
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-B", file,
                               ".".join(self.id().split(".")[-2:])],
                              capture_output=True, text=True, timeout=150, check=False)
        if "unshare" in done.stderr:
            self.skipTest(f"neither root nor a user namespace: {done.stderr.strip()}")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return False

    @contextlib.contextmanager
    def small_disk(self, path, size):
        """A file system of so many bytes at `path`."""
        os.makedirs(path, exist_ok=True)
        done = self.mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", path)
        if done.returncode != 0:
            self.skipTest(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", path], timeout=10, check=True)

    def enlarge_disk(self, path, size):
        done = self.mount("-o", f"remount,size={size}", path)
        self.assertEqual(done.returncode, 0, done.stderr)

    @staticmethod
    def mount(*arguments):
        return subprocess.run(["mount", *arguments], capture_output=True, text=True, timeout=10, check=False)

    @staticmethod
    def fill(folder):
        """A file that takes all space that is left."""
        path = os.path.join(folder, "filler")
        block = b"x" * 4096
        with open(path, "wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(block) == len(block):
                    pass
        return path
