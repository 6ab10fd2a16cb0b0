#!/usr/bin/env python3
"""Checks the layout and style rules that a machine can check. CONTRIBUTING.md says what they are for.

  python3 tests/tidy/tidy.py --list
  python3 tests/tidy/tidy.py CHECK [--root DIR] [--build-dir DIR]

Exit status 0 when nothing is found (or the check was skipped, and says so), 1 with one line a finding, 2 for a wrong command
line. A finding that must stand is named with its reason in tests/tidy/allowed.txt; a line there that allows nothing is a finding
itself.
"""

import argparse
import ast
import os
import re
import subprocess
import sys

import clang_format
import device_words
import directions
import families
import translations
import words
from functions import Unbalanced, functions
from tree import CPP_SUFFIXES, HEADER_SUFFIXES, Tree

MAX_FUNCTION_LINES = 70
MAX_FILE_LINES = 800
CODE_SUFFIXES = CPP_SUFFIXES + (".proto", ".py", ".sh", ".cmake")
PROGRAMS_WITHOUT_TORCH = ("finetuned", "ft-worker", "ftctl")
PROGRAMS_WITHOUT_CUDA = ("ft-rank", "ft-golden")
DRAWERS = {"util", "utils", "common", "helper", "helpers", "misc"}


class Finding:
    """One thing that is wrong; line 0 = the whole file."""

    def __init__(self, path, line, message):
        self.path = path
        self.line = line
        self.message = message

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}" if self.line else f"{self.path}: {self.message}"


def check_function_length(tree, options):
    """No function is longer than 70 lines, signature to closing brace (C++ and Python)."""
    for path in tree.cpp():
        try:
            found = functions(tree.code(path))
        except Unbalanced as error:
            yield Finding(path, 0, f"cannot be scanned: {error}")
            continue
        for function in found:
            if function.lines > MAX_FUNCTION_LINES:
                yield Finding(path, function.line, f"{function.name} has {function.lines} lines, "
                                                   f"the limit is {MAX_FUNCTION_LINES}")
    for path in tree.files:
        if path.endswith(".py"):
            for node in ast.walk(ast.parse(tree.text(path), path)):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    lines = node.end_lineno - node.lineno + 1
                    if lines > MAX_FUNCTION_LINES:
                        yield Finding(path, node.lineno, f"{node.name} has {lines} lines, "
                                                         f"the limit is {MAX_FUNCTION_LINES}")


def check_file_length(tree, options):
    """No source file is longer than 800 lines."""
    for path in tree.files:
        if path.endswith(CODE_SUFFIXES) or os.path.basename(path) in ("CMakeLists.txt", "Makefile"):
            lines = tree.text(path).count("\n")
            if lines > MAX_FILE_LINES:
                yield Finding(path, 0, f"has {lines} lines, the limit is {MAX_FILE_LINES}: split it at its second concern")


def check_include_directions(tree, options):
    """Folders include only what the table of directions allows; gRPC stays where it belongs."""
    for path in tree.cpp():
        here = directions.folder_of(path)
        for include in tree.includes(path):
            target = tree.resolve(path, include)
            if target:
                reason = directions.refusal(path, target)
                if reason:
                    yield Finding(path, include.line, f"includes {include.path}: {reason}")
            grpc_free = here in directions.GRPC_FREE or (here.startswith("worker/") and here != "worker/node/agent")
            if grpc_free and directions.is_grpc(include.path):
                yield Finding(path, include.line, f"includes {include.path}: {here} does without gRPC")
            if here == "kernels" or here.startswith("kernels/"):
                if directions.is_protobuf(include.path):
                    yield Finding(path, include.line, f"includes {include.path}: kernels/ does without protobuf")


