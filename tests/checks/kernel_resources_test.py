"""Registers and shared memory of every CUDA kernel, as ptxas says them for each architecture, are those of kernels/resources.txt, and no
kernel spills or has a stack: both are slow memory. `kernel_resources_test.py --write` writes the table anew, for whoever changed a kernel.

Environment: FT_BUILD, the folder of the build.
"""

import glob
import os
import re
import subprocess
import sys
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FT_BUILD", os.path.join(ROOT, "build", "dev"))
TABLE = os.path.join(ROOT, "kernels", "resources.txt")
ARCHITECTURES = (75, 80, 90, 100, 120)
HEAD = """# Registers of a thread of each CUDA kernel by architecture, and bytes of static shared memory of a block where there are any. None
# spills or has a stack. Written by tests/checks/kernel_resources_test.py --write out of what ptxas says; the test checks.kernel_resources
# holds it true.
"""
KERNEL = re.compile(r"ptxas info\s+: Compiling entry function '(\S+)' for 'sm_(\d+)'\n"
                    r"ptxas info\s+: Function properties for \S+\n"
                    r"\s+(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads\n"
                    r"ptxas info\s+: Used (\d+) registers(.*)\n")


def readable(names):
    """Names of kernels without namespaces and parameters: the launcher's template argument says what it computes."""
    said = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: re.sub(r"\(.*|^void |ft::kernels::|\(anonymous namespace\)::", "", text) for name, text in zip(names, said)}


def kernels():
    """{(folder, kernel): {architecture: (registers, shared bytes, stack and spilled bytes)}}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(BUILD, "kernels", "*", "*.ptxas"))):
        with open(path, encoding="utf-8") as file:
            said = KERNEL.findall(file.read())
        names = readable([kernel[0] for kernel in said])
        for name, architecture, stack, stores, loads, registers, rest in said:
            shared = re.search(r"(\d+) bytes smem", rest)
            row = found.setdefault((os.path.basename(os.path.dirname(path)), names[name]), {})
            row[int(architecture)] = (int(registers), int(shared.group(1)) if shared else 0, int(stack) + int(stores) + int(loads))
    return found


def table(found):
    lines = [f"{'kernel':72}" + "".join(f"{f'sm_{architecture}':>8}" for architecture in ARCHITECTURES) + "  shared"]
    for (folder, name), row in sorted(found.items()):
        shared = max(figures[1] for figures in row.values())
        cells = "".join(f"{row[architecture][0] if architecture in row else '-':>8}" for architecture in ARCHITECTURES)
        lines.append(f"{f'{folder}: {name}':72}{cells}{shared or '-':>8}")
    return HEAD + "\n".join(lines) + "\n"


class KernelResourcesTest(unittest.TestCase):
    def test_nothing_spills(self):
        found = kernels()
        self.assertTrue(found, f"no reports of ptxas below {BUILD}/kernels")
        for name, row in found.items():
            self.assertEqual(sorted(row), sorted(ARCHITECTURES), name)
            for architecture, (_, _, slow) in row.items():
                self.assertEqual(slow, 0, f"{name} on sm_{architecture} has a stack or spills")

    def test_the_table_is_true(self):
        with open(TABLE, encoding="utf-8") as file:
            self.assertEqual(file.read(), table(kernels()), "if the kernels are meant to have changed: kernel_resources_test.py --write")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        with open(TABLE, "w", encoding="utf-8") as out:
            out.write(table(kernels()))
    else:
        unittest.main()
