"""What a test started does not outlive it, however the test ends."""

import os
import signal
import subprocess
import sys

from harness import paths, wait
from harness.process import Process

CHILD = """
import sys
sys.path.insert(0, {tests!r})
from harness.process import Process
# A shell with a child of its own; the child must go too.
process = Process("shell", ["sh", "-c", "sleep 1000 & echo $! $$; wait"], {log!r}).start()
process.wait_log(r"^\\d+ \\d+$")
print("started", flush=True)
sys.stdin.read()
"""


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_everything_dies_with_a_killed_test(tmp_path):
    log = str(tmp_path / "log")
    code = CHILD.format(tests=os.path.join(paths.REPOSITORY, "tests"), log=log)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as test:
        assert test.stdout.readline() == b"started\n"
        with open(log) as started:
            pids = [int(pid) for pid in started.read().split()]
        assert all(is_running(pid) for pid in pids)
        test.send_signal(signal.SIGKILL)
        test.wait()
        wait.until(lambda: not any(is_running(pid) for pid in pids), 10, "the end of both")


def test_frozen_process_ends_and_starts_again(tmp_path):
    process = Process("shell", ["sh", "-c", "echo up; exec sleep 1000"], str(tmp_path / "log"))
    with process:
        process.wait_log("^up$")
        process.freeze()
        process.kill()
        assert process.returncode == -signal.SIGKILL
        process.start()
        process.wait_log("^up$")
        assert process.terminate() == -signal.SIGTERM