def check_libtorch_folders(tree, options):
    """LibTorch headers are included, and its targets used, only in the folders of the trainer; <torch/torch.h> nowhere."""
    for path in tree.cpp():
        here = directions.folder_of(path)
        for include in tree.includes(path):
            if include.path == "torch/torch.h":
                yield Finding(path, include.line, "includes torch/torch.h, which has modules and data loaders too and costs the compiler "
                                                  "seconds: take torch/types.h, torch/autograd.h, torch/utils.h")
        if here in directions.TORCH_FOLDERS or here.split("/")[0] in ("tests", "bench"):
            continue
        for include in tree.includes(path):
            if directions.is_torch(include.path):
                yield Finding(path, include.line, f"includes {include.path}: LibTorch stops at "
                                                  "worker/'s trainer folders")
    for target in tree.targets.values():
        here = directions.folder_of(target.folder + "/CMakeLists.txt")
        if target.torch and here not in directions.TORCH_FOLDERS and here.split("/")[0] not in ("tests", "bench"):
            yield Finding(target.folder + "/CMakeLists.txt", 0, f"{target.name} is TORCH outside the trainer folders")


def check_torch_and_protobuf(tree, options):
    """No translation unit reads both LibTorch's and protobuf's headers (directly, by include or precompiled)."""
    for path in tree.cpp():
        if path.endswith(HEADER_SUFFIXES):
            continue
        closure = tree.closure(path)
        torch = next((i for i in closure if directions.is_torch(i)), None)
        if torch is None and any(target.torch for target in targets_of(tree, path)):
            torch = "LibTorch's precompiled header (TORCH)"
        protobuf = next((i for i in closure if directions.is_protobuf(i)), None)
        if torch and protobuf:
            yield Finding(path, 0, f"reads both {torch} and {protobuf} (through {closure[protobuf]})")


def targets_of(tree, path):
    """The CMake targets that compile `path`: those of the nearest folder with a CMakeLists.txt."""
    folder, name = os.path.dirname(path), os.path.basename(path)
    while folder:
        here = [target for target in tree.targets.values() if target.folder == folder]
        if here:
            inner = os.path.relpath(path, folder).replace(os.sep, "/")
            named = [target for target in here if inner in target.files]
            if named:
                return named
            if name == "main.cc":
                return [target for target in here if target.program] or here
            return [target for target in here if not target.program] or here
        folder = os.path.dirname(folder)
    return []


def check_include_deps(tree, options):
    """An include of another project folder is backed by a DEPS entry, direct or through another library."""
    protos = {proto: target.name for target in tree.targets.values() for proto in target.protos}
    for path in tree.cpp():
        if path.split("/")[0] not in directions.TOPS:
            continue
        owners = targets_of(tree, path)
        names = [owner.name for owner in owners]
        if directions.is_test(path):
            names += [dep for owner in owners for dep in owner.test_deps]
        linked = tree.reachable(names)
        for include in tree.includes(path):
            wanted = wanted_targets(tree, path, include, protos)
            if wanted is None:
                continue
            if not owners:
                yield Finding(path, include.line, "lies in a folder whose CMakeLists.txt makes no target")
                break
            if not wanted:
                yield Finding(path, include.line, f"includes {include.path}, whose folder has no library")
            elif not linked & wanted:
                yield Finding(path, include.line, f"includes {include.path} but {owners[0].name} has no DEPS that "
                                                  f"brings {' or '.join(sorted(wanted))}")


def wanted_targets(tree, path, include, protos):
    """Names of the targets of which one must be linked for this include; None when it is not of another folder."""
    if include.path.endswith(".pb.h"):
        proto = re.sub(r"(\.grpc)?\.pb\.h$", ".proto", include.path)
        return {protos[proto]} if proto in protos else None
    target = tree.resolve(path, include)
    if target is None or target.split("/")[0] not in directions.TOPS:
        return None
    there = targets_of(tree, target)
    if os.path.dirname(target) == os.path.dirname(path) or set(there) & set(targets_of(tree, path)):
        return None
    return {owner.name for owner in there if not owner.program}


