"""`make gpu-bundle`: what travels to a machine with a GPU is small and whole, and its checks fail one by one where there is none."""

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ["FT_BUILD"]
MOST_BYTES = 40 << 20
# Of every Linux that is newer than the one that built it, and of the PyTorch that is installed there.
BASE = re.compile(r"linux-vdso|ld-linux-x86-64|lib(c|m|dl|rt|pthread|resolv|stdc\+\+|gcc_s)\.so")


class GpuBundleTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        golden = os.path.join(ROOT, "tests", "golden")
        done = subprocess.run([os.path.join(ROOT, "deploy", "gpu", "bundle.sh"), BUILD, golden, cls.folder.name],
                              capture_output=True, text=True, timeout=500, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        cls.root = os.path.join(cls.folder.name, "root")
        with tarfile.open(os.path.join(cls.folder.name, "bundle.tar.xz")) as bundle:
            bundle.extractall(cls.root)

    def test_it_is_small(self):
        self.assertLess(os.path.getsize(os.path.join(self.folder.name, "bundle.tar.xz")), MOST_BYTES)

    def test_it_lacks_no_library_but_those_of_the_base_system_and_of_pytorch(self):
        bundled = os.path.join(self.root, "lib")
        for name in [*os.listdir(os.path.join(self.root, "bin")), "../lib/libft_cuda.so"]:
            path = os.path.join(self.root, "bin", name)
            shown = subprocess.run(["ldd", path], capture_output=True, text=True, timeout=60, check=True,
                                   env={**os.environ, "LD_LIBRARY_PATH": bundled}).stdout
            self.assertNotIn("not found", shown, name)
            for line in shown.splitlines():
                library = line.split()[0]
                where = line.split("=>")[-1].strip()
                if not BASE.search(library) and not where.startswith(bundled):
                    self.assertIn("/site-packages/", where, f"{name} needs {line.strip()}")

    def test_the_manifest_names_commit_and_files(self):
        with open(os.path.join(self.folder.name, "MANIFEST"), encoding="utf-8") as manifest:
            lines = manifest.read().splitlines()
        self.assertRegex(lines[0], r"^[0-9a-f]{40}$")
        self.assertIn("./lib/libft_cuda.so", [line.split()[-1] for line in lines[1:]])

    def day_without_a_gpu(self, part):
        """Lines of a part of the day, which fails."""
        if os.path.exists("/proc/driver/nvidia/version"):
            self.skipTest("there is a GPU here")
        done = subprocess.run(["bash", os.path.join(self.folder.name, "day.sh"), self.folder.name, part], capture_output=True,
                              text=True, timeout=300, check=False,
                              env={**os.environ, "PYTHON": sys.executable})
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done, done.stdout.splitlines()

    def test_the_benchmark_without_a_gpu_says_so_and_writes_no_model(self):
        done, lines = self.day_without_a_gpu("3")
        checks = [line for line in lines if not line.startswith("  ")]
        self.assertEqual([line.split()[:2] for line in checks[:-1]], [["FAIL", "gpu_bench"], ["FAIL", "gpu_bench_8_layers"]], done.stdout)
        for line in checks[:-1]:
            self.assertIn("no NVIDIA driver was found", line)
        self.assertFalse(os.path.exists(os.path.join(self.root, "models")))
        self.assertEqual(checks[-1], "passed 0, failed 2")

    def test_a_day_without_a_gpu_fails_check_by_check(self):
        done, lines = self.day_without_a_gpu("1")
        self.assertEqual([line.split()[1] for line in lines[:-1]], ["image", "links", "versions", "golden_cpu", "gpu_check",
                                                                     "golden_gpu", "golden_gpu_bf16"], done.stdout)
        for line in lines[:-1]:
            self.assertRegex(line, r"^(PASS|FAIL) \w+ \d+s .+")
        # What needs no GPU holds here: the pinned PyTorch is the one of the checks.
        self.assertEqual([line.split()[0] for line in lines[:-1]], ["PASS"] * 4 + ["FAIL"] * 3, done.stdout)
        for line in lines[4:7]:
            self.assertIn("no NVIDIA driver was found", line)
        self.assertEqual(lines[-1], "passed 4, failed 3")


if __name__ == "__main__":
    unittest.main()
