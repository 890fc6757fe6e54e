"""What the tests of the status page share: one cluster with mail of every kind, and one browser."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.browser import Browser  # noqa: E402
from harness.report import pytest_runtest_makereport  # noqa: E402,F401

from stage import Stage  # noqa: E402


@pytest.fixture(scope="session")
def stage():
    with Stage() as made:
        yield made


@pytest.fixture(scope="session")
def browser():
    with Browser() as made:
        yield made