def check_naming(tree, options):
    """snake_case C++ files called .h, .cc or .cu; no drawer called utils, common, helpers or misc."""
    for path in tree.files:
        for part in path.split("/"):
            words = set(re.split(r"[_\-.]", part.lower()))
            if words & DRAWERS:
                yield Finding(path, 0, f"'{part}' names a drawer: name it after what it does")
        name = os.path.basename(path)
        if name.endswith((".hpp", ".cpp", ".cxx", ".c++", ".hh", ".c")):
            yield Finding(path, 0, "C++ files end in .h, .cc or .cu")
        if name.endswith(CPP_SUFFIXES) and not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*\.(h|cuh|cc|cu)", name):
            yield Finding(path, 0, "C++ file names are snake_case")


def check_header_flags(tree, options):
    """No header asks for a build flag: what a build lacks is a missing file or library, not a macro."""
    pattern = re.compile(r"^[ \t]*#[ \t]*(?:el)?if(?:n?def)?\b[^\n]*\b(?:FT_\w+|USE_\w+|NDEBUG|WITH_\w+|HAVE_\w+)",
                         re.MULTILINE)
    for path in tree.headers():
        for match in pattern.finditer(tree.text(path)):
            yield Finding(path, tree.text(path).count("\n", 0, match.start()) + 1,
                          f"depends on a build flag: {match.group(0).strip()}")


def check_machine_paths(tree, options):
    """Nothing names a folder of somebody's machine."""
    # Written in two pieces so that this file passes its own check.
    pattern = re.compile("(?<![\\w.~/$}*-])/" + "(?:work|root|Users|home/[a-z]\\w*|tmp/j)" + "(?=/|\\b)(?:/[\\w.-]+)*")
    for path in tree.texts():
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            match = pattern.search(line)
            if match:
                yield Finding(path, number, f"names a machine's folder: {match.group(0)}")


def check_pragma_once(tree, options):
    """Every header has #pragma once before its first line of code."""
    for path in tree.headers():
        text = re.sub(r"/\*.*?\*/", "", tree.text(path), flags=re.DOTALL)
        lines = [line.strip() for line in text.split("\n")]
        first = next((line for line in lines if line and not line.startswith("//")), "")
        if first != "#pragma once":
            yield Finding(path, 0, "has no #pragma once before its first line of code")


def check_cmake_lists(tree, options):
    """Every folder with C++ has a CMakeLists.txt that starts with a comment of its purpose."""
    folders = {os.path.dirname(path) for path in tree.files if path.endswith((".cc", ".cu"))}
    lists = {os.path.dirname(path): path for path in tree.files if os.path.basename(path) == "CMakeLists.txt"}
    for folder in sorted(folders):
        if folder not in lists:
            yield Finding(folder or ".", 0, "holds C++ but no CMakeLists.txt: it is never built")
    for folder, path in sorted(lists.items()):
        if folder and not re.match(r"# \S.{15,}", tree.text(path)):
            yield Finding(path, 1, "does not start with a comment that says what the folder is for")


def check_unfinished(tree, options):
    """Nothing is left for later: no to-do marks, no disabled tests."""
    marks = re.compile(r"\b(" + "TO" + "DO|FIX" + "ME|XX" + "X)\\b|\\bDISABLED" + r"_\w+")
    for path in tree.texts():
        if path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            match = marks.search(line)
            if match:
                yield Finding(path, number, f"has '{match.group(0)}': finish it or write an issue")


