"""Names of tests, as one regular expression: of `ctest --show-only=json-v1` on standard input those whose name, or whose program's path in
the build folder, REGEX matches. A folder's tests are chosen by the folder that way (`make tsan ONLY=state`), whatever their suites are called.

    python3 select_tests.py BUILD REGEX
"""

import json
import os
import re
import sys


def selected(tests, build, regex):
    """Of [{"name", "command"}, ...], in their order."""
    wanted = re.compile(regex)
    names = []
    for test in tests:
        program = os.path.relpath((test.get("command") or [build])[0], build)
        if wanted.search(test["name"]) or wanted.search(program):
            names.append(test["name"])
    return names


def expression(names):
    return "^(" + "|".join(re.sub(r"([][.*+?()|^$\\])", r"\\\1", name) for name in names) + ")$"


def main(build, regex):
    names = selected(json.load(sys.stdin)["tests"], os.path.abspath(build), regex)
    if not names:
        sys.exit(f"no test and no test program is called {regex}")
    print(expression(names))


if __name__ == "__main__":
    main(*sys.argv[1:])
