"""Among the families that the files of worker/model/decoder build are all of XTuner's base models, and docs/models.md has a row of
each. (What ftctl and the coordinator say is built is made of the same files: cmake/family_names.cmake.)"""

import glob
import json
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


class FamiliesTest(unittest.TestCase):
    def test_every_base_model_is_built_and_every_family_described(self):
        files = glob.glob(os.path.join(ROOT, "worker", "model", "decoder", "family_*.cc"))
        built = [name for path in files for name in re.findall(r'\.model_type = "(\w+)"', read(path))]
        used = {json.loads(read(path))["model_type"] for path in glob.glob(os.path.join(ROOT, "recipes", "models", "*.json"))}
        self.assertLessEqual(used, set(built))
        self.assertEqual(sorted(re.findall(r"^\| `(\w+)` \| [^`]", read("docs/models.md"), re.MULTILINE)), sorted(built))


if __name__ == "__main__":
    unittest.main()
