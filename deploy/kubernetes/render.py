"""Prints the manifests of this folder, or of the folder given: with `kubectl kustomize` when kubectl is 1.27 or newer,
else with a rendering of our own, which knows only the keys that these files use and refuses all others.

    render.py [FOLDER] [--own]        needs PyYAML for the rendering of our own
"""

import json
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KNOWN_KEYS = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator"}
CLUSTER_KINDS = {"Namespace"}
OLDEST_KUBECTL = (1, 27)


def kubectl_is_new_enough():
    if not shutil.which("kubectl"):
        return False
    done = subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, text=True, timeout=30,
                          check=False)
    if done.returncode != 0:
        return False
    version = json.loads(done.stdout)["clientVersion"]
    return (int(version["major"]), int(re.match(r"\d+", version["minor"])[0])) >= OLDEST_KUBECTL


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def config_map(folder, generator):
    if set(generator) != {"name", "files"}:
        raise SystemExit(f"{folder}: a configMapGenerator has other keys than name and files")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]},
            "data": {name: read(os.path.join(folder, name)) for name in generator["files"]}}


def objects(folder):
    import yaml
    settings = yaml.safe_load(read(os.path.join(folder, "kustomization.yaml")))
    unknown = set(settings) - KNOWN_KEYS
    if unknown:
        raise SystemExit(f"{folder}: kubectl is needed for {', '.join(sorted(unknown))}")
    found = []
    for name in settings["resources"]:
        path = os.path.join(folder, name)
        found += objects(path) if os.path.isdir(path) else list(yaml.safe_load_all(read(path)))
    found += [config_map(folder, generator) for generator in settings.get("configMapGenerator", [])]
    for item in found:
        if "namespace" in settings and item["kind"] not in CLUSTER_KINDS:
            item["metadata"]["namespace"] = settings["namespace"]
    return found


def main():
    arguments = [word for word in sys.argv[1:] if word != "--own"]
    folder = arguments[0] if arguments else HERE
    if "--own" not in sys.argv and kubectl_is_new_enough():
        subprocess.run(["kubectl", "kustomize", folder], timeout=60, check=True)
        return
    import yaml
    yaml.safe_dump_all(objects(folder), sys.stdout, sort_keys=False)


if __name__ == "__main__":
    main()
