"""docs/models.md says what the programs do: its generated tables are what models_page.py makes of them today."""

import os
import unittest

import daemons
import models_page


class ModelsPageTest(unittest.TestCase):
    def setUp(self):
        os.environ["FT_BIN"] = daemons.BIN

    def test_the_tables_are_what_the_code_says(self):
        page = models_page.read()
        self.assertEqual(page, models_page.with_parts(page), "docs/models.md: run `make models-page`")

    def test_only_what_a_family_reaches_is_its_own(self):
        text = ('Config Common(Reader& read) {\n  read.Require("a", true, true);\n}\n'
                'Config One(Reader& read) {\n  read.RequireAbsent({"b"});\n  return Common(read);\n}\n'
                'Config Other(Reader& read) {\n  return Common(read);\n}\n'
                'Config Nested(Reader& read) { return Part(read, One); }\n')
        self.assertEqual(models_page.refused_by(models_page.reached(text, "One")), ["`a: false`", "`b`"])
        self.assertEqual(models_page.refused_by(models_page.reached(text, "Other")), ["`a: false`"])
        self.assertEqual(models_page.refused_by(models_page.reached(text, "Nested")), ["`a: false`", "`b`"])

    def test_what_a_family_file_refuses_is_read_from_it(self):
        text = ('read.RequireAbsent({"a", "b"});\nread.Require("c", false, false);\nread.Complain(absl::UnimplementedError(\n'
                '  StrCat("d \\"", x, "\\" is not supported by this version "\n "(supported: e, f)")));\n'
                'read.Complain(absl::UnimplementedError("g above 0 (h) is not supported by "\n"this version: take another"));\n')
        self.assertEqual(models_page.refused_by(text), ["`a`", "`b`", "`c: true`", "`d` other than e, f", "`g` above 0 (h)"])


if __name__ == "__main__":
    daemons.main()