def check_links(tree, options):
    """finetuned, ft-worker and ftctl link neither LibTorch nor CUDA; ft-rank and ft-golden link nothing of CUDA's compute."""
    forbidden = re.compile(r"lib(torch|c10|cuda|cudart|cublas|cudnn|nccl|nvrtc|ft_cuda)")
    compute = re.compile(r"lib(torch_cuda|c10_cuda|cublas|cudnn|nccl|ft_cuda)")
    rules = [(name, forbidden) for name in PROGRAMS_WITHOUT_TORCH] + [(name, compute) for name in PROGRAMS_WITHOUT_CUDA]
    for name, pattern in rules:
        program = os.path.join(options.build_dir, "bin", name)
        if not os.path.exists(program):
            yield Finding(f"bin/{name}", 0, "is not built: run make build first")
            continue
        done = subprocess.run(["ldd", program], capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            yield Finding(f"bin/{name}", 0, f"ldd failed: {done.stderr.strip()}")
        for line in done.stdout.split("\n"):
            library = line.strip().split(" ")[0]
            if pattern.match(os.path.basename(library)):
                yield Finding(f"bin/{name}", 0, f"links {library}")
            if "not found" in line:
                yield Finding(f"bin/{name}", 0, f"does not find {library}")


def known_tests(tree):
    """Names of all tests: Suite.Case of GoogleTest, CTest names, methods and files of Python tests."""
    names = set()
    for path in tree.files:
        text = tree.text(path) if path.endswith((".cc", ".py", "CMakeLists.txt")) else ""
        if path.endswith("_test.cc"):
            names.update(f"{suite}.{case}" for suite, case in
                         re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", text, re.MULTILINE))
        elif path.endswith("_test.py"):
            names.add(path)
            stem = os.path.basename(path)[:-3]
            names.update(f"{stem}.{method}" for method in re.findall(r"^\s+def (test_\w+)", text, re.MULTILINE))
        elif path.endswith("CMakeLists.txt"):
            names.update(re.findall(r"add_test\(\s*NAME\s+([\w.\-]+)", text))
    return names


def check_errors_table(tree, options):
    """Every row of docs/errors.md names, in its last column, tests that exist."""
    path = "docs/errors.md"
    if path not in tree.files:
        yield Finding(path, 0, "is missing")
        return
    known, rows = known_tests(tree), 0
    for number, line in enumerate(tree.text(path).split("\n"), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if not line.startswith("|") or re.fullmatch(r"[\s:|-]+", line) or cells[-1].lower() in ("test", "tests"):
            continue
        rows += 1
        named = re.findall(r"`([^`]+)`", cells[-1])
        if not named:
            yield Finding(path, number, "names no test in its last column")
        for name in named:
            if name not in known:
                yield Finding(path, number, f"names the test {name}, which does not exist")
    if rows == 0:
        yield Finding(path, 0, "has no rows")


def check_translations(tree, options):
    """Every sentence that has a translation is one that the programs still say, and what ftctl shows has one."""
    sources = [path for path in tree.cpp() if path.split("/")[0] in ("core", "worker", "server", "client")]
    ours = [path for path in sources if re.match(r"client/render/(templates_|sentences)", path)]
    said = translations.pieces(tree.text(path) for path in sources if path not in ours and not directions.is_test(path))
    for path in ours:
        if os.path.basename(path).startswith("templates_"):
            for line, english in translations.stale(tree.text(path), said):
                yield Finding(path, line, f"nobody says \"{english}\" any more: follow the sentence, or take it out")
    known = translations.said_by(tree.text(path) for path in ours)
    for path in sources:
        if path in ours or path.startswith("client/render/catalogue") or directions.is_test(path) or path.endswith("_fixture.h"):
            continue
        if path.startswith(translations.SHOWN):
            for line, words in translations.untranslated(tree.text(path), known):
                yield Finding(path, line, f"\"{words}\" has no template in client/render/templates_*.cc: say it in Chinese there")


def check_words(tree, options):
    """No identifier of tests/tidy/words.txt is left in the folder that has a better word for it."""
    path = "tests/tidy/words.txt"
    if path not in tree.files:
        yield Finding(path, 0, "is missing")
        return
    rows, problems = words.read(tree.text(path))
    for number, problem in problems:
        yield Finding(path, number, problem)
    for number, row in rows.items():
        if not any(words.is_below(file, row.folder) for file in tree.files):
            yield Finding(path, number, f"there is no {row.folder}: name the folder where {row.identifier} may not stand")
    for file in tree.cpp():
        for line, row in words.replaced(file, tree.text(file), rows.values()):
            yield Finding(file, line, f"{row.identifier} is {row.replacement} here (tests/tidy/words.txt)")


def check_device_words(tree, options):
    """Mathematics and the training step name no device, transport, ZeRO stage or rank."""
    for folder, *_ in device_words.RULES:
        if not any(path.startswith(folder + "/") for path in tree.cpp()):
            yield Finding("tests/tidy/device_words.py", 0, f"has a rule for {folder}, where no C++ lies")
    for path in tree.cpp():
        for line, name, why in device_words.refusals(path, tree.text(path)):
            yield Finding(path, line, f"says {name}: {why}")


def check_families(tree, options):
    """A family of models is a file of at most 150 lines, and no other code of worker/ says its name."""
    texts = {path: tree.text(path) for path in tree.cpp() if families.is_family_file(path)}
    for path, text in texts.items():
        lines = text.count("\n")
        if lines > families.MAX_LINES:
            yield Finding(path, 0, f"has {lines} lines, a family's limit is {families.MAX_LINES}: what it does is a choice of "
                                   "the configuration")
    known = families.names(texts)
    for path in tree.cpp():
        for line, name in families.refusals(path, tree.text(path), known):
            yield Finding(path, line, f"says {name}: only {families.FOLDER}famil* know families")


def check_checklists(tree, options):
    """Every path that a list of docs/checklists names is there, so that a list that is followed leads somewhere."""
    folders = {os.path.dirname(path) for path in tree.files}
    folders |= {parent for folder in folders for parent in parents_of(folder)}
    for path in tree.files:
        if not path.startswith("docs/checklists/"):
            continue
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            for named in re.findall(r"`([\w.\-]+(?:/[\w.\-]+)*/?)`", line):
                if named.split("/")[0] not in folders or "/" not in named:
                    continue
                if named not in tree.files and named.rstrip("/") not in folders:
                    yield Finding(path, number, f"names {named}, which is not there")


def parents_of(folder):
    """`a/b/c` -> `a/b`, `a`."""
    while "/" in folder:
        folder = os.path.dirname(folder)
        yield folder


def check_format(tree, options):
    """Every C++ file is as clang-format 14 lays it out; skipped where that is not installed."""
    for path, line, places in clang_format.unformatted(tree.root, tree.cpp()):
        yield Finding(path, line, f"is not as clang-format lays it out, in {places} place(s): make fmt")


CHECKS = {name[len("check_"):]: check for name, check in list(globals().items()) if name.startswith("check_")}


def read_allowed(root):
    """Lines `check path reason...` of allowed.txt -> {(check, path): line number}."""
    path = os.path.join(root, "tests", "tidy", "allowed.txt")
    allowed = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                words = line.split(None, 2)
                if not words or words[0].startswith("#"):
                    continue
                if len(words) < 3 or words[0] not in CHECKS:
                    raise ValueError(f"tests/tidy/allowed.txt:{number}: write 'CHECK PATH REASON'")
                allowed[(words[0], words[1])] = number
    return allowed


def run(name, root, build_dir):
    """The findings of one check that are not allowed, stale permissions included."""
    options = argparse.Namespace(build_dir=build_dir)
    allowed, used, findings = read_allowed(root), set(), []
    for finding in CHECKS[name](Tree(root), options):
        if (name, finding.path) in allowed:
            used.add((name, finding.path))
        else:
            findings.append(finding)
    for key, number in allowed.items():
        if key[0] == name and key not in used:
            findings.append(Finding("tests/tidy/allowed.txt", number, f"allows {key[1]}, which is clean: remove it"))
    return findings


def main():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser = argparse.ArgumentParser(description="Checks layout and style rules.")
    parser.add_argument("check", nargs="?", choices=sorted(CHECKS), metavar="CHECK")
    parser.add_argument("--list", action="store_true", help="list the checks")
    parser.add_argument("--root", default=root, help="project folder")
    parser.add_argument("--build-dir", default=None, help="build folder, for links")
    options = parser.parse_args()
    if options.list:
        for name, check in CHECKS.items():
            print(f"{name:20} {check.__doc__.splitlines()[0]}")
        return 0
    if options.check is None:
        parser.error("name a check, or --list")
    try:
        findings = run(options.check, options.root, options.build_dir or os.path.join(options.root, "build", "dev"))
    except clang_format.Missing as error:
        print(f"{options.check}: skipped: {error}")
        return 0
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
