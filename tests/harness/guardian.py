"""
Ends what a test process started once that process is gone, however it went: its standard input is a pipe
whose other end only the test process holds. Lines "+pid" and "-pid" say which process groups are alive. The
kernel's parent-death signal does the same at once, but programs that change their user lose it.
"""

import os
import signal
import sys


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = set()
    for line in sys.stdin:
        pid = int(line[1:])
        groups.add(pid) if line[0] == "+" else groups.discard(pid)
    for pid in groups:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


if __name__ == "__main__":
    main()
