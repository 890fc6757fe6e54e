"""Bugs planted in what is known of a parent's children: each loses mail, or makes a second copy, and is found by the unit test."""

import pytest

from harness import planted

SOURCE = "lib/mail/children.c"
PLANTS = {
    "a child that is left is forgotten": ("    if (what == CHILD_LEFT)\n        put_in(&s->left", "    if (what == CHILD_LEFT && s->left_count > 0)\n        put_in(&s->left"),
    "a child that was asked for is made": ("s->unknown_count, child) ? CHILD_UNKNOWN : CHILD_MADE;", "s->unknown_count, child) ? CHILD_MADE : CHILD_MADE;"),
    "an older version goes on behind what is missing": ("    if (s->unknown_count > 0 && s->unknown[0] < missing)", "    if (s->unknown_count > 1 && s->unknown[0] < missing)"),
    "the dead are believed": ("            children_mark(s, s->left[i] - 1, CHILD_UNKNOWN);", "            i++;"),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_bug_about_children_is_found(name):
    assert planted.is_found_by("tests/unit/mail/test_children", name, SOURCE, *PLANTS[name])
