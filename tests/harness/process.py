"""One process of a test: started, watched by its log, hurt and ended by its pid; it dies with the test."""

import concurrent.futures
import ctypes
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request

from . import wait

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1

# The parent-death signal comes when the starting *thread* ends, so one thread that never ends starts
# everything.
_starter = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


_guardian = None

# Every Process of the test that runs, for the report of its failure (report.py).
created = []


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who started the tests in the background has it ignored


def _tell_guardian(sign, pid):
    global _guardian
    if _guardian is None or _guardian.poll() is not None:
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guardian.py")
        _guardian = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, start_new_session=True)
    _guardian.stdin.write(b"%c%d\n" % (sign, pid))
    _guardian.stdin.flush()


def group_members(group):
    """The living processes of a process group; what only waits to be reaped is not alive."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return []
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                state, _, process_group = stat.read().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(process_group) == group and state not in "ZX":
            found.append(int(pid))
    return found


class Process:
    """A program with its log file. Can be started again after its end; the log goes on. host: of network.py, where it runs."""

    def __init__(self, name, argv, log, env=None, cwd=None, stdin=None, host=None):
        self.name = name
        self.argv = [str(arg) for arg in argv]
        self.log = log
        self.env = env
        self.cwd = cwd
        self.stdin = stdin
        self.host = host
        self.starts = 0
        self.log_start = 0
        self._popen = None
        self._group = None
        created.append(self)

    def start(self):
        if self.alive():
            raise RuntimeError(f"{self.name} is running")
        self.kill()
        self.log_start = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self._popen = _starter.submit(self._spawn).result()
        self._group = self._popen.pid
        self.starts += 1
        return self

    def _spawn(self):
        with open(self.log, "ab") as log:
            started = subprocess.Popen(
                self.argv, stdin=self.stdin or subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=self.env, cwd=self.cwd, start_new_session=True, preexec_fn=self._prepare)
        _tell_guardian(ord("+"), started.pid)
        return started

    def _prepare(self):
        _die_with_parent()
        if self.host:
            self.host.enter()

    def __enter__(self):
        return self if self.alive() else self.start()

    def __exit__(self, *_):
        self.end()

    @property
    def pid(self):
        return self._popen.pid

    @property
    def returncode(self):
        """None while it runs; -n after signal n."""
        return self._popen.poll()

    def alive(self):
        return self._popen is not None and self._popen.poll() is None

    def signal(self, number):
        """Sends a signal to the process itself. False when it has ended."""
        if not self.alive():
            return False
        self._popen.send_signal(number)
        return True

    def freeze(self):
        return self.signal(signal.SIGSTOP)

    def thaw(self):
        return self.signal(signal.SIGCONT)

    def kill(self):
        """SIGKILL to the process and to what it forked (it leads its own group), and waits for the end."""
        if self._group is None:
            return
        try:
            os.killpg(self._group, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._popen.wait()
        wait.until(lambda: not group_members(self._group), 10, f"the end of all of {self.name}")
        _starter.submit(_tell_guardian, ord("-"), self._group).result()
        self._group = None

    def terminate(self, timeout=15):
        """SIGTERM, and the exit code within `timeout` seconds."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout):
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise wait.Deadline(f"{self.name} did not end within {timeout} s\n{self.log_tail()}") from None

    def end(self, timeout=5):
        """SIGTERM, then SIGKILL: for the end of a test, when nobody asks how."""
        if self.alive():
            self.thaw()
            self.signal(signal.SIGTERM)
            try:
                self._popen.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def log_text(self, all_starts=False):
        """What it has logged since its last start."""
        try:
            with open(self.log, "rb") as log:
                log.seek(0 if all_starts else self.log_start)
                return log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=30):
        tail = self.log_text(all_starts=True).splitlines()[-lines:]
        return "\n".join([f"--- {self.name}: {self.log}", *tail])

    def wait_until(self, predicate, timeout, what):
        """wait.until, which gives up at once when the process ends."""
        def check():
            result = predicate()
            if not result and not self.alive():
                raise wait.Deadline(
                    f"{self.name} ended with {self.returncode} before {what}\n{self.log_tail()}")
            return result
        return wait.until(check, timeout, lambda: f"{what}\n{self.log_tail()}")

    def wait_log(self, pattern, timeout=10):
        """Waits for a line logged since the last start that matches; returns the match."""
        regex = re.compile(pattern, re.MULTILINE)
        return self.wait_until(lambda: regex.search(self.log_text()), timeout,
                               f"{self.name} logs /{pattern}/")

    def wait_http(self, url, timeout=15):
        """Waits until `url` answers 200."""
        return self.wait_until(lambda: http_get(url, host=self.host)[0] == 200, timeout, f"{self.name} answers 200 at {url}")


def http_get(url, timeout=2, host=None):
    """(status, text), with status 0 when there is no answer. host: of network.py, where it is."""
    if host:
        return host.network.eye.call(http_get, url, timeout)
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8", "replace")
    except (OSError, ValueError):
        return 0, ""
