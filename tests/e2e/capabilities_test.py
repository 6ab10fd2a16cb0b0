"""`ftctl capabilities` promises what a job file gets: each cell, by a job that asks for just that."""

import json
import os

import cells
import daemons


class CapabilitiesTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.node = self.daemons(start=False)

    def verdict(self, job):
        """What `submit` would refuse the job with; empty where it would not."""
        done = self.node.run("validate", self.node.write_job({"name": "cell", "data": "d", **job}))
        self.assertIn(done.returncode, (0, 2), done.stderr)
        return "\n".join(line.removeprefix("ftctl: ") for line in done.stderr.strip().splitlines())

    def check(self, cell, job):
        self.assertEqual(cell["supported"], cell["reason"] == "", cell)
        self.assertEqual(self.verdict(job), cell["reason"], cell)

    def test_every_stage_and_tier(self):
        answered = json.loads(self.node.ftctl("capabilities", "--json"))
        self.assertEqual(answered, json.loads(self.node.ftctl("capabilities", "-o", "json")))
        self.assertEqual(len(answered), 4 * 2 * 3 * 4)
        supported = set()
        for cell in answered:
            asked = cells.Cell(*(cell[key] for key in cells.Cell._fields))
            self.check(cell, {"model": "m", "method": {"kind": asked.method}, "resources": {"device": asked.device},
                              "parallel": {"ranks": cells.RANKS, **cells.division(asked)}})
            if cell["supported"]:
                supported.add(asked)
        self.assertEqual(supported, cells.RUN, "what is promised is what the matrices run")

    def test_every_family_and_method(self):
        cells = json.loads(self.node.ftctl("capabilities", "--families", "--json"))
        families = {cell["family"] for cell in cells}
        self.assertGreaterEqual(len(families), 27)
        self.assertEqual({(cell["family"], cell["method"]) for cell in cells},
                         {(family, method) for family in families for method in ("qlora", "int8_lora", "lora", "full")})
        for cell in cells:
            model = os.path.join(self.folder, cell["family"])
            os.makedirs(model, exist_ok=True)
            with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as file:
                json.dump({"model_type": cell["family"]}, file)
            self.check(cell, {"model": model, "method": {"kind": cell["method"]}})
        self.assertIn("qwen3_moe", self.node.ftctl("capabilities", "--families"))


if __name__ == "__main__":
    daemons.main()
