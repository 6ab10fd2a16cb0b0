"""Finds the functions of a C++ file and their lengths, without a compiler.

Braces are followed through namespaces and classes; what stands before a brace says what it opens. Inside a function all
braces are its own, so a lambda counts as part of the function that holds it.
"""

import re

_ACCESS = re.compile(r"^(?:public|protected|private)\s*$")
_TYPE = re.compile(r"^(?:(?:typedef|static|constexpr|inline|friend|export)\s+)*(?:class|struct|union|enum)\b")
_NAMESPACE = re.compile(r'^(?:inline\s+)?namespace\b|^extern\s*""$')
# What may stand between a parameter list and the body.
_AFTER_PARAMETERS = re.compile(
    r"\)\s*(?:(?:const|volatile|noexcept|override|final|mutable|try|&&?|\[\[[^\]]*\]\]|[A-Z][A-Z0-9_]+|->[^{};]*"
    r"|requires\b[^{};]*|(?:noexcept|[A-Z][A-Z0-9_]+)\s*\([^{};]*\))\s*)*$")
_INITIALISERS = re.compile(r"\)\s*(?:noexcept\s*)?:(?!:)")


class Function:
    """One function body: its name for messages, the line of its signature and the number of lines it takes."""

    def __init__(self, name, line, lines):
        self.name = name
        self.line = line
        self.lines = lines


class Unbalanced(Exception):
    """The braces of a file do not balance, so nothing can be said about its functions."""


def _without_template(head):
    """The head without leading template<...> and attributes."""
    head = head.strip()
    while True:
        if head.startswith("[["):
            end = head.find("]]")
            if end < 0:
                return head
            head = head[end + 2:].strip()
        elif re.match(r"template\s*<", head):
            depth, at = 0, head.index("<")
            while at < len(head):
                depth += {"<": 1, ">": -1}.get(head[at], 0)
                at += 1
                if depth == 0:
                    break
            head = head[at:].strip()
        else:
            return head


def kind_of(head):
    """What the brace after `head` opens: namespace, type, function or value (an initialiser)."""
    head = _without_template(head)
    if _NAMESPACE.match(head):
        return "namespace"
    if _TYPE.match(head) and not _AFTER_PARAMETERS.search(head):
        return "type"
    if re.match(r"(?:class|struct|union)\s+(?:alignas\s*\([^)]*\)|[A-Z_]+(?:\([^)]*\))?)?\s*[\w:<>, ]*$", head):
        return "type"
    initialisers = _INITIALISERS.search(head)
    if initialisers:
        # `a_` before a brace is a member being initialised; `)` or `}` is the end of the list.
        return "function" if head.endswith((")", "}")) else "value"
    if re.search(r"\boperator\b[^(]*\([^{};]*$", head) or _AFTER_PARAMETERS.search(head):
        return "function"
    return "value"


def name_of(head):
    """A short name for messages."""
    head = " ".join(_without_template(head).split())
    match = re.search(r"([~\w:]+(?:\s*operator\s*\S+)?)\s*\(([^()]*)", head)
    if not match:
        return head[:60]
    name = match.group(1)
    return f"{name}({match.group(2)})" if name.startswith("TEST") or name.startswith("BENCHMARK") else name


class _Scanner:
    """One pass over the characters of a file."""

    def __init__(self, code):
        self.code = code
        self.line = 1
        self.stack = []       # (kind, head, line of the head)
        self.head = ""
        self.head_line = 0
        self.functions = []

    def run(self):
        for char in self.code:
            if char == "\n":
                self.line += 1
            if self._in_body():
                self._inside(char)
            else:
                self._outside(char)
        if self.stack:
            raise Unbalanced(f"a brace opened on line {self.stack[-1][2]} is never closed")
        return self.functions

    def _in_body(self):
        return bool(self.stack) and self.stack[-1][0] in ("function", "value", "nested")

    def _reset(self):
        self.head, self.head_line = "", 0

    def _outside(self, char):
        if char == "{":
            self.stack.append((kind_of(self.head), self.head, self.head_line or self.line))
            self._reset()
        elif char == "}":
            if not self.stack:
                raise Unbalanced(f"line {self.line} closes a brace that was never opened")
            self.stack.pop()
            self._reset()
        elif char == ";":
            self._reset()
        elif char == ":" and _ACCESS.match(self.head.strip()):
            self._reset()
        else:
            if not self.head_line and not char.isspace():
                self.head_line = self.line
            self.head += char

    def _inside(self, char):
        if char == "{":
            self.stack.append(("nested", "", self.line))
        elif char == "}":
            kind, head, line = self.stack.pop()
            if kind == "function":
                self.functions.append(Function(name_of(head), line, self.line - line + 1))
                self._reset()
            elif kind == "value":
                # The head goes on: `: a_{1}, b_{2} {` or `= {...};`
                self.head, self.head_line = head + "{}", line


def functions(code):
    """The functions of C++ code whose comments, literals and directives are blank."""
    return _Scanner(code).run()
