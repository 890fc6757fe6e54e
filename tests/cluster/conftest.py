"""
What the cluster tests share: the harness on the path, logs in the report of a failure, and fixtures for the
usual peers.
"""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import paths  # noqa: E402
from harness.dns import Dns, Zone  # noqa: E402
from harness.report import pytest_runtest_makereport  # noqa: E402,F401
from harness.sink import ScriptedSink  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def built():
    """Without the programs nothing here can run: say so once."""
    if not os.path.exists(paths.program("barid-ingress")):
        pytest.exit(f"{paths.program('barid-ingress')} is missing: run make first", returncode=3)


@pytest.fixture
def sink():
    """A scripted sink on 127.0.0.1 to 127.0.0.9."""
    with ScriptedSink(hosts=[f"127.0.0.{n}" for n in range(1, 10)]) as running:
        yield running


@pytest.fixture
def resolver():
    """knot and unbound with an empty zone; add names to .zone and call .reload()."""
    with Dns(Zone()) as running:
        yield running
