"""The walk over the fault points sees what goes wrong: steps of it, on programs with planted bugs."""

import pytest
from steps import walk
from test_every_fault_point_is_survived import walk_all

from harness import paths

PLANTS = "early_250", "no_dot_check", "no_note"


@pytest.fixture(scope="module")
def planted():
    """Programs with all three bugs; each of the steps below meets one of them."""
    return paths.built("faults-plant-" + "+".join(PLANTS), "FAULTS=1", "PLANT=" + ",".join(PLANTS))


# What is wrong: 250 before the commit is confirmed; no check before the dot; nothing recorded between two transactions.
@pytest.mark.parametrize("name, action, message, found", [
    ("commit_sent", "cut", "single/small/success", "1 lost"),
    ("commit_sent", "cut", "single/submitted/success", "1 lost"),
    ("before_dot", "pause", "single/small/success", "has one message 2 times, and no dot was open"),
    ("mail_sent#2", "crash", "two/small/success", "has one message 2 times, and no dot was open"),
])
def test_the_walk_finds(planted, capsys, name, action, message, found):
    steps = [step for step in walk() if (step.name, step.action, step.message) == (name, action, message)]
    problems = walk_all(steps, planted, 1, print)
    assert len(steps) == 1 and any(found in problem for problem in problems), problems
