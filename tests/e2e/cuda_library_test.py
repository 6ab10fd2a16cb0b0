"""libft_cuda.so opens in a program that was built as a rank is: on a machine without a driver it says so, on one with a GPU its kernels agree."""

import os
import re
import subprocess
import unittest

import daemons


class CudaLibraryTest(unittest.TestCase):
    def test_it_opens_and_names_the_driver_that_is_needed(self):
        library = os.path.join(os.path.dirname(daemons.BIN), "lib", "libft_cuda.so")
        self.assertTrue(os.path.exists(library), f"{library} was not built")
        done = subprocess.run([os.path.join(daemons.BIN, "ft-golden"), "gpu-check"], capture_output=True, text=True, timeout=100,
                              check=False, stdin=subprocess.DEVNULL)
        # Brought by libft_cuda.so, driver or not: a linker that drops libraries of which no symbol is used left both out.
        brought = re.search(r"^LibTorch 2\.11\.0\+?\S*, cuDNN (\d+), libtorch_cuda and libnccl mapped$", done.stdout, re.MULTILINE)
        self.assertIsNotNone(brought, done.stdout + done.stderr)
        self.assertGreater(int(brought.group(1)), 0)
        if os.path.exists("/proc/driver/nvidia/version"):
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        else:
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertIn("no NVIDIA driver was found: this build needs the NVIDIA driver 580 or newer", done.stderr)


if __name__ == "__main__":
    daemons.main()
