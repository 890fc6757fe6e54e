"""docs/security.md: each line names tests, and they exist."""

import os
import re

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEST = re.compile(r"`(tests/[\w./-]+?)(?:::(\w+))?`")


def rows():
    """(line number, first cell, [(file, test)]) of every row of a table whose last column says what shows it."""
    tables = None
    with open(os.path.join(ROOT, "docs", "security.md"), encoding="utf-8") as page:
        for number, line in enumerate(page, 1):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
            if len(cells) < 3:
                tables = None
            elif cells[-1] == "shown by":
                tables = len(cells)
            elif tables and not set(line) <= set("|- \n"):
                assert len(cells) == tables, f"line {number} has other columns than its table"
                yield number, cells[0], TEST.findall(cells[-1])


ROWS = list(rows())


def test_there_is_a_line_for_each_place_and_class():
    assert len(ROWS) > 50
    text = " ".join(first for _, first, _ in ROWS)
    for word in ("Internet", "user", "tenant", "remote", "DNS", "between nodes", "Redis", "ingress taken over", "dispatcher taken over",
                 "courier taken over", "operator", "container"):
        assert word in text, word


@pytest.mark.parametrize("number, what, tests", ROWS, ids=[f"line-{row[0]}" for row in ROWS])
def test_what_shows_it_is_there(number, what, tests):
    assert tests, f"line {number}: nothing shows that {what}"
    for path, name in tests:
        path = os.path.join(ROOT, path)
        assert os.path.isfile(path), path
        if name:
            with open(path, encoding="utf-8") as file:
                assert re.search(rf"^(?:def|static void) {name}\(", file.read(), re.MULTILINE), f"{path} has no {name}"
