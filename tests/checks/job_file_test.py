"""docs/job-file.md names exactly the keys of core/recipe/schema.h, and the default of each plain one."""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The mapping that each struct of job_spec.h is in the file.
SECTIONS = {"JobSpec": "", "ModelSpec": "model", "DataSource": "data", "ColumnMap": "data.map", "MethodSpec": "method", "TrainSpec": "train",
            "OptimizerSpec": "train.optimizer", "ScheduleSpec": "train.schedule", "CheckpointSpec": "train.checkpoint",
            "LossScaleSpec": "train.loss_scale", "EvaluateSpec": "train.evaluate", "ParallelSpec": "parallel", "OffloadSpec": "parallel.offload",
            "ResourceSpec": "resources", "GateSpec": "gate"}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def keys_of_schema():
    """Full path -> field name in job_spec.h, from the Visit functions."""
    keys = {}
    for struct, body in re.findall(r"void Visit\(V& v, (\w+)& s\) \{\n(.*?)\n\}", read("core/recipe/schema.h"), re.DOTALL):
        for visitor, key, field in re.findall(r'\bv(\.\w+)?\("(\w+)",\s*s\.(\w+)', body):
            if visitor != ".Object" or struct == "JobSpec":
                keys[f"{SECTIONS[struct]}.{key}".lstrip(".")] = (struct, field)
    return keys


def rows_of_document():
    """Full path -> cells of its row."""
    rows, section = {}, ""
    for line in read("docs/job-file.md").split("\n"):
        heading = re.match(r"## (.*)", line)
        if heading:
            named = re.match(r"`(\w+)`", heading.group(1))
            section = named.group(1) if named else ""
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            for key in re.findall(r"`([\w.]+)`", cells[0]):
                rows[f"{section}.{key}".lstrip(".")] = cells
    return rows


def default_of(struct, field):
    """The literal that job_spec.h gives a field, as text; None where it has none."""
    body = re.search(rf"struct {struct} \{{(.*?)\n\}};", read("core/recipe/job_spec.h"), re.DOTALL).group(1)
    match = re.search(rf"\b{field} = ([^;]+);", body)
    return match.group(1).strip('"') if match else None


class JobFileTest(unittest.TestCase):
    def test_keys(self):
        keys, rows = keys_of_schema(), rows_of_document()
        self.assertGreater(len(keys), 50)
        self.assertEqual(sorted(set(keys) - set(rows)), [], "not described")
        self.assertEqual(sorted(set(rows) - set(keys)), [], "described, but no such key")

    def test_defaults(self):
        rows = rows_of_document()
        for key, (struct, field) in keys_of_schema().items():
            default = default_of(struct, field)
            if default is None or default.startswith("{") or key.endswith(".betas"):
                continue
            shown = rows[key][2].strip("`").split(" ")[0].split(";")[0].strip("`")
            with self.subTest(key=key):
                if re.fullmatch(r"-?[\d.]+(e-?\d+)?", default) and re.fullmatch(r"-?[\d.]+(e-?\d+)?", shown):
                    self.assertEqual(float(shown), float(default))
                else:
                    self.assertEqual(shown, default)

    def test_words(self):
        rows = rows_of_document()
        for key, words in re.findall(r'v\("(\w+)",\s*s\.\w+,\s*OneOf\{\{([^}]*)\}\}', read("core/recipe/schema.h")):
            described = [row for path, row in rows.items() if path.split(".")[-1] == key]
            for word in re.findall(r'"(\w+)"', words):
                self.assertTrue(any(f"`{word}`" in " ".join(row) for row in described), f"{key}: {word}")


if __name__ == "__main__":
    unittest.main()
