"""The families that core/recipe/supported.cc refuses are those of XTuner's base models that worker/model/decoder does not have."""

import glob
import json
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def block(path, name):
    return re.search(rf"\b{name}\[\] = \{{(.*?)\}};", read(path), re.DOTALL).group(1)


class FamiliesTest(unittest.TestCase):
    def test_each_is_either_built_or_refused(self):
        built = set(re.findall(r'(?:\{|model_type = )"(\w+)"', block("worker/model/decoder/family.cc", "kFamilies")))
        refused = set(re.findall(r'"(\w+)"', block("core/recipe/supported.cc", "kFamiliesToCome")))
        used = {json.loads(read(path))["model_type"] for path in glob.glob(os.path.join(ROOT, "recipes", "models", "*.json"))}
        self.assertIn("llama", built)
        self.assertEqual(refused, used - built)


if __name__ == "__main__":
    unittest.main()
