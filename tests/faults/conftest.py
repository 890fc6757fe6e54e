"""What the tests of fault points share: the harness on the path, logs in the report of a failure, and the programs with fault points."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import paths  # noqa: E402
from harness.report import pytest_runtest_makereport  # noqa: E402,F401


@pytest.fixture(scope="session")
def build():
    """The programs with fault points."""
    return paths.built("faults", "FAULTS=1")
