"""The smallest whole job: two rows of reference tokens, one step, and the reference implementation's loss."""

import json
import os

import daemons


class FirstJobTest(daemons.DaemonTest):
    def reference_rows(self, case):
        """The rows of the case's input without their padding."""
        with open(os.path.join(case, "input.json"), encoding="utf-8") as file:
            main = json.load(file)["main"]
        lengths = [sum(mask) for mask in main["attention_mask"]]
        return [(ids[:n], labels[:n]) for ids, labels, n in zip(main["input_ids"], main["labels"], lengths)]

    def test_first_loss_is_the_reference(self):
        case = self.small_model()
        with open(os.path.join(case, "case.json"), encoding="utf-8") as file:
            expected = json.load(file)["loss"]
        data = self.write_tokens(self.reference_rows(case))
        node = self.daemons()
        job = node.train(daemons.tokens_job("first", case, data))
        steps = node.steps("first")
        self.assertEqual([int(step["step"]) for step in steps], [1])
        self.assertAlmostEqual(steps[0]["loss"], expected, delta=1e-5)
        self.assertAlmostEqual(steps[0]["loss"], 7.00960, delta=1e-5)
        self.assertEqual(int(job["prepared"]["samples"]), 2)
        self.assertEqual(int(job["prepared"]["tokens"]), 59)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            self.assertTrue(os.path.exists(os.path.join(job["result"]["adapter_dir"], name)), name)

    def test_qlora_starts_from_a_quantised_base(self):
        case = self.small_model()
        with open(os.path.join(case, "case.json"), encoding="utf-8") as file:
            expected = json.load(file)["loss"]
        data = self.write_tokens(self.reference_rows(case))
        node = self.daemons()
        node.train(daemons.tokens_job("first", case, data, **{"method.kind": "qlora"}))
        # The adapter starts as nothing, so the first loss is the quantised base's: near the stored one's, not equal.
        difference = abs(node.steps("first")[0]["loss"] - expected)
        self.assertGreater(difference, 1e-4)
        self.assertLess(difference, 0.1)

    def test_checkpoints_and_ledger_lie_in_the_shared_folder(self):
        shared = os.path.join(self.folder, "shared")
        node = self.daemons(worker_arguments=["--config", self.write_config("worker", shared=shared)])
        data = self.write_tokens(daemons.random_samples(4))
        job = node.train(daemons.tokens_job("shared", self.small_model(), data, **{"train.checkpoint": {"every_steps": 1}}))
        run = os.path.join(shared, "runs", job["name"].rpartition("/")[2])
        self.assertTrue(os.path.exists(os.path.join(run, "attempts", str(job["epoch"]), "ledger.ftr")))
        self.assertTrue(os.listdir(os.path.join(run, "checkpoints")))

    def test_the_adapter_is_fetched_with_its_digest(self):
        case = self.small_model()
        data = self.write_tokens(self.reference_rows(case))
        node = self.daemons()
        job = node.train(daemons.tokens_job("fetched", case, data))
        out = os.path.join(self.folder, "out")
        node.ftctl("export", "fetched", out)
        self.assertEqual(daemons.sha256(os.path.join(out, "adapter_model.safetensors")), job["result"]["adapter_sha256"])


if __name__ == "__main__":
    daemons.main()
