"""For a conftest.py: the logs of every process of a failed test, in its report and under build/test-logs."""

import os
import re
import shutil

import pytest

from . import paths, process


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.when == "setup":
        del process.created[:]
    if not report.failed or not process.created:
        return
    folder = os.path.join(paths.BUILD, "test-logs", re.sub(r"[^A-Za-z0-9_.-]+", "-", item.nodeid))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for number, one in enumerate(process.created):
        if os.path.exists(one.log):
            shutil.copy(one.log, os.path.join(folder, f"{number:02}-{one.name}.log"))
        report.sections.append((f"{one.name}", one.log_tail(40)))
    report.sections.append(("all logs", folder))
