"""Every model holds, and every property of it fails when what keeps it is taken away."""

import concurrent.futures
import os
import tempfile

import pytest

import models

SECONDS = 240


@pytest.fixture(scope="module")
def results():
    """All at once, as many as there are processors; the long ones first."""
    rows = models.LARGE if os.environ.get("MODEL_LARGE") else models.CASES
    seconds, megabytes = (3600, 16000) if os.environ.get("MODEL_LARGE") else (SECONDS, 3000)

    def one(case):
        with tempfile.TemporaryDirectory(prefix="barid-model-") as folder:
            return models.verify(case, folder, seconds, megabytes)

    with concurrent.futures.ThreadPoolExecutor(1 if os.environ.get("MODEL_LARGE") else os.cpu_count()) as pool:
        yield {case: pool.submit(one, case) for case in sorted(rows, key=lambda case: case.violates is not None)}


def ids(case):
    return f"{case.model}-{case.switches.replace(' ', '-') or 'as-it-is'}-{case.violates or 'holds'}"


# proves: A02, A05, A06, A07
@pytest.mark.parametrize("case", models.LARGE if os.environ.get("MODEL_LARGE") else models.CASES, ids=ids)
def test_model(results, case):
    result = results[case].result()
    print(f"{ids(case)}: {result.states} states")
    assert result.violated == case.violates, result.text[-3000:]
