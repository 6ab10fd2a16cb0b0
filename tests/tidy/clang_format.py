"""The formatting of C++ files by clang-format, of one version: others lay out the same file otherwise. Run as a program it formats
every C++ file of the project in place (`make fmt`)."""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

from tree import Tree

MAJOR = 14  # Debian 12's, whose layout the tree has. Another one is a change of the whole tree, and of cmake/setup.sh.
_CHUNK = 40  # Files a process.
_TIMEOUT = 60
_VERSION = re.compile(r"version (\d+)\.")
_UNFORMATTED = re.compile(r"^(?P<path>.+?):(?P<line>\d+):\d+: (?:warning|error): code should be clang-formatted", re.MULTILINE)


class Missing(Exception):
    """There is no clang-format of the right version; says so in one sentence."""


def find():
    """The program to use."""
    others = []
    for name in (f"clang-format-{MAJOR}", "clang-format"):
        program = shutil.which(name)
        if program is None:
            continue
        said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT, check=False).stdout
        version = _VERSION.search(said)
        if version and int(version.group(1)) == MAJOR:
            return program
        others.append(version.group(1) if version else "unknown")
    if others:
        raise Missing(f"clang-format is version {others[0]} here, and the files are laid out by {MAJOR}: "
                      f"apt-get install clang-format-{MAJOR}")
    raise Missing(f"clang-format is not installed: apt-get install clang-format-{MAJOR}")


def _run(program, root, paths, *options):
    """[(exit status, standard error)] of clang-format over files, some at a time, on all cores."""
    def one(chunk):
        done = subprocess.run([program, *options, *chunk], cwd=root, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
        return done.returncode, done.stderr

    chunks = [paths[i:i + _CHUNK] for i in range(0, len(paths), _CHUNK)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, chunks))


def unformatted(root, paths):
    """(path, first line, places) of files that clang-format would change; RuntimeError when it cannot tell."""
    program, found = find(), {}
    for status, errors in _run(program, root, paths, "--dry-run", "-Werror"):
        matches = list(_UNFORMATTED.finditer(errors))
        if status != 0 and not matches:
            raise RuntimeError(f"{program} ended with {status}: {errors.strip()[-500:]}")
        for match in matches:
            line, places = found.get(match["path"], (int(match["line"]), 0))
            found[match["path"]] = (line, places + 1)
    return [(path, line, places) for path, (line, places) in sorted(found.items())]


def main():
    tree = Tree(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    try:
        results = _run(find(), tree.root, tree.cpp(), "-i")
    except Missing as error:
        sys.exit(f"fmt: {error}")
    failed = [errors for status, errors in results if status != 0]
    sys.exit("".join(failed) if failed else 0)


if __name__ == "__main__":
    main()
