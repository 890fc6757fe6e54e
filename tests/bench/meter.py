"""What all benches measure with: processor time of whole process trees, a sink that knows when the last message came, Redis as it is deployed."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness import paths, ports  # noqa: E402
from harness.process import Process  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def processes():
    """{pid: (parent, processor seconds with those of its ended children)}"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(pid)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICK)
    return found


def tree_seconds(root):
    """Processor seconds of a process and all below it."""
    all_of_them = processes()
    wanted, grown = {root}, True
    while grown:
        more = {pid for pid, (parent, _) in all_of_them.items() if parent in wanted} - wanted
        wanted |= more
        grown = bool(more)
    return sum(all_of_them[pid][1] for pid in wanted if pid in all_of_them)


class Sink:
    """`baridctl sink` on one port; each load has one of its own, which ends with the last message."""

    def __init__(self, folder):
        self.port = ports.free_port()
        self.log = os.path.join(folder, "sink.log")
        self.process = None

    def expect(self, count):
        self.stop()
        self.process = Process("sink", [paths.program("baridctl"), "sink", "--listen", f"127.0.0.1:{self.port}", "--count", count],
                               self.log).start()
        self.process.wait_until(lambda: ports.accepts(self.port), 10, "the sink listens")

    def wait_all(self):
        """When the last message came, by the wall clock: the sink itself stays a little longer, for goodbyes."""
        assert self.process.wait(300) == 0, self.process.log_tail()
        text = self.process.log_text()
        return json.loads(text[text.index("{"):])["last_at"]

    def stop(self):
        if self.process:
            self.process.end()


def deployed_redis():
    """The settings of deploy/redis.conf."""
    with open(os.path.join(paths.REPOSITORY, "deploy", "redis.conf")) as conf:
        rows = [line.split(None, 1) for line in conf if line.strip() and not line.startswith("#")]
    return {key: value.strip() for key, value in rows}
