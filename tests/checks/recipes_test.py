"""Every training recipe as `ftctl recipe show` prints it, against the reference's facts about XTuner 0.1.9 resolved anew here.

Needs the reference folder (FT_SHARED, or shared/ beside the clone) and ftctl (FT_BIN). Every fact of a recipe is either found in
what is shown or has no counterpart and the one value that this file names; every key that is shown is expected.
"""

import json
import os
import subprocess
import tempfile
import time
import unittest

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
REFERENCE = os.path.join(os.environ.get("FT_SHARED") or os.path.join(ROOT, "..", "shared"), "reference")
FTCTL = os.path.join(os.environ.get("FT_BIN") or os.path.join(ROOT, "build", "dev", "bin"), "ftctl")
LIMIT_SECONDS = 60  # For the loop of all names, show and plan.

# What Python needs and a file's format or this program's own code settles, with the only values that occur.
WITHOUT_COUNTERPART = {
    "tokenizer.trust_remote_code": [True], "tokenizer.padding_side": ["right", "left"], "shuffle_before_pack": [True],
    "tokenizer.class": ["AutoTokenizer", "LlamaTokenizer"], "model_class": ["AutoModelForCausalLM", "MistralForCausalLM"],
    "remove_unused_columns": [True], "dataloader.num_workers": [0, 2], "lora.bias": ["none"], "lora.task_type": ["CAUSAL_LM"],
    "amp.wrapper": ["AmpOptimWrapper"], "amp.dtype": ["float16"], "amp.loss_scale": ["dynamic"], "scheduler.eta_min": [0.0],
    "scheduler.T_max": ["max_epochs"], "scheduler.by_epoch": [True], "scheduler.convert_to_iter_based": [True],
    "scheduler.warmup": [None], "torch_dtype": ["float16", None], "base_model": None, "prompt_template": None, "bot_name": None,
    "algorithm": None, "quantization": None,
}
QUANTIZATION = {
    "qlora": {"load_in_4bit": True, "load_in_8bit": False, "llm_int8_threshold": 6.0, "llm_int8_has_fp16_weight": False,
              "bnb_4bit_compute_dtype": "float16", "bnb_4bit_use_double_quant": True, "bnb_4bit_quant_type": "nf4"},
    "int8_lora": {"load_in_8bit": True}, "full": None}
# Columns by map (datasets.md, section 2): system text, question, answer.
COLUMNS = {"code_alpaca": ("coder", "prompt", "completion"), "tiny_codes": ("coder", "prompt", "response"),
           "openorca": (None, "question", "response"), "stack_exchange": (None, "question", "response"),
           "arxiv": ("arxiv_gentile", "abstract", "title"), "crime_kg_assitant": ("lawyer", "input", "output"),
           "law_reference": ("lawyer", "question", "answer")}
# Maps that columns alone do not describe: the text that they put in.
KINDS = {"alpaca": "alpaca", "alpaca_zh": "alpaca", "oasst1": None, "colors": "colorist", "sql": "sql", "medical": "medical",
         "wizardlm": None, "msagent_react": None}
HF_CONSTANTS = {"do_train": True, "fp16": True, "logging_steps": 1, "save_strategy": "steps", "ddp_find_unused_parameters": False,
                "lr_scheduler_type": "cosine"}


def load(name):
    with open(os.path.join(REFERENCE, name), encoding="utf-8") as file:
        return yaml.safe_load(file)


