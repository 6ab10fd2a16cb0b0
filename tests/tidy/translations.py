"""Whether sentences that have a translation are still said, and whether what people are told has one: the English of
client/render/templates_*.cc against the literals of the programs' sources."""

import re

LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
PLACEHOLDER = re.compile(r"\{#?\d\}|<\d>")
COUNTED = re.compile(r'Counted\([^;]*?"([a-z ]+)"\)')
SENTENCE = re.compile(r"(?<![-\w])[A-Za-z]{2,},? [a-z]{2,}")
LOGGED = re.compile(r"spdlog::\w+\([^;]*;")
MARKS = " :;,."
# Where what ftctl shows is said.
SHOWN = ("client/", "core/recipe/", "server/state/", "server/schedule/", "server/fleet/", "server/api/")
END = "\0"


def joined(text):
    """The text with literals that follow each other over a line break made one, and without quotes as characters."""
    return re.sub(r'"[ \t]*\n\s*"', "", text.replace("""'"'""", "' '"))


def pieces(sources):
    """What the sources say, each piece between two END: literals, cut where a format puts a value."""
    said = set()
    for text in sources:
        text = joined(text)
        said.update(noun + "s" for noun in COUNTED.findall(text))
        for literal in LITERAL.findall(text):
            said.update(piece for piece in re.split(r"%[-.\d]*[a-z]|\{:?[^{}]*\}|\\n$", literal))
            said.add(literal)
    return END + END.join(sorted(said)) + END


def templates(text):
    """(line, English) of every template."""
    text = re.sub(r'"[ \t]*\n\s*"', lambda gap: "\1" * gap.group().count("\n"), text)
    for found in re.finditer(r'\{"((?:[^"\\\n]|\\.)*)",', text):
        line = 1 + text.count("\n", 0, found.start()) + text.count("\1", 0, found.start())
        yield line, found.group(1).replace("\1", "")


def is_said(part, said):
    """Whether a part of a template is within one piece, or the end of a piece, whole pieces and the beginning of another."""
    if part in said:
        return True
    cuts = [at for at in range(1, len(part)) if not (part[at - 1].isalpha() and part[at].isalpha())]
    reached = [cut for cut in cuts if part[:cut] + END in said]
    for at in reached:
        if END + part[at:] in said:
            return True
        reached.extend(cut for cut in cuts if cut > at and cut not in reached and END + part[at:cut] + END in said)
    return False


def stale(text, said):
    """(line, English) of templates whose words nobody says."""
    for line, english in templates(text):
        parts = [part.strip(" ") for part in PLACEHOLDER.split(english)]
        if not all(is_said(part, said) for part in parts if len(part) > 3):
            yield line, english


def untranslated(text, known):
    """(line, words) of the sentences in a source that no template knows; `known` is what said_by answers. Logs are for those who
    run a daemon, and stay English."""
    text = LOGGED.sub(lambda log: "\n" * log.group().count("\n"), text.replace("""'"'""", "' '"))
    text = re.sub(r'"[ \t]*\n\s*"', lambda gap: "\1" * gap.group().count("\n"), text)
    text = re.sub(r"(?m)^ *//.*|//[^\n\"]*$", "", text)
    for literal in LITERAL.finditer(text):
        line = 1 + text.count("\n", 0, literal.start()) + text.count("\1", 0, literal.start())
        for piece in re.split(r"%[-.\d]*[a-z]|\{:?[^{}]*\}|\\n$", literal.group(1).replace("\1", "")):
            if SENTENCE.search(piece) and piece.strip(MARKS) not in known:
                yield line, piece.strip(MARKS)


def said_by(template_texts):
    """The English of all templates, cut where a value stands."""
    return END + END.join(part for text in template_texts for _, english in templates(text)
                          for part in PLACEHOLDER.split(english)) + END
