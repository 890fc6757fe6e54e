"""Each alert, and each log event that asks for a person, has its entry in docs/runbook.md, and no entry stands for nothing."""

import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


RUNBOOK = read("docs/runbook.md")
ALERTS = re.findall(r"^ALERT\((\w+),", read("lib/base/alert.def"), re.MULTILINE)
EVENTS = [name.lower() for name in re.findall(r"^LOG_EVENT\((\w+), \w+, PERSON,", read("lib/base/log.def"), re.MULTILINE)]


def entries(chapter):
    text = RUNBOOK.split(f"\n## {chapter}\n")[1].split("\n## ")[0]
    return re.findall(r"^### (\S+)$", text, re.MULTILINE)


@pytest.mark.parametrize("chapter, rows", [("Alerts", ALERTS), ("Log events", EVENTS)])
def test_every_row_has_its_entry_and_every_entry_its_row(chapter, rows):
    assert len(rows) > 20    # the tables were read
    assert sorted(entries(chapter)) == sorted(rows)


def test_every_entry_says_something():
    for part in RUNBOOK.split("\n### ")[1:]:
        name, _, text = part.partition("\n")
        assert len(text.split("\n## ")[0].strip()) > 20, name


def test_the_commands_that_are_named_exist():
    """`baridctl VERB ...`: the verbs and their options are rows of verb.def."""
    table = read("ctl/verb.def")
    verbs = {name: function for function, name in re.findall(r'^VERB\((\w+), "([^"]+)"', table, re.MULTILINE)}
    options = set(re.findall(r'OPTION\(\w+, "([a-z-]+)"', table))
    named = re.findall(r"baridctl ([^`#\n]+)", RUNBOOK)
    assert len(named) > 30
    for command in named:
        words = [word for word in command.split() if re.fullmatch("[a-z-]+", word) and not word.startswith("--")]
        assert " ".join(words[:2]) in verbs or words[0] in verbs, command
        for option in re.findall(r"--([a-z-]+)", command):
            assert option in options, command