def merged(*layers):
    result = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def flat(value, path=""):
    """Path -> leaf; lists of mappings by index."""
    if isinstance(value, dict) and value:
        return {p: v for key, child in value.items() for p, v in flat(child, f"{path}.{key}".lstrip(".")).items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {p: v for i, child in enumerate(value) for p, v in flat(child, f"{path}[{i}]").items()}
    return {path: value}


class Facts:
    """One resolved recipe of the reference; remembers what was taken."""

    def __init__(self, reference, model, algorithm, task):
        self.tree = merged(reference["defaults"], reference["algorithms"][algorithm], reference["models"][model],
                           reference["tasks"][task])
        self.taken = set()

    def take(self, path):
        self.taken.add(path)
        node = self.tree
        for key in path.split("."):
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def left(self):
        """Leaves that nothing took and that have no known value."""
        wrong = {}
        for path, value in flat(self.tree).items():
            allowed = WITHOUT_COUNTERPART.get(path, [])
            known = path in self.taken or any(path.startswith(taken + ".") for taken in self.taken)
            if not known and allowed is not None and value not in allowed:
                wrong[path] = value
        return wrong


class Expectation:
    def __init__(self, reference, templates):
        self.reference = reference
        self.systems = templates["system_templates"]

    def of(self, name):
        model, algorithm, task = self.reference["recipes"][name]
        facts = Facts(self.reference, model, algorithm, task)
        want = {"name": name, "compat": "xtuner-0.1.9", "fit": "off", "gate.allow_unsupervised": True,
                "gate.allow_truncation": True, "gate.allow_empty_output": True, "model.source": "hf://" + facts.take("base_model"),
                "model.dtype": "fp16", "model.eos_token": facts.take("tokenizer.eos_token") or "", "train.loss": "microbatch_mean", "train.on_nonfinite": "skip",
                "train.tokenize": "pieces",
                "model.encode_special_tokens": facts.take("tokenizer.encode_special_tokens") or False}
        assert facts.take("quantization") == QUANTIZATION[facts.take("algorithm")]
        want["method.kind"] = algorithm
        if facts.tree["lora"]:
            targets = facts.take("lora.target_modules")
            want.update({"method.rank": facts.take("lora.r"), "method.alpha": facts.take("lora.alpha"),
                         "method.dropout": facts.take("lora.dropout"),
                         "method.targets": targets if isinstance(targets, list) else [targets]})
        facts.take("lora" if not facts.tree["lora"] else "lora.r")
        # The loader of MOSS does not pack, whatever the flag says.
        is_moss = any(self.reference["data_sources"][source]["loader"] == "moss_sft" for source in facts.tree["data"])
        packs = facts.take("pack_to_max_length") and not is_moss
        want.update({"train.max_length": facts.take("max_length"), "train.packing": packs})
        trainer = self.of_transformers if facts.take("framework") == "huggingface" else self.of_mmengine
        trainer(facts, task, want)
        self.data(facts, model, want)
        return want, facts

    def of_mmengine(self, facts, task, want):
        gpu8 = task.endswith("_gpu8")
        kinds = {"PagedAdamW32bit": "paged_adamw", "AdamW": "adamw"}
        want.update({
            "train.micro_batch": facts.take("dataloader.batch_size_per_device"), "train.accumulation": facts.take("accumulative_counts"),
            "train.optimizer.kind": kinds[facts.take("optimizer.type")], "train.optimizer.lr": facts.take("optimizer.lr"),
            "train.optimizer.betas": facts.take("optimizer.betas"), "train.optimizer.weight_decay": facts.take("optimizer.weight_decay"),
            "train.max_grad_norm": facts.take("grad_clip_max_norm"), "train.epochs": facts.take("max_epochs"),
            "train.schedule.kind": {"CosineAnnealingLR": "cosine"}[facts.take("scheduler.type")], "train.schedule.warmup": 0,
            "train.schedule.by": "micro_batch", "train.checkpoint.every_epochs": 1, "train.checkpoint.keep_last": 1000,
            "parallel.ranks": 8 if gpu8 else 1})
        assert facts.take("hf_training_args") is None
        if gpu8:
            assert want["train.micro_batch"] * want["train.accumulation"] * 8 == 64
        self.evaluation(facts, want)

    def of_transformers(self, facts, task, want):
        arguments = dict(facts.take("hf_training_args"))
        assert {key: arguments.pop(key) for key in HF_CONSTANTS} == HF_CONSTANTS
        want.update({
            "train.micro_batch": arguments.pop("per_device_train_batch_size"),
            "train.accumulation": arguments.pop("gradient_accumulation_steps"),
            "train.optimizer.kind": {"paged_adamw_32bit": "paged_adamw", "adamw_torch": "adamw"}[arguments.pop("optim")],
            "train.optimizer.lr": arguments.pop("learning_rate"), "train.optimizer.weight_decay": arguments.pop("weight_decay"),
            "train.epochs": arguments.pop("num_train_epochs"), "train.schedule.warmup": arguments.pop("warmup_steps"),
            "train.schedule.by": "step", "train.max_grad_norm": 1.0, "train.checkpoint.every_steps": arguments.pop("save_steps"),
            "train.checkpoint.keep_last": arguments.pop("save_total_limit")})
        assert not arguments, arguments
        for key in ("dataloader", "accumulative_counts", "optimizer", "grad_clip_max_norm", "amp", "scheduler", "max_epochs",
                    "evaluation"):
            assert facts.take(key) is None, key
        assert facts.take("validation") is None

    def evaluation(self, facts, want):
        system, text = facts.take("evaluation.system"), facts.take("evaluation.system_text")
        said = self.systems[system] if system else ""
        if text:
            said = self.reference["system_texts"][text].format()  # Its braces are doubled.
        template, word = facts.take("evaluation.template"), facts.take("evaluation.stop_word")
        raw = template == "same" and facts.tree["prompt_template"] is None
        validation = facts.take("validation")
        want.update({
            "train.evaluate.every_micro_batches": facts.take("evaluation.every_n_iters"),
            "train.evaluate.prompts": self.reference["evaluation_input_sets"][facts.take("evaluation.inputs")],
            "train.evaluate.system": said.replace("{bot_name}", facts.tree.get("bot_name") or "{bot_name}"),
            "train.evaluate.template": "none" if raw else "" if template == "same" else template + "@0.1.9",
            "train.evaluate.stop_words": [word] if word else [],
            "train.evaluate.max_new_tokens": facts.take("evaluation.max_new_tokens"),
            "train.evaluate.sets": [validation] if validation else []})

    def data(self, facts, model, want):
        for i, name in enumerate(facts.take("data")):
            source = dict(self.reference["data_sources"][name])
            template = facts.take("prompt_template")
            entry = self.source(source, model)
            if entry.get("format") == "text" or entry.get("map.kind") == "moss_sft":
                assert template is None
            else:
                entry["template"] = template + "@0.1.9"
            assert not source, source  # All of it was used.
            want.update({f"data[{i}].{key}": value for key, value in entry.items()})

    def source(self, source, model):
        entry, loader = {}, source.pop("loader")
        if "file" in source:
            entry["source"] = source.pop("file").removeprefix("./")
            assert source.pop("format", "json") == "json"
        else:
            entry["source"] = ("modelscope://" if loader == "modelscope" else "hf://") + source.pop("hub_id")
        for key, fact in (("subset", "hub_name"), ("folder", "hub_data_dir"), ("split", "hub_split")):
            if fact in source:
                entry[key] = source.pop(fact)
        if "max_dataset_length" in source:
            entry.update({"max_records": source.pop("max_dataset_length"), "choose": "random"})
        if loader == "moss_sft":
            assert source.pop("bot_name") == "from_model"
            return {**entry, "map.kind": "moss_sft", "map.bot_name": self.reference["models"][model]["bot_name"]}
        kind = source.pop("map")
        if kind == "pretrain":
            return {**entry, "format": "text", "column": "text"}
        if kind in COLUMNS:
            system, question, answer = COLUMNS[kind]
            text = self.systems[system] if system else "system_prompt" if kind == "openorca" else ""
            return {**entry, "map.kind": "columns", "map.system": text, "map.input": question, "map.output": answer}
        return {**entry, "map.kind": kind, "map.system": self.systems[KINDS[kind]] if KINDS[kind] else ""}


def ftctl(*arguments):
    done = subprocess.run([FTCTL, *arguments], capture_output=True, text=True, timeout=60, env={"HOME": "/nonexistent", "LANG": "C.UTF-8"})
    if done.returncode != 0:
        raise AssertionError(f"ftctl {' '.join(arguments)}: {done.returncode}: {done.stderr}")
    return done.stdout


def defaults():
    """What a plain job file shows, by path, of one source."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "job.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("model: m\ndata: [{source: d, map: {input: a}}]\n")
        return flat(json.loads(ftctl("recipe", "show", path, "-o", "json")))


@unittest.skipUnless(os.path.isfile(os.path.join(REFERENCE, "recipes.yaml")), "the reference folder is not there (FT_SHARED)")
class RecipesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reference = load("recipes.yaml")
        cls.expectation = Expectation(cls.reference, load("prompt_templates.yaml"))
        cls.names = ftctl("recipe", "list", "--training").split()

    def test_names(self):
        self.assertEqual(self.names, sorted(self.reference["recipes"]))
        zero = self.reference["deepspeed"]["zero_optimization"]
        self.assertEqual(ftctl("recipe", "list").split(), sorted([*self.reference["recipes"], *zero]))
        self.assertEqual(len(ftctl("recipe", "list").splitlines()), self.reference["meta"]["total"])
        for name, setting in zero.items():
            offload = {side: setting.get(key, {}).get("device", "none") for side, key in
                       (("optimizer", "offload_optimizer"), ("parameters", "offload_param"))}
            self.assertEqual(json.loads(ftctl("recipe", "show", name, "-o", "json")),
                             {"parallel": {"zero": setting["stage"], "offload": offload}})

    def test_each_recipe_equals_a_fresh_resolution(self):
        plain = defaults()
        self.assertNotIn("labels", [path for path in plain if plain[path]])
        for name in self.names:
            with self.subTest(name=name):
                want, facts = self.expectation.of(name)
                self.assertEqual(facts.left(), {})
                shown = flat(json.loads(ftctl("recipe", "show", name, "-o", "json")))
                for path, value in shown.items():
                    otherwise = plain.get(path.replace("[1]", "[0]").replace("[2]", "[0]"))
                    if path.endswith((".map.input", ".map.output")):
                        otherwise = ""
                    self.assertEqual(value, want.get(path, otherwise), path)
                self.assertEqual(set(want) - set(shown), set(), "not shown")

    def test_yaml_that_is_shown_says_the_same(self):
        for name in self.names[::37]:
            self.assertEqual(yaml.safe_load(ftctl("recipe", "show", name)), json.loads(ftctl("recipe", "show", name, "-o", "json")))

    def test_all_are_shown_and_planned_in_time(self):
        models = load("models.yaml")
        begin = time.monotonic()
        for name in self.names:
            ftctl("recipe", "show", name)
            plan = ftctl("plan", name)
            self.assertIn("steps          unknown", plan, name)
            millions = models["parameters"][self.reference["recipes"][name][0]]
            self.assertIn(f"{millions:.1f} M weights", plan, name)
        self.assertLess(time.monotonic() - begin, LIMIT_SECONDS)

    def test_configs_hold_the_facts(self):
        models = load("models.yaml")
        for name in models:
            if name == "parameters":
                continue
            with open(os.path.join(ROOT, "recipes", "models", name + ".yaml"), encoding="utf-8") as file:
                config = yaml.safe_load(file)["config"]
            with open(os.path.join(ROOT, "recipes", "models", config), encoding="utf-8") as file:
                self.assertEqual(json.load(file), models[name], name)


if __name__ == "__main__":
    unittest.main()
