"""System calls that strace has fail, of a program that it starts or of a process that runs."""

import os
import shutil
import subprocess

import daemons


class StraceTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        if not shutil.which("strace"):
            self.skipTest("strace is not installed")
        probe = ["strace", "-f", "-qq", "-o", os.devnull, "-e", "inject=fsync:error=EIO", "true"]
        if subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode != 0:
            self.skipTest("strace may not trace here")

    def strace(self, *inject):
        """The beginning of a command line; the program itself is the child, its tracer is out of the way."""
        words = ["strace", "-D", "-f", "-qq", "-o", os.path.join(self.folder, "strace.log")]
        return words + [word for what in inject for word in ("-e", f"inject={what}")]

    def attach(self, pid, *inject, paths=()):
        """A tracer of a process that runs, of all its calls or of those on files of these paths; close it with detach()."""
        words = [word for word in self.strace(*inject) if word != "-D"] + ["-p", str(pid)]
        words += [word for path in paths for word in ("-P", path)]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def detach(self, tracer):
        """Answers how many calls failed by it."""
        tracer.terminate()
        tracer.wait(daemons.STOP_TIMEOUT)
        with open(os.path.join(self.folder, "strace.log"), encoding="utf-8", errors="replace") as file:
            return sum("(INJECTED)" in line for line in file)
