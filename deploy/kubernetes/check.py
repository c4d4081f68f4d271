"""Checks the manifests of this folder; the argument is the folder of the rendered ones."""

import glob
import os
import re
import subprocess
import sys

import yaml

problems = []


def compare(value, shape, place):
    """Whether `value` has the shape that schema.yaml gives it."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            problems.append(f"{place}: found {value!r}, expected a mapping")
            return
        known = {key.rstrip("!"): key for key in shape}
        for key, below in value.items():
            if key not in known:
                problems.append(f"{place}.{key}: unknown key, expected one of {', '.join(known)}")
            else:
                compare(below, shape[known[key]], f"{place}.{key}")
        for name, key in known.items():
            if key.endswith("!") and name not in value:
                problems.append(f"{place}.{name}: missing")
    elif isinstance(shape, list):
        if not isinstance(value, list):
            problems.append(f"{place}: found {value!r}, expected a list")
            return
        for number, item in enumerate(value):
            compare(item, shape[0], f"{place}[{number}]")
    elif shape == "map":
        good = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
        if not good:
            problems.append(f"{place}: found {value!r}, expected names with strings")
    elif shape == "integer":
        if type(value) is not int:
            problems.append(f"{place}: found {value!r}, expected a whole number")
    elif shape == "boolean":
        if type(value) is not bool:
            problems.append(f"{place}: found {value!r}, expected true or false")
    elif shape == "port":
        if type(value) not in (int, str):
            problems.append(f"{place}: found {value!r}, expected a port")
    elif shape == "string":
        if not isinstance(value, str):
            problems.append(f"{place}: found {value!r}, expected a string")
    elif shape != "any" and value not in shape.split("|"):
        problems.append(f"{place}: found {value!r}, expected {shape}")


def structural(schema, place):
    """The rules of structural schemas, as far as these CRDs can break them."""
    if "type" not in schema:
        problems.append(f"{place}: a structural schema has a type everywhere")
    for name, below in schema.get("properties", {}).items():
        structural(below, f"{place}.{name}")
    if schema.get("type") == "array":
        if "items" not in schema:
            problems.append(f"{place}: an array without items")
        else:
            structural(schema["items"], place + "[]")
    for key in schema.get("x-kubernetes-list-map-keys", []):
        if key not in schema.get("items", {}).get("required", []):
            problems.append(f"{place}: the list's key {key} is not required")


def relate(objects, origin):
    """What objects say of each other."""

    def named(kind, name):
        for one in objects:
            if one["kind"] == kind and one["metadata"]["name"] == name:
                return one
        problems.append(f"{origin}: there is no {kind} {name}")
        return None

    for one in objects:
        kind, place = one["kind"], f"{origin}: {one['kind']} {one['metadata']['name']}"
        if kind in ("ClusterRoleBinding", "RoleBinding"):
            named(one["roleRef"]["kind"], one["roleRef"]["name"])
            for subject in one["subjects"]:
                account = named(subject["kind"], subject["name"])
                if account and account["metadata"].get("namespace") != subject["namespace"]:
                    problems.append(f"{place}: its subject is in another namespace")
        if kind == "CustomResourceDefinition":
            names = one["spec"]["names"]
            if one["metadata"]["name"] != f"{names['plural']}.{one['spec']['group']}":
                problems.append(f"{place}: its name is not that of its kind")
            structural(one["spec"]["versions"][0]["schema"]["openAPIV3Schema"], place)
        if kind != "Deployment":
            continue
        pod = one["spec"]["template"]
        labels, container = pod["metadata"]["labels"], pod["spec"]["containers"][0]
        named("ServiceAccount", pod["spec"]["serviceAccountName"])
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        selectors = [(place, one["spec"]["selector"]["matchLabels"])]
        for other in objects:
            spec = other.get("spec", {})
            if other["kind"] == "Service":
                selectors.append(("Service", spec["selector"]))
                for port in spec["ports"]:
                    if ports.get(port["targetPort"]) != port["port"]:
                        problems.append(f"{place}: the Service's port {port['port']} leads nowhere")
            if other["kind"] == "PodDisruptionBudget":
                selectors.append(("PodDisruptionBudget", spec["selector"]["matchLabels"]))
            if other["kind"] == "NetworkPolicy":
                selectors.append(("NetworkPolicy", spec["podSelector"]["matchLabels"]))
                open_ports = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
                if open_ports != set(ports.values()):
                    problems.append(f"{place}: the NetworkPolicy lets in {sorted(open_ports)}")
        for whose, selector in selectors:
            if not selector.items() <= labels.items():
                problems.append(f"{place}: {whose} selects other pods")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if container[probe]["httpGet"]["port"] != "console":
                problems.append(f"{place}: {probe} does not ask the console")
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for mount in container["volumeMounts"]:
            if mount["name"] not in volumes:
                problems.append(f"{place}: there is no volume {mount['name']}")
        claims = [volume["persistentVolumeClaim"]["claimName"]
                  for volume in volumes.values() if "persistentVolumeClaim" in volume]
        for claim in claims:
            named("PersistentVolumeClaim", claim)
        # A volume that one pod at a time may have.
        alone = one["spec"].get("strategy", {}).get("type") == "Recreate"
        if bool(claims) != alone or (claims and one["spec"]["replicas"] != 1):
            problems.append(f"{place}: a volume goes with one pod and strategy Recreate")
        arguments(container["args"], ports, place)


def arguments(given, ports, place):
    """Whether the program takes them, and listens where the probes ask."""
    if f"--console=0.0.0.0:{ports['console']}" not in given:
        problems.append(f"{place}: the console does not listen on the pod's address")
    program = os.environ.get("SIGNALBOX_PROGRAM")
    if not program:
        return
    text = subprocess.run([program, given[0], "--help"], capture_output=True, text=True).stdout
    for argument in given[1:]:
        if not re.search(rf"{re.escape(argument.split('=')[0])}\b", text):
            problems.append(f"{place}: the program has no {argument}")


shapes = yaml.safe_load(open("schema.yaml"))
single = [path for path in glob.glob("**/*.yaml", recursive=True)
          if os.path.basename(path) not in ("kustomization.yaml", "schema.yaml")
          and not re.match("overlays/[a-z]+/deployment.yaml", path)]
count = 0
for path in sorted(single) + sorted(glob.glob(sys.argv[1] + "/*.yaml")):
    is_rendered = path not in single
    origin = os.path.basename(path) if is_rendered else path
    objects = [one for one in yaml.safe_load_all(open(path)) if one]
    before = len(problems)
    for one in objects:
        kind = one.get("kind")
        place = f"{origin}: {kind} {one.get('metadata', {}).get('name')}"
        if kind not in shapes:
            problems.append(f"{place}: schema.yaml does not have this kind")
        else:
            compare(one, shapes[kind], place)
        count += 1
    if is_rendered and len(problems) == before:
        relate(objects, origin)
for problem in problems:
    print(problem, file=sys.stderr)
print(f"kubernetes: {count} objects checked, {len(problems)} problems")
sys.exit(1 if problems else 0)
