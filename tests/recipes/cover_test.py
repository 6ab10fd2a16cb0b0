"""The cover of all recipes touches everything with the fewest names, as trying all sets shows on small lists."""

import itertools
import random
import unittest

import cover
from cover import Name


def things(names):
    return {(kind, getattr(name, kind)) for name in names for kind in ("model", "method", "task")}


def fewest(names):
    """The size of the smallest set of names that touches everything, by trying all sets."""
    wanted = things(names)
    for size in range(1, len(names) + 1):
        if any(things(chosen) == wanted for chosen in itertools.combinations(names, size)):
            return size
    return 0


def make(*triples):
    return [Name("_".join(triple), *triple) for triple in triples]


class CoverTest(unittest.TestCase):
    def test_one_name_is_its_own_cover(self):
        names = make(("a", "qlora", "x"))
        self.assertEqual(cover.cover(names), names)

    def test_a_matching_is_used_before_names_that_touch_one_thing(self):
        # Greedily (a, x) would come first and leave b and y with a name each.
        names = make(("a", "qlora", "x"), ("a", "qlora", "y"), ("b", "qlora", "x"))
        self.assertEqual([name.name for name in cover.cover(names)], ["a_qlora_y", "b_qlora_x"])

    def test_of_two_methods_the_one_that_is_missing_is_taken(self):
        names = make(("a", "qlora", "x"), ("b", "full", "y"), ("b", "qlora", "y"))
        self.assertEqual([name.name for name in cover.cover(names)], ["a_qlora_x", "b_full_y"])

    def test_the_order_of_the_list_changes_nothing(self):
        names = make(*((model, "qlora", task) for model in "abcd" for task in "wxyz"))
        shuffled = list(names)
        random.Random(3).shuffle(shuffled)
        self.assertEqual(cover.cover(shuffled), cover.cover(names))

    def test_no_set_of_fewer_names_touches_models_and_tasks(self):
        source = random.Random(20)
        for _ in range(60):
            triples = {(source.choice("abcd"), "qlora", source.choice("wxyz")) for _ in range(source.randrange(1, 9))}
            names = make(*sorted(triples))
            found = cover.cover(names)
            self.assertEqual(things(found), things(names))
            self.assertEqual(len(found), fewest(names), names)

    def test_with_methods_all_is_touched_and_a_method_costs_at_most_a_name(self):
        source = random.Random(21)
        for _ in range(60):
            triples = {(source.choice("abc"), source.choice(("full", "qlora")), source.choice("xyz")) for _ in range(6)}
            names = make(*sorted(triples))
            found = cover.cover(names)
            self.assertEqual(things(found), things(names))
            self.assertLessEqual(len(found), fewest(names) + 1, names)


if __name__ == "__main__":
    unittest.main()
