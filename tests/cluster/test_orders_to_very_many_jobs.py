"""The bulk bench at a small size: dry runs foretell what is done, undo restores every due time."""

import os
import subprocess

from harness import paths

BULK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench", "bulk")


# proves: J10
def test_dry_runs_are_exact_and_undo_restores_due_times(tmp_path):
    done = subprocess.run([BULK, "--jobs", "3000", "--queues", "5"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                          env={**os.environ, "BARID_BUILD": str(paths.BUILD)}, check=False)
    assert done.returncode == 0, done.stdout.decode()
    assert b"FAULT" not in done.stdout
