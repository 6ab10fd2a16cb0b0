"""Checks rendered manifests: kubernetes-validate for every kind that Kubernetes itself knows, and what no schema sees:
names that refer to each other. The rendering of our own must say the same as kubectl's.

    check_manifests.py FILE        with the Python of .deps/deploy
"""

import os
import re
import subprocess
import sys

import kubernetes_validate
import yaml

RENDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "kubernetes", "render.py")
VERSIONS = ("1.27", "1.32")
CUSTOM_KINDS = {"PodMonitor"}
# Made by whoever installs (docs/kubernetes.md).
SECRETS = {"finetune-coordinator-tls", "finetune-worker-tls", "finetune-tokens"}


class Problems(list):
    def check(self, holds, text):
        if not holds:
            self.append(text)


def without_hash(name):
    """kubectl appends a hash to the names of generated ConfigMaps."""
    return re.sub(r"-[0-9a-z]{10}$", "", name)


def normal(node):
    """The same for both renderings: names of ConfigMaps without hash, in a fixed order."""
    if isinstance(node, dict):
        return {key: without_hash(value) if key == "name" and isinstance(value, str) else normal(value)
                for key, value in node.items()}
    return [normal(item) for item in node] if isinstance(node, list) else node


def by_name(items):
    return {(item["kind"], without_hash(item["metadata"]["name"])): normal(item) for item in items}


def pods(items):
    return [item["spec"]["template"] for item in items if item["kind"] in ("StatefulSet", "DaemonSet")]


def selected(items, labels):
    return [pod for pod in pods(items) if labels.items() <= pod["metadata"]["labels"].items()]


def port_names(pod):
    return {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}


def check_schemas(items, problems):
    for item in items:
        if item["kind"] in CUSTOM_KINDS:
            continue
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(item, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                problems.append(f"{item['kind']} {item['metadata']['name']}, Kubernetes {version}: {error.message}")


def check_volumes(items, problems):
    names = {(item["kind"], item["metadata"]["name"]) for item in items}
    for item in items:
        if item["kind"] not in ("StatefulSet", "DaemonSet"):
            continue
        spec = item["spec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        claimed = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])}
        for container in spec["containers"] + spec.get("initContainers", []):
            for mount in container["volumeMounts"]:
                problems.check(mount["name"] in set(volumes) | claimed, f"no volume {mount['name']}")
        for volume in volumes.values():
            if "configMap" in volume:
                problems.check(("ConfigMap", volume["configMap"]["name"]) in names, f"no ConfigMap of {volume['name']}")
            if "secret" in volume:
                problems.check(volume["secret"]["secretName"] in SECRETS, f"no Secret of {volume['name']}")
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                problems.check(("PersistentVolumeClaim", claim) in names, f"no claim {claim}")


def check_ports(items, problems):
    for item in items:
        spec, name = item.get("spec", {}), f"{item['kind']} {item['metadata']['name']}"
        if item["kind"] == "Service":
            labels, ports = spec["selector"], [port["targetPort"] for port in spec["ports"]]
        elif item["kind"] == "PodMonitor":
            labels, ports = spec["selector"]["matchLabels"], [end["port"] for end in spec["podMetricsEndpoints"]]
            problems.check(all(spec["jobLabel"] in pod["metadata"]["labels"] for pod in pods(items)), f"{name}: jobLabel")
        elif item["kind"] == "NetworkPolicy":
            labels = spec["podSelector"]["matchLabels"]
            ports = [port["port"] for rule in spec["ingress"] for port in rule.get("ports", [])]
        else:
            continue
        found = selected(items, labels)
        problems.check(len(found) == 1, f"{name} selects {len(found)} kinds of pods")
        for pod in found:
            problems.check(set(ports) <= port_names(pod), f"{name}: a port of {ports} is not one of {port_names(pod)}")


def check_security(items, problems):
    for pod in pods(items):
        problems.check(pod["spec"]["securityContext"]["runAsNonRoot"], "a pod runs as root")
        for container in pod["spec"]["containers"]:
            context = container["securityContext"]
            problems.check(not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"]
                           and context["capabilities"] == {"drop": ["ALL"]}, f"{container['name']}: securityContext")
            problems.check("readinessProbe" in container and "livenessProbe" in container, f"{container['name']}: probes")


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([smh])", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


def check_grace(items, problems):
    """Kubelet's patience with a worker that drains outlasts the worker's own."""
    for item in items:
        if item["kind"] == "ConfigMap" and "ft-worker.yaml" in item["data"]:
            grace = seconds(yaml.safe_load(item["data"]["ft-worker.yaml"])["stop_grace"])
    for pod in pods(items):
        if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "finetune-worker":
            given = pod["spec"]["terminationGracePeriodSeconds"]
            problems.check(given > grace, f"the worker has {given} s to stop and wants {grace} s")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        items = list(yaml.safe_load_all(file))
    problems = Problems()
    for check in (check_schemas, check_volumes, check_ports, check_security, check_grace):
        check(items, problems)
    own = subprocess.run([sys.executable, "-B", RENDER, "--own"], capture_output=True, text=True, timeout=60, check=True)
    problems.check(by_name(yaml.safe_load_all(own.stdout)) == by_name(items), "render.py --own differs from kubectl")
    for problem in problems:
        print(f"check-deploy: {problem}", file=sys.stderr)
    print(f"check-deploy: {len(items)} objects, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
