"""The list of what recipes ask for and is not built: what its lines mean, and which lines are none."""

import unittest

import not_built

LIST = """# A comment.

setting compat: x is not supported -> compat=none
setting data[N].map.kind: sql is not supported -> data[N].map={input: q, output: a}; data[N].format=table
name llama2_70b_int8_* -> bases in 8 bits
"""


class NotBuiltTest(unittest.TestCase):
    def setUp(self):
        self.lines = not_built.parse(LIST)

    def test_refusals_are_answered_by_their_changes(self):
        refusal = "job: compat: x is not\n  supported yet: use none\ndata[2].map.kind: sql is not supported yet\n"
        self.assertEqual(list(not_built.answers(self.lines, refusal).values()),
                         [["compat=none"], ["data[2].map={input: q, output: a}", "data[2].format=table"]])

    def test_each_source_is_answered_once(self):
        refusal = "".join(f"data[{i}].map.kind: sql is not supported yet\n" for i in (1, 0, 1))
        changes = not_built.answers(self.lines, refusal)[self.lines[1]]
        self.assertEqual([change for change in changes if "format" in change], ["data[0].format=table", "data[1].format=table"])

    def test_what_is_refused_otherwise_is_answered_by_nothing(self):
        self.assertEqual(not_built.answers(self.lines, "compat: y is not supported; llama2_70b_int8_x"), {})

    def test_names_are_globs(self):
        self.assertEqual(not_built.of_name(self.lines, "llama2_70b_int8_lora_x"), self.lines[2])
        self.assertIsNone(not_built.of_name(self.lines, "llama2_70b_qlora_x"))

    def test_other_lines_are_refused_by_number(self):
        for wrong in ("setting compat compat=none", "names x -> y", "setting x ->", "name  -> y"):
            with self.assertRaisesRegex(ValueError, "line 2: write one of setting, name"):
                not_built.parse("# first\n" + wrong)

    def test_the_list_in_the_sources_can_be_read(self):
        not_built.read()


if __name__ == "__main__":
    unittest.main()
