#!/usr/bin/env python3
"""The demo's questions are not in its training data: no question shares five words in a row with any line of it.

  no_shared_ngram.py [--data recipes/demo/self_cognition.jsonl] [--questions tests/demo/questions.json]

Words are compared in lower case without punctuation; a line is all messages of a record, one after the other. Also checks
what the demo promises of its data: enough varied pairs, one name in all of them, none of it in the neutral ones. With
--self-test it shows that a copied question is found.
"""

import argparse
import json
import os
import re
import sys

WORDS_IN_A_ROW = 5
MIN_IDENTITY_PAIRS = 120
MIN_NEUTRAL_PAIRS = 60
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def words_of(text):
    return re.sub(r"[^\w\s]", "", text.lower()).split()


def ngrams(text):
    words = words_of(text)
    return {tuple(words[i:i + WORDS_IN_A_ROW]) for i in range(len(words) - WORDS_IN_A_ROW + 1)}


def read_records(path):
    """The records as lists of message texts."""
    with open(path, encoding="utf-8") as file:
        return [[message["content"] for message in json.loads(line)["messages"]] for line in file if line.strip()]


def shared(records, questions):
    """Pairs (question, the words it shares with a line of the data)."""
    of_data = set()
    for record in records:
        of_data |= ngrams(" ".join(record))
    return [(question, " ".join(gram)) for question in questions for gram in sorted(ngrams(question) & of_data)]


def problems_of(records, questions):
    """Everything that is wrong with the data and the questions, as sentences."""
    name = questions["name"].lower()
    asked = questions["identity"] + [entry["question"] for entry in questions["neutral"]]
    problems = [f"'{question}' shares '{gram}' with the training data" for question, gram in shared(records, asked)]
    problems += [f"'{question}' is shorter than {WORDS_IN_A_ROW} words, so nothing is compared"
                 for question in asked if len(words_of(question)) < WORDS_IN_A_ROW]
    problems += [f"'{question}' gives the name away" for question in asked if name in words_of(question)]
    if len(questions["identity"]) != 10 or len(questions["neutral"]) != 5 or len(set(asked)) != 15:
        problems.append("there must be 10 identity and 5 neutral questions, all different")
    named = [record for record in records if name in words_of(" ".join(record[1:]))]
    if len({record[0] for record in records}) != len(records):
        problems.append("a question stands twice in the training data")
    if len(named) < MIN_IDENTITY_PAIRS:
        problems.append(f"{len(named)} pairs name the assistant, {MIN_IDENTITY_PAIRS} are promised")
    if len(records) - len(named) < MIN_NEUTRAL_PAIRS:
        problems.append(f"{len(records) - len(named)} pairs are neutral, {MIN_NEUTRAL_PAIRS} are promised")
    return problems


def self_test(records, questions):
    """A question taken from the data must be found, and so must a name given away."""
    longest = max((record[0] for record in records), key=lambda text: len(words_of(text)))
    copied = dict(questions, identity=questions["identity"][:-1] + ["Well, " + longest.upper() + "!"])
    assert any("shares" in problem for problem in problems_of(records, copied)), longest
    told = dict(questions, identity=questions["identity"][:-1] + [f"Is it true that your name is {questions['name']}?"])
    assert any("gives the name away" in problem for problem in problems_of(records, told))
    assert any("promised" in problem for problem in problems_of(records[:10], questions))


def main():
    parser = argparse.ArgumentParser(description="Checks that the demo's questions are not in its training data.")
    parser.add_argument("--data", default=os.path.join(ROOT, "recipes", "demo", "self_cognition.jsonl"))
    parser.add_argument("--questions", default=os.path.join(ROOT, "tests", "demo", "questions.json"))
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    records = read_records(options.data)
    with open(options.questions, encoding="utf-8") as file:
        questions = json.load(file)
    if options.self_test:
        self_test(records, questions)
        return 0
    problems = problems_of(records, questions)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
