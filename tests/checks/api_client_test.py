"""The client of docs/api.md works as printed: it submits a job to real daemons and follows it to SUCCEEDED.

Needs FT_BIN (the folder with ftctl, finetuned, ft-worker and ft-rank), grpcio-tools, and the model case llama_mha in
tests/golden or the reference folder (FT_SHARED, or shared/ beside the clone).
"""

import ast
import glob
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MAX_STATEMENTS = 12


def client_source():
    """The first python block of docs/api.md."""
    with open(os.path.join(ROOT, "docs", "api.md"), encoding="utf-8") as file:
        return re.search(r"^```python\n(.*?)^```", file.read(), re.DOTALL | re.MULTILINE).group(1)


def find_case():
    """The folder of the model case, or None."""
    shared = os.environ.get("FT_SHARED") or os.path.join(ROOT, "..", "shared")
    for folder in (os.path.join(ROOT, "tests", "golden"), os.path.join(shared, "golden")):
        case = os.path.join(os.path.abspath(folder), "llama_mha")
        if os.path.exists(os.path.join(case, "input.json")):
            return case
    return None


def write_job(folder, case):
    """A job file over the two rows of the case's input, already tokens."""
    with open(os.path.join(case, "input.json"), encoding="utf-8") as file:
        main = json.load(file)["main"]
    data = os.path.join(folder, "tokens.jsonl")
    with open(data, "w", encoding="utf-8") as file:
        for ids, mask, labels in zip(main["input_ids"], main["attention_mask"], main["labels"]):
            length = sum(mask)
            file.write(json.dumps({"input_ids": ids[:length], "labels": labels[:length]}) + "\n")
    job = {"name": "api-client", "model": {"source": case, "dtype": "fp32"},
           "data": [{"source": data, "format": "tokens"}],
           "method": {"kind": "lora", "rank": 4, "alpha": 8, "dropout": 0},
           "train": {"max_steps": 3, "micro_batch": 2, "accumulation": 1, "max_length": 64},
           "resources": {"device": "cpu", "threads": 1}}
    path = os.path.join(folder, "job.yaml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(job, file)
    return path


def generate_stubs(folder):
    protos = glob.glob(os.path.join(ROOT, "proto", "finetune", "v1", "*.proto"))
    protos.append(os.path.join(ROOT, "proto", "finetune", "worker", "v1", "records.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", os.path.join(ROOT, "proto"), f"--python_out={folder}",
               f"--grpc_python_out={folder}"] + protos
    subprocess.run(command, check=True, timeout=60)


class ApiClientTest(unittest.TestCase):
    def test_it_is_short(self):
        statements = [node for node in ast.walk(ast.parse(client_source())) if isinstance(node, ast.stmt)]
        self.assertLessEqual(len(statements), MAX_STATEMENTS)

    def test_it_submits_and_follows(self):
        case = find_case()
        if case is None:
            self.skipTest("the model case llama_mha is neither in tests/golden nor in FT_SHARED")
        programs = os.environ["FT_BIN"]
        with tempfile.TemporaryDirectory(prefix="ftapi") as folder:
            environment = dict(os.environ, XDG_DATA_HOME=os.path.join(folder, "data"), HOME=folder, PYTHONPATH=folder)
            job = write_job(folder, case)
            generate_stubs(folder)
            client = os.path.join(folder, "client.py")
            with open(client, "w", encoding="utf-8") as file:
                file.write(client_source())
            ftctl = os.path.join(programs, "ftctl")
            subprocess.run([ftctl, "up"], check=True, timeout=60, env=environment)
            try:
                address = "unix://" + os.path.join(folder, "data", "finetuned", "finetuned.sock")
                done = subprocess.run([sys.executable, client, address, job], capture_output=True, text=True,
                                      timeout=120, env=environment, check=False)
            finally:
                subprocess.run([ftctl, "down"], check=False, timeout=60, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = [line.split() for line in done.stdout.strip().split("\n")]
        self.assertEqual(len({line[0] for line in lines}), 1, done.stdout)
        self.assertRegex(lines[0][0], r"^namespaces/default/jobs/\S+$")
        self.assertEqual(lines[-1][1:3], ["SUCCEEDED", "3"], done.stdout)
        self.assertGreater(float(lines[-1][3]), 0)


if __name__ == "__main__":
    unittest.main()
