"""What the documents tell an operator to type exists: settings, their environment, verbs of baridctl and their options."""

import functools
import glob
import json
import os
import re
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CTL = os.path.join(os.environ.get("BARID_BUILD", os.path.join(ROOT, "build")), "bin", "baridctl")
PRINTED = {"configuration.md", "baridctl.md", "metrics.md", "bounces.md", "behaviours.md"}  # from the tables themselves
SUFFIXES = {"password", "md", "def", "c", "h", "py", "conf", "yaml", "lua"}
PLAIN = re.compile(r"[a-z][a-z-]*$")


@functools.lru_cache
def settings():
    """{"store.address", "listeners.NAME.tls", ...}"""
    text = subprocess.run([CTL, "config", "docs"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return set(re.findall(r"^\| `([\w.]+)` \|", text, re.MULTILINE))


@functools.lru_cache
def secrets():
    """Those that may be said by a file that holds them: `store.password_file`."""
    text = subprocess.run([CTL, "config", "docs"], stdout=subprocess.PIPE, check=True).stdout.decode()
    return set(re.findall(r"^\| `([\w.]+)` \| secret", text, re.MULTILINE))


@functools.lru_cache
def verbs():
    """{"queue hold": {"sender", ...}, ...}"""
    text = subprocess.run([CTL, "help", "--json"], stdout=subprocess.PIPE, check=True).stdout
    return {verb["verb"]: {option["option"].split()[0].lstrip("-") for option in verb["options"]} | {"config", "json", "help"}
            for verb in json.loads(text)["verbs"]}


def documents():
    found = [os.path.join(ROOT, "README.md"), *glob.glob(os.path.join(ROOT, "docs", "*.md")), *glob.glob(os.path.join(ROOT, "deploy", "**", "*.md"), recursive=True)]
    return sorted(os.path.relpath(path, ROOT) for path in found if os.path.basename(path) not in PRINTED)


def code(text):
    """What stands between ` marks, and the lines of blocks of code."""
    blocks = re.findall(r"^```.*?^```|^(?: {4,}|\t).+?$", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", rest)


def wrong_settings(text):
    sections = {name.split(".")[0] for name in settings()}
    groups = {name.split(".")[0] for name in settings() if ".NAME." in name}
    for piece in code(text):
        for name in re.findall(r"(?<![\w./@:-])((?:%s)(?:\.[A-Za-z_]+)+)(?![\w./*-])" % "|".join(sections), piece):
            first, *rest = name.split(".")
            if rest[-1] in SUFFIXES or (first in groups and len(rest) == 1):  # a file; listeners.NAME
                continue
            known = f"{first}.NAME.{rest[-1]}" if first in groups else name
            if known not in settings() and re.sub("_file$", "", known) not in secrets():
                yield name
        for name in re.findall(r"\bBARID_[A-Z_]+[A-Z]\b(?!\.{3})", piece):
            known = {"BARID_" + setting.upper().replace(".", "_") for setting in settings()}
            known |= {"BARID_" + setting.upper().replace(".", "_") + "_FILE" for setting in secrets()}
            patterns = [one.replace("_NAME_", "_[A-Z0-9_]+_") for one in known]
            if name not in OTHERS and not any(re.fullmatch(pattern, name) for pattern in patterns):
                yield name


OF_OTHERS = {"user default off"}  # Redis says so
# Variables that are of no program of barid's: docker-compose.yml's, the Makefile's and the tests'.
OTHERS = {"BARID_CONFIG", "BARID_DOMAIN", "BARID_SMTP_PORT", "BARID_RELAY_DOMAINS", "BARID_BUILD", "BARID_PEERS", "BARID_FAULT", "BARID_SECTION_NAME"}


def wrong_command(words):
    """What is wrong with the words behind `baridctl`, or None."""
    while words and words[0].startswith("--"):
        words = words[2:] if words[0] == "--config" else words[1:]
    words = [word.rstrip(".,:;)") for word in words]
    if not words or not PLAIN.match(words[0]):
        return None
    plain = [word for word in words[:2] if PLAIN.match(word)]
    verb = next((" ".join(plain[:n]) for n in (2, 1) if " ".join(plain[:n]) in verbs()), None)
    if verb is None and (len(plain) > 1 or not any(known.split()[0] == words[0] for known in verbs())):
        return f"there is no verb {' '.join(plain)}"
    if verb is None:
        return None  # a family of verbs
    unknown = [word for word in words if re.fullmatch(r"--[a-z][a-z-]*", word) and word[2:] not in verbs()[verb]]
    return f"{verb} has no {unknown[0]}" if unknown else None


def wrong_commands(text):
    families = {name.split()[0] for name in verbs() if " " in name}
    for piece in code(text):
        piece = re.split(r"\s#\s|\s+#\s", piece)[0]
        commands = [part.split() for part in re.split(r"(?:^(?:\S+/|docker-compose run --rm |kubectl .* -- )?|[|;&(] *)baridctl(?=\s)", piece)[1:]]
        # `queue show DOMAIN` beside `baridctl queue list`.
        if not commands and piece not in OF_OTHERS and piece.split() and piece.split()[0] in families and len(piece.split()) > 1 and PLAIN.match(piece.split()[1]):
            commands = [piece.split()]
        for words in commands:
            words = re.split(r"\s(?:\||>|>>|&&|;)(?:\s|$)", " ".join(words))[0].split()
            for alternative in alternatives(words):
                if (why := wrong_command(alternative)):
                    yield f"{piece}: {why}"


def alternatives(words):
    """`completion bash|zsh`, `node list|show`."""
    if len(words) > 1 and "|" in words[1]:
        return [[words[0], one, *words[2:]] for one in words[1].split("|")]
    return [words]


@pytest.mark.parametrize("document", documents())
def test_what_a_document_names_exists(document):
    with open(os.path.join(ROOT, document), encoding="utf-8") as file:
        text = file.read()
    assert [*wrong_settings(text), *wrong_commands(text)] == []


@pytest.mark.parametrize("text, wrong", [
    ("`store.address`, `listeners.NAME.tls`, `listeners.public.tls`, `BARID_STORE_PASSWORD_FILE`, `BARID_LISTENERS_PUBLIC_PROXY`, `store.md`", []),
    ("`store.adress`", ["store.adress"]), ("`listeners.NAME.tsl`", ["listeners.NAME.tsl"]), ("`listeners.public.tsl`", ["listeners.public.tsl"]),
    ("    export BARID_STORE_USR=x", ["BARID_STORE_USR"]),
])
def test_a_wrong_setting_is_found(text, wrong):
    assert list(wrong_settings(text)) == wrong


@pytest.mark.parametrize("text, count", [
    ("`baridctl --config x.yaml queue list --limit 3`, `queue show DOMAIN`, `baridctl user`, `baridctl node drain NAME --wait | tail`", 0),
    ("    build/bin/baridctl status --json   # what it says --loud", 0), ("queue of baridctl", 0),
    ("`baridctl queue lst`", 1), ("`baridctl statuss`", 1), ("`queue shw X`", 1), ("`baridctl status --loud`", 1), ("    baridctl msg list", 1),
])
def test_a_wrong_command_is_found(text, count):
    assert len(list(wrong_commands(text))) == count
