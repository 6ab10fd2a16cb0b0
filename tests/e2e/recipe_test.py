"""Recipes at the command line: listed, shown, compared and planned by ftctl alone, with files of the test's own."""

import json
import os
import subprocess

import daemons

CONFIG = {"model_type": "llama", "vocab_size": 1000, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
          "intermediate_size": 128}


class RecipeTest(daemons.DaemonTest):
    def setUp(self):
        super().setUp()
        self.node = self.daemons(start=False)

    def write(self, name, text):
        path = os.path.join(self.node.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def refused(self, *arguments, **environment):
        done = self.node.run(*arguments, environment=environment)
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        return done.stderr

    def test_names_are_listed_and_chosen(self):
        self.assertEqual(len(self.node.ftctl("recipe", "list").splitlines()), 301)
        self.assertEqual(len(self.node.ftctl("recipe", "list", "--training").splitlines()), 296)
        self.assertEqual(self.node.ftctl("recipe", "list", "--model", "internlm_7b", "--method", "full", "--task", "oasst1_e3"),
                         "internlm_7b_full_oasst1_e3\n")
        listed = json.loads(self.node.ftctl("recipe", "list", "--task", "sql_e3", "-o", "json"))
        self.assertEqual({name["method"] for name in listed}, {"qlora"})
        self.assertIn("no recipe has --model internlm_8b, did you mean 'internlm_7b'?",
                      self.refused("recipe", "list", "--model", "internlm_8b"))

    def test_what_is_shown_is_a_job_file(self):
        shown = self.node.ftctl("recipe", "show", "llama2_7b_qlora_sql_e3")
        self.assertIn("\n    kind: paged_adamw\n", shown)
        again = self.node.ftctl("recipe", "show", self.write("copy.yaml", shown))
        self.assertEqual(again, "\n".join(line for line in shown.split("\n") if not line.startswith("#")))
        mine = self.write("mine.yaml", "recipe: copy.yaml\ntrain: {epochs: 1}\n")
        self.assertEqual(self.node.ftctl("recipe", "diff", "llama2_7b_qlora_sql_e3", mine), "train.epochs: 3 -> 1\n")
        self.assertEqual(json.loads(self.node.ftctl("recipe", "diff", mine, "llama2_7b_qlora_sql_e3", "-o", "json")),
                         {"train.epochs": ["1", "3"]})
        same = self.node.run("recipe", "diff", mine, mine)
        self.assertEqual((same.returncode, same.stdout), (0, ""))
        self.assertIn("differ in nothing but their names", same.stderr)

    def test_a_zero_setting_is_shown_and_refused_where_it_is_none(self):
        self.assertEqual(self.node.ftctl("recipe", "show", "deepspeed_zero2_offload"),
                         "parallel:\n  zero: 2\n  offload:\n    optimizer: cpu\n    parameters: none\n")
        plan = self.node.ftctl("plan", "llama2_7b_qlora_sql_e3", "--deepspeed", "deepspeed_zero2_offload")
        self.assertIn("  zero           stage 2          optimizer on cpu, parameters on none\n", plan)
        self.assertNotIn("not supported yet", plan)
        plan = self.node.ftctl("plan", "llama2_7b_qlora_sql_e3", "--deepspeed", "deepspeed_zero3_offload")
        self.assertIn("  zero           stage 3          optimizer on cpu, parameters on cpu\n", plan)
        self.assertNotIn("not supported yet", plan)
        self.assertIn("parallel.offload.parameters needs zero: 3, or a base that is not trained",
                      self.refused("submit", "llama2_7b_qlora_sql_e3", "--set", "method.kind=full", "--set", "parallel.offload.parameters=cpu"))
        on_cpu = self.node.ftctl("plan", "llama2_7b_qlora_sql_e3", "--deepspeed", "deepspeed_zero3_offload",
                                 "--set", "resources.device=cpu", "--set", "parallel.ranks=2")
        self.assertIn("parallel.offload: a CPU's memory is where all of it lies, nothing is moved", on_cpu)
        self.assertIn("  zero           stage 3 ", on_cpu)
        self.assertIn("parallel.zero: 2 with one rank equals zero: 0, there is nothing to divide",
                      self.node.ftctl("plan", "llama2_7b_qlora_sql_e3", "--deepspeed", "deepspeed_zero2"))
        self.assertIn("--deepspeed zero2: is none of deepspeed_zero1,", self.refused("plan", "x", "--deepspeed", "zero2"))
        self.assertIn("is a ZeRO setting and no training recipe", self.refused("plan", "deepspeed_zero1"))

    def test_deepspeeds_own_file(self):
        job = self.write("job.yaml", "model: m\ndata: d\ncompat: xtuner-0.1.9\ntrain: {micro_batch: 2}\nparallel: {ranks: 2}\n")
        good = self.write("ds.json", json.dumps({"train_micro_batch_size_per_gpu": 4, "bf16": {"enabled": "auto"},
                                                 "zero_optimization": {"stage": 2, "overlap_comm": True}}))
        shown = self.node.ftctl("validate", job, "--deepspeed", good)
        self.assertIn("# zero_optimization.stage: 2 -> parallel.zero: 2\n", shown)
        self.assertIn("# zero_optimization.overlap_comm: true -> no meaning here: ", shown)
        self.assertIn(": train_micro_batch_size_per_gpu: 4 gives way to the recipe's train.micro_batch: 2\n", shown)
        self.assertIn("  zero: 2\n", shown)
        self.assertEqual(self.node.ftctl("validate", self.write("again.yaml", shown)),
                         "".join(line + "\n" for line in shown.splitlines() if not line.startswith("#")))
        answer = json.loads(self.node.ftctl("validate", job, "--deepspeed", good, "-o", "json"))
        self.assertEqual(answer["deepspeed"][0]["became"], "the job's train.micro_batch: 2")
        self.assertIn("  zero: 2\n", self.node.ftctl("recipe", "show", job, "--deepspeed", good))
        plan = self.node.ftctl("plan", "llama2_7b_qlora_sql_e3", "--deepspeed", good, "--set", "parallel.ranks=2")
        self.assertIn("  zero           stage 2", plan)
        bad = self.write("bad.json", json.dumps({"zero_optimisation": {"stage": 2}, "fp16": {"enabled": True}, "bf16": {"enabled": True}}))
        refused = self.refused("submit", job, "--deepspeed", bad)
        self.assertIn("bad.json: zero_optimisation: unknown key, did you mean 'zero_optimization'?", refused)
        self.assertIn("bad.json: fp16.enabled: is true beside bf16.enabled: switch one of the two off", refused)
        self.assertIn("是否想写 'zero_optimization'", self.refused("run", job, "--deepspeed", bad, LANG="zh_CN.UTF-8"))
        three = self.write("three.json", '{"zero_optimization": {"stage": 3, "offload_param": {"device": "cpu"}}}')
        self.assertIn("    parameters: cpu\n", self.node.ftctl("validate", job, "--deepspeed", three))

    def test_the_flag_takes_the_place_of_the_jobs_own_deepspeed(self):
        own = self.write("own.yaml", "model: m\ndata: d\nparallel: {ranks: 2, deepspeed: deepspeed_zero3_offload}\n")
        shown = self.node.ftctl("validate", own, "--deepspeed", "deepspeed_zero2")
        self.assertIn("  zero: 2\n", shown)
        self.assertIn("    parameters: none\n", shown)
        # A job that was shown is one that the flag takes too.
        again = self.write("again.yaml", self.node.ftctl("recipe", "show", "llama2_7b_qlora_sql_e3"))
        self.assertIn("  zero: 1\n", self.node.ftctl("validate", again, "--deepspeed", "deepspeed_zero1"))
        zero = self.write("zero.yaml", "model: m\ndata: d\nparallel: {ranks: 2, zero: 1}\n")
        self.assertIn("parallel.deepspeed: stands beside zero or offload: give one of the two",
                      self.refused("submit", zero, "--deepspeed", "deepspeed_zero2"))
        five = self.write("five.yaml", "model: m\ndata: d\nparallel:\n  deepspeed: five.json\n")
        self.write("five.json", '{"zero_optimization": {"stage": 5}}')
        self.assertIn("five.yaml:4: parallel.deepspeed: five.json: zero_optimization.stage: '5' is none of: 0, 1, 2, 3",
                      self.refused("submit", five))

    def test_a_plan_needs_neither_model_nor_data(self):
        plan = self.node.ftctl("plan", "yi_34b_qlora_alpaca_enzh_e3")
        self.assertIn("34388.9 M weights by its config.json", plan)
        self.assertIn("steps          unknown", plan)
        counted = json.loads(self.node.ftctl("plan", "yi_34b_qlora_alpaca_enzh_e3", "--records", "1000", "-o", "json"))
        self.assertEqual(counted["steps"], 188)  # 3,000 / 16.
        self.assertEqual(counted["refused"], [])
        model = os.path.dirname(self.write("model/config.json", json.dumps(CONFIG)))
        own = self.node.ftctl("plan", "yi_34b_qlora_alpaca_enzh_e3", "--set", f"model.source={model}")
        self.assertIn("0.2 M weights by its config.json", own)
        self.write("model/config.json", json.dumps({**CONFIG, "num_attention_heads": 7}))
        self.assertIn("has a width of 64 and 7 heads, which do not divide it",
                      self.refused("plan", "yi_34b_qlora_alpaca_enzh_e3", "--set", f"model.source={model}"))
        self.assertIn("20088.7 M weights by its config.json", self.node.ftctl("plan", "internlm_20b_qlora_sql_e3"))
        self.write("model/config.json", json.dumps({**CONFIG, "model_type": "internlm9"}))
        self.assertIn('model family "internlm9" is not supported by this version, the nearest that is: internlm',
                      self.node.ftctl("plan", "yi_34b_qlora_alpaca_enzh_e3", "--set", f"model.source={model}"))
        absent = self.node.ftctl("plan", "yi_34b_qlora_alpaca_enzh_e3", "--set", "model.source=./typo")
        self.assertIn("so the sizes are those of the recipe's model", absent)
        bare = self.write("bare.yaml", "model: hf://a/b\ndata: hf://c/d\n")
        self.assertIn("there is no config.json at hand", self.refused("plan", bare, "--records", "10"))

    def test_what_is_wrong_is_said_in_one_sentence_of_either_language(self):
        self.assertIn("there is no recipe 'llama2_7b_qlora_sgl_e3'; the nearest are llama2_7b_qlora_sql_e3, ",
                      self.refused("submit", "llama2_7b_qlora_sgl_e3"))
        self.assertIn("最接近的是 llama2_7b_qlora_sql_e3、", self.refused("submit", "llama2_7b_qlora_sgl_e3", LANG="zh_CN.UTF-8"))
        self.assertIn("llama2_7b_qlora_sql_e3 with --set: train.epocs: unknown key, did you mean 'epochs'?",
                      self.refused("run", "llama2_7b_qlora_sql_e3", "--set", "train.epocs=1"))
        one = self.write("one.yaml", "recipe: two.yaml\n")
        self.write("two.yaml", "recipe: one.yaml\n")
        self.assertIn("would start from itself", self.refused("submit", one))
        self.assertIn("会以自身为起点", self.refused("submit", one, LANG="zh_CN.UTF-8"))
        self.assertIn("there is no file " + os.path.join(self.node.folder, "none.yaml"),
                      self.refused("preview", self.write("job.yaml", "recipe: none.yaml\n")))

    def test_names_are_completed(self):
        script = self.write("completion.sh", self.node.ftctl("completion"))
        words = (f"source {script}; PATH={self.node.programs}:$PATH; COMP_WORDS=(ftctl recipe show llama2_70b_int8); COMP_CWORD=3; _ftctl; "
                 "printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=True, env=self.node.environment())
        self.assertEqual(done.stdout.split(), ["llama2_70b_int8_lora_open_platypus_e1", "llama2_70b_int8_lora_open_platypus_e1_hf"])
        done = subprocess.run(["bash", "-c", words.replace("show llama2_70b_int8", "dif").replace("CWORD=3", "CWORD=2")],
                              capture_output=True, text=True, check=True, env=self.node.environment())
        self.assertEqual(done.stdout.split(), ["diff"])

    def test_a_chinese_plan_is_chinese(self):
        plan = self.node.run("plan", "internlm_7b_qlora_msagent_react_e3_gpu8", "--set", "parallel.ranks=2",
                             environment={"LANG": "zh_CN.UTF-8"}).stdout
        self.assertIn("注意：train.accumulation：4 使每步仍为配方的 64 条序列", plan)
        for line in plan.splitlines():
            self.assertRegex(line, "[一-鿿]", "a line without a Chinese word")


if __name__ == "__main__":
    daemons.main()
