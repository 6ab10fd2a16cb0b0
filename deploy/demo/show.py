"""Prints the demo's answers side by side: show.py BASE TUNED, both as `ftctl chat --json` prints them."""

import json
import sys
import textwrap

WIDTH = 80


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def main():
    for base, tuned in zip(read(sys.argv[1]), read(sys.argv[2])):
        print(textwrap.fill(base["prompt"], WIDTH))
        for who, row in (("base ", base), ("tuned", tuned)):
            answer = " ".join(row["answer"].split())
            print(textwrap.fill(f"  {who}  {answer}", WIDTH, subsequent_indent=" " * 9))


if __name__ == "__main__":
    main()
