"""
deploy/helm/barid, rendered by what Helm renders with (render.go: Go's templates, sprig): its values and templates agree, and it gives what
deploy/kubernetes has.
"""

import copy
import glob
import json
import os
import re
import subprocess

import jsonschema
import pytest
import yaml
from manifests import name_of, read, read_folder, wrong_with

from harness import paths

FOLDER = os.path.join(paths.REPOSITORY, "deploy", "helm", "barid")


def text_of(*path):
    with open(os.path.join(FOLDER, *path), encoding="utf-8") as file:
        return file.read()


VALUES = yaml.safe_load(text_of("values.yaml"))
SCHEMA = json.loads(text_of("values.schema.json"))
CHART = yaml.safe_load(text_of("Chart.yaml"))
TEMPLATES = {os.path.basename(path): text_of("templates", os.path.basename(path)) for path in sorted(glob.glob(os.path.join(FOLDER, "templates", "*")))}


@pytest.fixture(scope="module")
def program():
    """render.go, built without a word to the network."""
    folder = paths.scratch("render")
    made = os.path.join(folder, "render")
    subprocess.run(["go", "build", "-o", made, "render.go"], cwd=os.path.dirname(os.path.abspath(__file__)), check=True, timeout=300,
                   env={**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": "",
                        "GOCACHE": os.path.join(paths.BUILD, "go-cache")})
    return made


@pytest.fixture
def render(program, tmp_path):
    """The text that a chart gives with these values, or what is wrong with it."""
    def run(values=None, namespace="barid", folder=FOLDER):
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(VALUES if values is None else values))
        done = subprocess.run([program, folder, namespace, file], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
        if done.returncode != 0:
            raise ValueError(done.stderr.decode())
        return done.stdout.decode()
    return run


@pytest.fixture
def chart(tmp_path):
    """A small chart of the test's own."""
    def make(*templates, kubernetes=">=1.23.0-0"):
        folder = tmp_path / "chart"
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text(f'{{apiVersion: v2, name: small, version: 1.2.3, appVersion: 4.5.6, kubeVersion: "{kubernetes}"}}')
        for number, text in enumerate(templates):
            (folder / "templates" / (f"{number}.yaml" if number else "_helpers.tpl")).write_text(text)
        return folder
    return make


def paths_in(text):
    return {path for action in re.findall(r"\{\{.*?\}\}", text, re.DOTALL) for path in re.findall(r"\.Values\.([\w.]+)", action)}


def leaves(value, path=""):
    if isinstance(value, dict) and value:
        return {leaf for name, inner in value.items() for leaf in leaves(inner, f"{path}.{name}".lstrip("."))}
    return {path}


def with_settings_read(thing):
    """The text of the settings as what it means: the order of its lines is nobody's concern."""
    thing = copy.deepcopy(thing)
    if "barid.yaml" in thing.get("data", {}):
        thing["data"]["barid.yaml"] = yaml.safe_load(thing["data"]["barid.yaml"])
    return thing


def test_each_value_that_a_template_names_exists():
    for name, text in TEMPLATES.items():
        for path in paths_in(text):
            value, rules = VALUES, SCHEMA
            for step in path.split("."):
                value = value[step]
                assert step in rules.get("properties", {}) or rules.get("properties") is None, f"{name}: {path} is not in values.schema.json"
                rules = rules.get("properties", {}).get(step, {})


def test_each_value_is_used():
    used = {path for text in TEMPLATES.values() for path in paths_in(text)}
    for leaf in leaves(VALUES):
        assert any(leaf == path or leaf.startswith(path + ".") for path in used), f"{leaf} is in values.yaml and in no template"


def test_values_are_as_their_schema_says():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)
    for wrong in ({"ingres": {}}, {"courier": {"replicas": "many"}}, {"ingress": {"service": {"port": 0}}}):
        values = copy.deepcopy(VALUES)
        for name, value in wrong.items():
            values[name] = {**values.get(name, {}), **value}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(values, SCHEMA)


