"""The files of the project as the checks see them: text, text without comments and strings, includes, CMake targets."""

import functools
import os
import re

SKIPPED_FOLDERS = {".deps", ".git", ".venv", "__pycache__"}  # At any depth; build/ at the top only.
CPP_SUFFIXES = (".h", ".cuh", ".cc", ".cu")
HEADER_SUFFIXES = (".h", ".cuh")
TEXT_SUFFIXES = CPP_SUFFIXES + (".proto", ".py", ".sh", ".cmake", ".txt", ".md", ".yaml", ".yml", ".json", ".lock",
                                ".toml", ".service", ".jsonl")
TEXT_NAMES = {"Makefile", "Dockerfile", "run", ".clang-format", ".clang-tidy", ".gitignore"}

# One alternative a kind of text that is not code; raw strings first, because they may hold anything.
_NOT_CODE = re.compile(
    r'(?P<raw>\b(?:u8|u|U|L)?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")'
    r"|(?P<line>//(?:[^\n\\]|\\.|\\\n)*)"
    r"|(?P<block>/\*.*?\*/)"
    r'|(?P<string>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<char>(?<![0-9a-fA-F])'(?:[^'\\\n]|\\.)+')",
    re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.MULTILINE | re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?P<open>[<"])(?P<path>[^>"\n]+)[>"]', re.MULTILINE)


def _blank(match):
    """As many lines as before, and nothing on them; a string keeps its quotes, so that it is still an operand."""
    text = match.group(0)
    newlines = "\n" * text.count("\n")
    return '""' + newlines if match.lastgroup in ("raw", "string", "char", "mark") else " " + newlines


def without_comments(text, keep_literals=False):
    """C++ text whose comments and, unless they are kept, literals are blank; lines keep their numbers."""
    if keep_literals:
        return _NOT_CODE.sub(lambda match: _blank(match) if match.lastgroup in ("line", "block") else match.group(0), text)
    return _NOT_CODE.sub(_blank, text)


def without_directives(text):
    """Also without preprocessor lines."""
    return _DIRECTIVE.sub(lambda match: "\n" * match.group(0).count("\n"), text)


class Include:
    """One #include line."""

    def __init__(self, line, path, quoted):
        self.line = line
        self.path = path
        self.quoted = quoted


class Target:
    """One library or program of a CMakeLists.txt."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.deps = set()
        self.test_deps = set()
        self.files = set()
        self.protos = set()
        self.torch = False
        self.program = False


class Tree:
    """A project folder. Paths are relative to its root, with slashes."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.files = sorted(self._walk())

    def _walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS
                                and not (name == "build" and folder == self.root))
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.islink(path):
                    yield os.path.relpath(path, self.root).replace(os.sep, "/")

    @functools.lru_cache(maxsize=None)
    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    @functools.lru_cache(maxsize=None)
    def code(self, path):
        """C++ without comments, literals and preprocessor lines."""
        return without_directives(without_comments(self.text(path)))

    def cpp(self):
        return [path for path in self.files if path.endswith(CPP_SUFFIXES)]

    def headers(self):
        return [path for path in self.files if path.endswith(HEADER_SUFFIXES)]

    def texts(self):
        return [path for path in self.files
                if path.endswith(TEXT_SUFFIXES) or os.path.basename(path) in TEXT_NAMES]

    @functools.lru_cache(maxsize=None)
    def includes(self, path):
        text = without_comments(self.text(path), keep_literals=True)  # An include's path looks like a literal.
        return [Include(text.count("\n", 0, m.start()) + 1, m.group("path"), m.group("open") == '"')
                for m in _INCLUDE.finditer(text)]

    def resolve(self, path, include):
        """The project file that an include names, or None."""
        for candidate in (include.path, os.path.normpath(os.path.join(os.path.dirname(path), include.path))):
            if candidate in self._file_set:
                return candidate
        return None

    @functools.cached_property
    def _file_set(self):
        return set(self.files)

    def closure(self, path):
        """Every include that compiling `path` reads, as (include path, file that names it)."""
        seen, found, queue = {path}, {}, [path]
        while queue:
            file = queue.pop()
            for include in self.includes(file):
                found.setdefault(include.path, file)
                target = self.resolve(file, include)
                if target and target not in seen:
                    seen.add(target)
                    queue.append(target)
        return found

    @functools.cached_property
    def targets(self):
        """Name -> Target of all CMakeLists.txt."""
        targets = {}
        for path in self.files:
            if os.path.basename(path) == "CMakeLists.txt":
                read_targets(self.text(path), os.path.dirname(path), targets)
        return targets

    def reachable(self, names):
        """The target names that linking `names` brings."""
        seen, queue = set(), list(names)
        while queue:
            name = queue.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.targets:
                queue.extend(self.targets[name].deps)
        return seen


_COMMAND = re.compile(r"(\w+)\s*\(([^()]*)\)")
_SECTIONS = {"DEPS", "TEST_DEPS", "FILES", "PROTOS", "TORCH", "TEST", "GRPC"}
_SCOPES = {"PUBLIC", "PRIVATE", "INTERFACE"}


def read_targets(text, folder, targets):
    """Adds the targets that the text of a CMakeLists.txt makes."""
    text = re.sub(r"#[^\n]*", "", text)
    for command, arguments in _COMMAND.findall(text):
        words = arguments.replace('"', " ").split()
        if not words:
            continue
        name = words[0]
        if command in ("ft_library", "ft_program", "ft_proto_library"):
            target = targets.setdefault(name, Target(name, folder))
            target.program = command == "ft_program"
            _read_sections(target, words[1:])
        elif command in ("add_library", "add_executable"):
            target = targets.setdefault(name, Target(name, folder))
            target.program = command == "add_executable"
            target.files.update(word for word in words[1:] if word.endswith(CPP_SUFFIXES))
            if "ALIAS" in words:
                target.deps.add(words[-1])
        elif command == "target_link_libraries" and name in targets:
            targets[name].deps.update(word for word in words[1:] if word not in _SCOPES)
        elif command == "ft_use_torch" and name in targets:
            targets[name].torch = True


def _read_sections(target, words):
    section = ""
    for word in words:
        if word in _SECTIONS:
            section = word
            target.torch = target.torch or word == "TORCH"
        elif section == "DEPS":
            target.deps.add(word)
        elif section == "TEST_DEPS":
            target.test_deps.add(word)
        elif section == "FILES":
            target.files.add(word)
        elif section == "PROTOS":
            target.protos.add(word)
