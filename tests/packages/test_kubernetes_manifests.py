"""deploy/kubernetes: right by Kubernetes' schemas, of one mind with each other and with barid's own tables, and closed."""

import copy
import os
import re
import subprocess

import pytest
import yaml
from manifests import name_of, read, read_folder, wrong_with

from harness import paths

ALL = read_folder()
BY_NAME = {name_of(thing): thing for thing in ALL}
ROLES = ("ingress", "dispatcher", "courier")
NODES = [BY_NAME[f"Deployment/barid-{role}"] for role in ROLES]
DEPLOYMENTS = [thing for thing in ALL if thing["kind"] == "Deployment"]


def pod(deployment):
    return deployment["spec"]["template"]["spec"]


def settings_of(config):
    return yaml.safe_load(config["data"]["barid.yaml"])


def metrics():
    with open(os.path.join(paths.REPOSITORY, "lib", "base", "metric.def"), encoding="utf-8") as file:
        return {f"barid_{name.lower()}" for name in re.findall(r"^METRIC\((\w+),", file.read(), re.MULTILINE)}


@pytest.mark.parametrize("thing", ALL, ids=name_of)
def test_kubernetes_schema_allows_it(thing):
    assert wrong_with(thing) == []
    assert thing["kind"] == "Namespace" or thing["metadata"]["namespace"] == "barid"


@pytest.mark.parametrize("break_it", [
    lambda d: d["spec"].pop("selector"),
    lambda d: d["spec"].update(replica=2),
    lambda d: d["spec"].update(replicas="two"),
    lambda d: pod(d)["containers"][0]["ports"][0].update(containerPort="http"),
    lambda d: pod(d)["containers"][0].pop("name"),
    lambda d: d.update(apiVersion="apps/v1beta1"),
])
def test_what_is_wrong_is_found(break_it):
    thing = copy.deepcopy(NODES[0])
    break_it(thing)
    assert wrong_with(thing)


def test_a_key_that_comes_twice_is_found():
    with pytest.raises(yaml.YAMLError):
        read("kind: Secret\nkind: Secret\n")


def test_no_name_comes_twice():
    assert len(BY_NAME) == len(ALL)


def test_barid_understands_the_settings(tmp_path):
    file = tmp_path / "barid.yaml"
    file.write_text(BY_NAME["ConfigMap/barid"]["data"]["barid.yaml"])
    for role, deployment in zip(ROLES, NODES):
        environment = {entry["name"]: entry.get("value", "").replace("$(POD_IP)", "10.0.0.1") for entry in pod(deployment)["containers"][0]["env"]}
        secret = tmp_path / "store.password"
        secret.write_text("change me\n")
        environment.update(BARID_CONFIG=str(file), BARID_STORE_PASSWORD_FILE=str(secret))
        result = subprocess.run([paths.program(f"barid-{role}"), "--check"], env={**os.environ, **environment}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, check=False)
        assert (result.returncode, result.stdout) == (0, b"the settings are in order\n"), result.stdout.decode()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=name_of)
def test_pods_have_no_rights(deployment):
    spec, container = pod(deployment), pod(deployment)["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    # Nothing that keeps anything.
    assert all(set(volume) <= {"name", "configMap", "secret"} for volume in spec["volumes"])
    assert all(mount["readOnly"] for mount in container["volumeMounts"])


@pytest.mark.parametrize("deployment", NODES, ids=name_of)
def test_pods_live_by_healthz_work_by_readyz_and_drain(deployment):
    spec, container = pod(deployment), pod(deployment)["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    settings = settings_of(BY_NAME["ConfigMap/barid"])
    stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert spec["terminationGracePeriodSeconds"] > int(settings["node"]["drain_time"].rstrip("s")) + int(stop[1])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings["node"]["http_listen"].endswith(f":{ports['http']}")
    assert {constraint["topologyKey"] for constraint in spec["topologySpreadConstraints"]} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


@pytest.mark.parametrize("role", ROLES)
def test_a_budget_keeps_all_but_one(role):
    budget = BY_NAME[f"PodDisruptionBudget/barid-{role}"]
    assert budget["spec"] == {"maxUnavailable": 1, "selector": BY_NAME[f"Deployment/barid-{role}"]["spec"]["selector"]}


def test_what_selects_finds_something():
    labels = [deployment["spec"]["template"]["metadata"]["labels"] for deployment in DEPLOYMENTS] + [{"app.kubernetes.io/name": "redis"}]

    def finds(selector):
        return any(selector.items() <= have.items() for have in labels)

    for deployment in DEPLOYMENTS:
        assert deployment["spec"]["selector"]["matchLabels"] == deployment["spec"]["template"]["metadata"]["labels"]
    for thing in ALL:
        if thing["kind"] == "Service":
            assert finds(thing["spec"]["selector"])
        if thing["kind"] == "NetworkPolicy":
            assert finds(thing["spec"]["podSelector"].get("matchLabels", {}))


def test_volumes_name_what_there_is():
    for deployment in DEPLOYMENTS:
        for volume in pod(deployment)["volumes"]:
            assert ("Secret/" + volume["secret"]["secretName"] if "secret" in volume else "ConfigMap/" + volume["configMap"]["name"]) in BY_NAME


def test_ports_are_open_where_nodes_listen():
    settings = settings_of(BY_NAME["ConfigMap/barid"])
    ports = {role: {port["name"]: port["containerPort"] for port in pod(deployment)["containers"][0]["ports"]} for role, deployment in zip(ROLES, NODES)}
    assert settings["listeners"]["public"]["address"].endswith(f":{ports['ingress']['smtp']}")
    assert settings["bus"]["listen"].endswith(f":{ports['dispatcher']['bus']}")

    def lets_in(policy):
        return {port["port"] for rule in BY_NAME[f"NetworkPolicy/barid-{policy}"]["spec"]["ingress"] for port in rule["ports"]}

    assert lets_in("ingress") == {ports["ingress"]["smtp"]}
    assert lets_in("dispatcher") == {ports["dispatcher"]["bus"]}
    assert lets_in("all") == {9125}


def test_autoscaling_asks_for_what_the_adapter_makes_of_metrics_that_exist():
    rules = yaml.safe_load(BY_NAME["ConfigMap/barid-prometheus-adapter"]["data"]["config.yaml"])["externalRules"]
    made = {rule["name"]["as"] for rule in rules}
    for rule in rules:
        name = re.match(r"\w+", rule["seriesQuery"])[0]
        assert re.sub("_bucket$", "", name) in metrics(), name
    for role in ("ingress", "courier"):
        scaler = BY_NAME[f"HorizontalPodAutoscaler/barid-{role}"]["spec"]
        assert scaler["scaleTargetRef"]["name"] == f"barid-{role}" and scaler["minReplicas"] >= 2
        assert {metric["external"]["metric"]["name"] for metric in scaler["metrics"]} <= made
        # An apply must not put the number back.
        assert "replicas" not in BY_NAME[f"Deployment/barid-{role}"]["spec"]


def test_secrets_are_examples_only():
    for thing in ALL:
        if thing["kind"] == "Secret":
            assert set(thing["stringData"].values()) == {"change me"}
