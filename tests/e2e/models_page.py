"""The parts of docs/models.md that follow from code: what `ftctl` says of families and of the recipes' base models, and what each
family's file refuses.

    FT_BIN=build/dev/bin python3 -B tests/e2e/models_page.py --write
"""

import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGE = os.path.join(ROOT, "docs", "models.md")
FAMILIES = os.path.join(ROOT, "worker", "model", "decoder")
MODELS = os.path.join(ROOT, "recipes", "models")
LITERALS = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
SEPARATOR = "|---|---|---|"


def ask(*arguments):
    ftctl = os.path.join(os.environ["FT_BIN"], "ftctl")
    done = subprocess.run([ftctl, *arguments, "-o", "json"], capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout)


def joined(literals):
    """The text of C++ literals that follow each other."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals)).replace('\\"', '"')


def reached(text, function):
    """What a function of a family's file and those of the same file that it calls or hands on say, in the file's order."""
    bodies = {match.group(1): match.group() for match in re.finditer(r"^[\w:<>*&][\w:<>*& ]* \*?(\w+)\([^;{]*\) \{(?:[^\n]*\}$|\n.*?^\})", text, re.M | re.S)}
    wanted, found = [function], set()
    while wanted:
        name = wanted.pop()
        if name in bodies and name not in found:
            found.add(name)
            wanted += re.findall(r"\b[A-Z]\w+", bodies[name])
    return "\n".join(body for name, body in bodies.items() if name in found)


def refused_by(text):
    """What code of a family's file refuses of a config.json, in its order."""
    found = []
    for match in re.finditer(r'RequireAbsent\(\{([^}]*)\}\)|Require\("(\w+)", (true|false),|UnimplementedError\(\s*(?:StrCat\(\s*)?' + LITERALS, text):
        absent, key, value, literals = match.groups()
        if absent is not None:
            found += [f"`{name}`" for name in re.findall(r'"(\w+)"', absent)]
        elif key is not None:
            found.append(f"`{key}: {'false' if value == 'true' else 'true'}`")
        else:
            sentence = joined(literals).split(" is not supported")[0].rstrip(' "')
            listed = re.search(r"supported: ([\w, ]+)\)", text[match.start():match.start() + 400])
            word, _, rest = sentence.partition(" ")
            found.append(f"`{word}`" + (f" {rest}" if rest else "")
                         + (f" other than {listed.group(1)}" if listed and "\"" in joined(literals) else ""))
    return list(dict.fromkeys(found))


def families():
    methods = {}
    for cell in ask("capabilities", "--families"):
        methods.setdefault(cell["family"], [])
        if cell["supported"]:
            methods[cell["family"]].append(cell["method"])
    refused = {}
    for name in sorted(os.listdir(FAMILIES)):
        if not re.fullmatch(r"family_\w+\.cc", name) or name == "family_test.cc":
            continue
        with open(os.path.join(FAMILIES, name), encoding="utf-8") as file:
            text = file.read()
        for family, config in re.findall(r'\.model_type = "(\w+)",\s*\.config = (\w+)', text):
            refused[family] = refused_by(reached(text, config))
    lines = ["| model_type | methods | refused in its config.json, beside what all refuse |", SEPARATOR]
    for family, names in methods.items():
        lines.append(f"| `{family}` | {', '.join(f'`{name}`' for name in names)} | {', '.join(refused[family])} |")
    return lines


def base_models():
    """The recipes' base models, with the sizes that a plan tells."""
    recipes = {}
    for name in ask("recipe", "list", "--training"):
        recipes.setdefault(name["model"], []).append(name["name"])
    lines = ["| recipes' model | model_type | weights | recipes |", "|---|---|---|---|"]
    for model, names in sorted(recipes.items()):
        plan = ask("plan", names[0])
        lines.append(f"| `{model}` | `{plan['settings']['base model']['value']}` | {plan['parameters'] / 1e9:.2f} e9 | {len(names)} |")
    return lines


PARTS = {"families": families, "base models": base_models}


def with_parts(page):
    """The page with each part between its marks as the code has it."""
    for name, part in PARTS.items():
        begin, end = f"<!-- {name}: make models-page -->\n", f"<!-- end of {name} -->\n"
        head, found, rest = page.partition(begin)
        _, closed, tail = rest.partition(end)
        if not found or not closed:
            raise SystemExit(f"{PAGE}: has no lines {begin.strip()} and {end.strip()}: put them where the table belongs")
        page = head + begin + "\n".join(part()) + "\n" + end + tail
    return page


def read():
    with open(PAGE, encoding="utf-8") as file:
        return file.read()


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit(__doc__)
    made = with_parts(read())
    with open(PAGE, "w", encoding="utf-8") as target:
        target.write(made)
