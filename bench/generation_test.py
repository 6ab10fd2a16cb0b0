"""bench/generation.py and bench/experts.py: rates, sizes and rows of what was found, and what a peer that died leaves of them.
"""

import os
import subprocess
import sys
import types
import unittest
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import experts  # noqa: E402
import generation  # noqa: E402
import models  # noqa: E402
import report  # noqa: E402

RUN = {"load_seconds": 1.0, "first_token_seconds": 0.5, "seconds": 2.5, "tokens": 41}


def slower(times):
    return {**RUN, "seconds": 0.5 + 2.0 * times}


def model(**config):
    made = models.Model.__new__(models.Model)
    made.config = {**models.SLICE, **config}
    made.vocabulary = made.config["vocab_size"]
    return made


class RateTest(unittest.TestCase):
    def test_the_first_token_and_its_wait_do_not_count(self):
        self.assertEqual(generation.rate(RUN), 20.0)

    def test_an_answer_that_ends_at_once_has_none(self):
        with self.assertRaisesRegex(RuntimeError, "only 1 tokens"):
            generation.rate({**RUN, "tokens": 1})

    def test_loading_is_what_the_process_took_beside_its_answer(self):
        found = generation.answered({"first_token_seconds": 0.5, "seconds": 2.5, "tokens": [7, 8, 9]}, 4.0, {"memory": 11})
        self.assertEqual(found, {"load_seconds": 1.5, "first_token_seconds": 0.5, "seconds": 2.5, "tokens": 3, "memory": 11})


class SizeTest(unittest.TestCase):
    def test_linear_layers_are_in_4_bits_and_the_rest_in_16(self):
        layer = 4 * 4096 * 4096 + 3 * 4096 * 11008
        size = generation.quantised_bytes(model(num_hidden_layers=4))
        self.assertEqual(size, 4 * layer * (0.5 + 1 / 64 + 1 / 4096) + 2 * (2 * 32000 + 9) * 4096)

    def test_a_tied_head_is_held_once(self):
        held = generation.quantised_bytes(model()) - generation.quantised_bytes(model(tie_word_embeddings=True))
        self.assertEqual(held, 2 * 32000 * 4096)


class ChatRowsTest(unittest.TestCase):
    def missed(self, found):
        return report.missed(found, ["chat"], [floor for floor in report.FLOORS if floor[0].startswith("chat.demo")])

    def test_floors_are_kept_and_missed(self):
        self.assertEqual(self.missed(list(generation.rows("demo", [RUN], [slower(10)], [slower(0.7)], None))), [])
        self.assertEqual(self.missed(list(generation.rows("demo", [RUN], [slower(9)], [slower(0.5)], None))),
                         ["chat.demo: ratio 9, floor >= 10", "chat.demo_llama: ratio 0.5, floor >= 0.7"])

    def test_without_llama_the_other_rows_stand_and_its_own_says_why(self):
        found = list(generation.rows("demo", [RUN], [slower(10)], [], "llama-cpp-python is not installed"))
        self.assertEqual(self.missed(found), ["chat.demo_llama: not measured: llama-cpp-python is not installed"])
        self.assertEqual(found[0].ratio, 10)

    def test_a_llama_that_dies_is_told_by_its_last_words(self):
        context = types.SimpleNamespace(threads=2)
        for error in (RuntimeError("llama_generate.py ended with 1: noise\nllama.cpp does not decode"),
                      subprocess.TimeoutExpired("llama_generate.py", 5)):
            with mock.patch("os.path.exists", return_value=True), mock.patch("peer.run", side_effect=error):
                run, why = generation.llama(context, types.SimpleNamespace(path="model"), [])
            self.assertIsNone(run)
            self.assertIn(why, ("llama.cpp does not decode", str(error)))

    def test_one_that_was_not_built_is_not_started(self):
        with mock.patch("peer.LLAMA_INSTALLED", "/nowhere"), mock.patch("peer.run", side_effect=AssertionError):
            run, why = generation.llama(types.SimpleNamespace(threads=2), types.SimpleNamespace(path="model"), [])
        self.assertIsNone(run)
        self.assertIn("setup.sh --llama", why)


class ExpertsTest(unittest.TestCase):
    def test_the_dense_model_has_the_products_of_a_row(self):
        self.assertEqual(experts.DENSE["intermediate_size"], experts.CHOSEN * experts.MIXTRAL["intermediate_size"])
        same = set(experts.DENSE) - {"intermediate_size"}
        self.assertEqual({key: experts.DENSE[key] for key in same}, {key: experts.MIXTRAL[key] for key in same})

    def test_the_first_step_warms_up_and_the_floor_is_1_3_times(self):
        floors = [floor for floor in report.FLOORS if floor[0].startswith("experts.")]
        for times, missed in ((1.2, []), (1.4, ["experts.step: ratio 1.4, floor <= 1.3"])):
            found = list(experts.rows([{"seconds": [9, times, times], "memory": 1}], [{"seconds": [5, 1, 1], "memory": 1}]))
            self.assertEqual(report.missed(found, ["experts"], floors), missed)


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
    import daemons
    daemons.main()
