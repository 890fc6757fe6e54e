#!/usr/bin/python3
"""Prints what the scripts cost Redis: the median, over many calls, of the microseconds that Redis counted.

Figures, not assertions: run it before and after a change.

    tests/protocol/timing.py [FOLDER_WITH_SCRIPTS [ROUNDS]]
"""

import os
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from harness.redis import RedisServer  # noqa: E402
from protocol import calls, scripts  # noqa: E402
from protocol.calls import CHUNK_TTL_S, End, Partition, Report  # noqa: E402

QUEUE = "example.com"
CONTENT = "c" * 4000
ENVELOPE = "e" * 300
STATE = "s" * 60
BATCH = 20


class Timer:
    def __init__(self, redis, folder, rounds):
        self.redis = redis
        self.rounds = rounds
        loaded = scripts.assemble(scripts.sources(folder))
        self.hashes = {name: redis.script_load(text) for name, text in loaded.items()}
        self.part = Partition("0")
        self.incarnation = None
        self.seq = 0
        self.jobs = 0
        self.figures = {}

    def send(self, some, what=None, per_call=1, keep=("evalsha",)):
        """Runs the calls in one pipeline; under `what` notes the microseconds that one of them took."""
        if what:
            self.redis.config_resetstat()
        pipe = self.redis.pipeline(transaction=False)
        for call in some:
            for key, piece in call.chunks.items():
                pipe.set(key, piece, ex=CHUNK_TTL_S, nx=True)
            pipe.evalsha(self.hashes[call.script], len(call.keys), *call.keys, *call.args)
        answers = pipe.execute()
        if what:
            stats = self.redis.info("commandstats")
            usec = sum(stats[f"cmdstat_{command}"]["usec"] for command in keep)
            self.figures.setdefault((what, per_call), []).append(usec / len(some))
        return answers

    def fill(self):
        for turn in range(self.rounds):
            jobs = [f"01JD{self.jobs + i:022d}.0" for i in range(BATCH)]
            self.jobs += BATCH
            commits = [
                self.part.commit(job, QUEUE, (CONTENT,), "d" * 32, ENVELOPE, STATE, detail="from 192.0.2.1")
                for job in jobs]
            if turn % 2:
                self.send(commits, "commit")
            else:
                for commit in commits:
                    for key, piece in commit.chunks.items():
                        self.redis.set(key, piece, ex=CHUNK_TTL_S, nx=True)
                    commit.chunks = {}
                self.send(commits, "commit without its SET")

    def settle_all(self, what, report=False, **outcome):
        """Claims all there is, then settles it."""
        claims = []
        while True:
            self.seq += 1
            claim = self.part.claim(QUEUE, BATCH, self.incarnation, self.seq)
            answer = self.send([claim], f"claim of {BATCH}", BATCH)[0]
            if not answer[2]:
                break
            claims.append((answer[1].decode(), [job.decode() for job, _ in answer[2]]))
        for token, jobs in claims:
            ends = [End(job, QUEUE, token, detail="250 2.0.0 ok mx.example.com", **outcome) for job in jobs]
            for end in ends if report else ():
                end.report = Report("D" + end.job, "d" * 32, CONTENT, ENVELOPE, STATE)
                self.redis.set(self.part.chunk_key(end.report.job, 0), CONTENT)
            call = self.part.settle(*ends)
            call.chunks = {}
            self.send([call], what, BATCH)

    def run(self):
        self.incarnation = self.send([calls.join()])[0].decode()
        self.fill()
        self.settle_all(f"settle of {BATCH} back", outcome="back", state=STATE, event="deferred")
        self.settle_all(f"settle of {BATCH} ends")
        self.fill()
        self.settle_all(f"settle of {BATCH} ends with report", event="bounced", report=True)
        self.fill()
        self.settle_all(f"settle of {BATCH} keep", outcome="keep", next=f"{self.incarnation}.9", state=STATE)
        self.send([self.part.due(10, 30000, 0)])
        reaped = self.send([self.part.reap(self.incarnation)], "reap of 500 dead claims", 500)[0]
        while reaped == 500:
            reaped = self.send([self.part.reap(self.incarnation)])[0]
        for turn in range(50):
            self.send([self.part.reap(self.incarnation, self.incarnation)] * 20, "reap, idle")
            self.send([self.part.due(10, 0, 0)] * 20, "due")
            self.send([calls.beat(self.incarnation, turn * 20 + i, "x" * 100) for i in range(20)], "beat")

    def show(self):
        for (what, per_call), figures in self.figures.items():
            each = statistics.median(figures)
            a_job = f" {each / per_call:8.1f} a job" if per_call > 1 else ""
            print(f"{what:34} {each:8.1f} a call{a_job}")


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else scripts.FOLDER
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    with RedisServer(appendfsync="no", witness=False, options={"appendonly": "no"}) as server:
        timer = Timer(server.client(), folder, rounds)
        timer.run()
        timer.show()


if __name__ == "__main__":
    main()