def test_it_gives_the_plain_manifests(render):
    plain = {name_of(thing): with_settings_read(thing) for thing in read_folder()
             if thing["kind"] not in ("Namespace", "Secret") and name_of(thing) != "ConfigMap/barid-prometheus-adapter"}
    given = {name_of(thing): with_settings_read(thing) for thing in read(render())}
    assert sorted(given) == sorted(plain)
    for name, thing in given.items():
        assert thing == plain[name], name


def test_other_values_give_right_manifests_too(render):
    values = copy.deepcopy(VALUES)
    values["image"]["tag"] = "0.2.0"
    values["baridctl"]["enabled"] = values["networkPolicy"]["enabled"] = values["courier"]["autoscaling"]["enabled"] = False
    values["courier"]["replicas"] = 7
    values["ingress"]["service"]["annotations"] = {"example.com/address": "192.0.2.1"}
    jsonschema.validate(values, SCHEMA)
    given = {name_of(thing): thing for thing in read(render(values, "mail"))}
    assert [wrong for thing in given.values() for wrong in wrong_with(thing)] == []
    assert {thing["metadata"]["namespace"] for thing in given.values()} == {"mail"}
    assert given["Deployment/barid-courier"]["spec"]["replicas"] == 7 and "HorizontalPodAutoscaler/barid-courier" not in given
    assert given["Deployment/barid-courier"]["spec"]["template"]["spec"]["containers"][0]["image"] == "barid:0.2.0"
    assert given["Service/barid-smtp"]["metadata"]["annotations"] == {"example.com/address": "192.0.2.1"}
    assert "Deployment/baridctl" not in given and not [name for name in given if name.startswith("NetworkPolicy")]


def test_versions_are_those_of_the_programs():
    with open(os.path.join(paths.REPOSITORY, "Makefile"), encoding="utf-8") as file:
        version = next(line for line in file if line.startswith("VERSION :=")).rsplit(",", 1)[1].strip(" )\n")
    assert CHART["appVersion"] == CHART["version"] == version
    images = {thing["spec"]["template"]["spec"]["containers"][0]["image"] for thing in read_folder() if thing["kind"] == "Deployment"}
    assert images == {f"barid:{version}"}


def test_it_gives_what_kubernetes_takes(render):
    assert [wrong for thing in read(render()) for wrong in wrong_with(thing)] == []


# What Helm adds to Go's templates, so that the chart may use it.
@pytest.mark.parametrize("text, given", [
    ('{{ include "small.name" . | quote }}', "small-4.5.6"),
    ('{{ tpl "{{ .Release.Namespace }}" . }}', "barid"),
    ('{{ required "a tag is needed" .Values.tag }}', "x"),
    ("{{ toYaml .Values.list | nindent 2 }}", [1, 2]),
    ('{{ .Values.none | default "other" | upper }}', "OTHER"),
    ("{{ (fromYaml \"a: {b: 3}\").a.b }}", 3),
    ('{{ if semverCompare ">=1.23" .Capabilities.KubeVersion.Version }}new{{ else }}old{{ end }}', "new"),
])
def test_functions_do_what_helms_do(render, chart, text, given):
    folder = chart('{{ define "small.name" }}{{ .Chart.Name }}-{{ .Chart.AppVersion }}{{ end }}', f"value: {text}")
    assert read(render({"tag": "x", "list": [1, 2], "none": ""}, folder=folder)) == [{"value": given}]


@pytest.mark.parametrize("wrong, why", [
    ("{{ .Values.nothing }}", "nothing"), ("{{ nothing .Values }}", "nothing"), ("{{ if .Values.tag }}", "unexpected EOF"),
    ('{{ required "a tag is needed" "" }}', "a tag is needed"), ('{{ fail "never" }}', "never"), ('{{ env "HOME" }}', "env"),
])
def test_what_is_wrong_with_a_template_is_an_error(render, chart, wrong, why):
    folder = chart("", wrong)
    with pytest.raises(ValueError, match=why):
        render({"tag": "x"}, folder=folder)


def test_an_older_kubernetes_is_refused(render, chart):
    with pytest.raises(ValueError, match="it is not for Kubernetes"):
        render({}, folder=chart("", "a: 1", kubernetes=">=1.99.0-0"))
