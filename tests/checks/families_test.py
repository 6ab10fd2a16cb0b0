"""The families that core/recipe/supported.cc names are those that the files of worker/model/decoder build, and among them are all of
XTuner's base models."""

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
    def test_what_is_said_to_be_built_is(self):
        files = glob.glob(os.path.join(ROOT, "worker", "model", "decoder", "family_*.cc"))
        built = [name for path in files for name in re.findall(r'\.model_type = "(\w+)"', read(path))]
        said = re.findall(r'"(\w+)"', block("core/recipe/supported.cc", "kFamilies"))
        used = {json.loads(read(path))["model_type"] for path in glob.glob(os.path.join(ROOT, "recipes", "models", "*.json"))}
        self.assertEqual(sorted(said), sorted(built))
        self.assertLessEqual(used, set(built))
        self.assertEqual(sorted(re.findall(r"^\| `(\w+)` \| [^`]", read("docs/models.md"), re.MULTILINE)), sorted(built))


if __name__ == "__main__":
    unittest.main()
