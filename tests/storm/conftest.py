"""What the tests of storms share: the harness on the path, logs in the report of a failure."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.report import pytest_runtest_makereport  # noqa: E402,F401
