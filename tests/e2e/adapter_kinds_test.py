"""Kinds of adapters as a user trains them: rank-stabilised, DoRA, with ranks by module and with modules that are trained whole, over a
base in 4 bits. The loss falls; a run whose rank is killed, and one of two ranks, end with the bytes of one that was left alone; the
adapter's config says what it is; it is merged and answers. A second training starts where the first ended.
"""

import json
import os

import daemons
import families_test

METHOD = {"kind": "qlora", "rank": 4, "alpha": 8, "dropout": 0.1}
MODEL = "llama_mha"


class AdapterKindsTest(families_test.FamilyCase):
    def adapter_config(self, job):
        with open(os.path.join(job["result"]["adapter_dir"], "adapter_config.json"), encoding="utf-8") as file:
            return json.load(file)

    def check_kind(self, method):
        model = self.model(MODEL)
        node = self.daemons()
        alone = self.check_training(node, model, dict(METHOD, **method))
        self.check_merged(node, "alone", model, alone["result"]["adapter_dir"], ("fp32",))
        return node, model, alone

    def test_dora_that_is_rank_stabilised_with_ranks_by_module(self):
        method = {"use_dora": True, "use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.*": 3},
                  "targets": [".*(q|k|v|o)_proj", "down_proj"]}
        _, _, alone = self.check_kind(method)
        config = self.adapter_config(alone)
        self.assertTrue(config["use_dora"] and config["use_rslora"])
        self.assertEqual(config["rank_pattern"], {"q_proj": 2})
        self.assertEqual(config["alpha_pattern"], {"layers.1.*": 3})
        self.assertEqual(config["target_modules"], ["down_proj", "k_proj", "o_proj", "q_proj", "v_proj"])

    def test_modules_trained_whole_and_a_second_training_from_the_adapter(self):
        node, model, alone = self.check_kind({"modules_to_save": ["embed_tokens", "lm_head"]})
        self.assertEqual(self.adapter_config(alone)["modules_to_save"], ["embed_tokens", "lm_head"])
        losses = [step["loss"] for step in node.steps("alone")]
        data = self.write_tokens(daemons.random_samples(16))
        first = alone["result"]["adapter_dir"]
        again = node.train(self.job("again", model, data, method={"kind": "qlora", "dropout": 0.1, "init_from": first}), timeout=300)
        self.assertLess(node.steps("again")[0]["loss"], 0.5 * (losses[0] + losses[-1]), "training began anew")
        for key in ("r", "lora_alpha", "target_modules"):
            self.assertEqual(self.adapter_config(alone)[key], self.adapter_config(again)[key], key)
        # By their whole names, which is what the first adapter's tensors say.
        self.assertEqual(self.adapter_config(again)["modules_to_save"], ["lm_head", "model.embed_tokens"])

    def test_a_learning_rate_of_its_own_for_b(self):
        model = self.model(MODEL)
        node = self.daemons()
        data = self.write_tokens(daemons.random_samples(16))
        digests = set()
        for ratio in (0, 1, 16):
            job = self.job(f"ratio-{ratio}", model, data, method=METHOD)
            job["train"]["optimizer"]["loraplus_lr_ratio"] = ratio
            digests.add(node.train(job, timeout=300)["result"]["adapter_sha256"])
        self.assertEqual(len(digests), 2)  # 0 and 1 are the same.


if __name__ == "__main__":
    daemons.main()
