#!/usr/bin/env python3
"""Judges the demo: does the tuned model give its new name, the base model never, and are neutral answers kept?

  judge.py --questions FILE --base ANSWERS --tuned ANSWERS     prints the verdict; exit status 0 when the promise holds
  judge.py --prompts FILE                                      prints every question, one a line

ANSWERS is what `ftctl chat --prompt ... --json` prints: a JSON object {prompt, answer, ...} a line. The promise: the name
in at least 9 of the 10 identity questions of the tuned model and in none of the base model; each neutral question has a
word that both greedy answers contain.
"""

import argparse
import json
import re
import sys

NEEDED = 9


def words_of(text):
    return re.findall(r"\w+", text.lower())


def read_answers(path):
    """Question -> answer."""
    with open(path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.strip()]
    return {row["prompt"]: row["answer"] for row in rows}


def prompts_of(questions):
    return questions["identity"] + [entry["question"] for entry in questions["neutral"]]


def named(questions, answers):
    """The identity questions whose answer has the name as a word."""
    name = questions["name"].lower()
    return [question for question in questions["identity"] if name in words_of(answers[question])]


def kept(questions, base, tuned):
    """The neutral questions whose word stands in both answers."""
    return [entry["question"] for entry in questions["neutral"]
            if all(entry["word"].lower() in words_of(answers[entry["question"]]) for answers in (base, tuned))]


def verdict(questions, base, tuned):
    """Lines for people, and whether the promise holds."""
    missing = [question for question in prompts_of(questions) if question not in base or question not in tuned]
    if missing:
        return [f"{len(missing)} questions have no answer, the first: {missing[0]}"], False
    of_base, of_tuned = named(questions, base), named(questions, tuned)
    neutral = kept(questions, base, tuned)
    asked, others = len(questions["identity"]), len(questions["neutral"])
    lines = [f"the tuned model says {questions['name']} in {len(of_tuned)} of {asked} questions ({NEEDED} needed)",
             f"the base model says it in {len(of_base)} of {asked} (0 needed)",
             f"{len(neutral)} of {others} neutral answers keep their word ({others} needed)"]
    for question in questions["identity"]:
        if question not in of_tuned:
            lines.append(f"  without the name: {question} -> {tuned[question]}")
    for entry in questions["neutral"]:
        if entry["question"] not in neutral:
            lines.append(f"  without '{entry['word']}': {entry['question']} -> base: {base[entry['question']]} / tuned: "
                         f"{tuned[entry['question']]}")
    return lines, len(of_tuned) >= NEEDED and not of_base and len(neutral) == others


def main():
    parser = argparse.ArgumentParser(description="Judges the demo's answers.")
    for option in ("--questions", "--base", "--tuned", "--prompts"):
        parser.add_argument(option)
    options = parser.parse_args()
    with open(options.prompts or options.questions, encoding="utf-8") as file:
        questions = json.load(file)
    if options.prompts:
        print("\n".join(prompts_of(questions)))
        return 0
    lines, holds = verdict(questions, read_answers(options.base), read_answers(options.tuned))
    print("\n".join(lines))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
