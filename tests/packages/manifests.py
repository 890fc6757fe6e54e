"""Kubernetes manifests: read, and judged by Kubernetes' own schemas (schemas/README.md)."""

import json
import os

import jsonschema
import yaml

from harness import paths

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(paths.REPOSITORY, "deploy", "kubernetes")
with open(os.path.join(HERE, "schemas", "kubernetes.json"), encoding="utf-8") as _file:
    SCHEMAS = json.load(_file)


class Unique(yaml.SafeLoader):
    """A key that comes twice in one mapping is an error, as it is for Kubernetes."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"twice: {sorted(twice)}", node.start_mark)
        return super().construct_mapping(node, deep)


def read(text):
    return [document for document in yaml.load_all(text, Loader=Unique) if document]


def read_folder():
    found = []
    for name in sorted(os.listdir(FOLDER)):
        if name.endswith(".yaml"):
            with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
                found += read(file.read())
    return found


def name_of(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def wrong_with(thing):
    """What Kubernetes would say of it: a list of sentences."""
    kind = f"{thing.get('apiVersion')} {thing.get('kind')}"
    if kind not in SCHEMAS["kinds"]:
        return [f"{kind} is not in schemas/kubernetes.json"]
    validator = jsonschema.Draft7Validator({"$ref": SCHEMAS["kinds"][kind], "definitions": SCHEMAS["definitions"]})
    return [f"{name_of(thing)}: {'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(thing)]
