"""
The door with everything on: TLS of both kinds, AUTH, chunks, fix-ups, limits that count, tenants with quotas, aliases to several domains. Nodes
are killed, ingresses restarted, Redis stopped and cut while clients submit: nothing is lost, nobody is refused for good, nothing stays behind.
"""

import re
import time

import pytest

from harness import paths, wait
from harness.entrance import PASSWORD, Entrance
from harness.generator import Generator, content

from login import Client, plain
from hurt import DOMAINS, SEED, Scene, acknowledged_while_redis_stands_still

TEAMS = {f"team{n}@{DOMAINS[n]}": [f"{who}{n}@{DOMAINS[place]}" for who, place in (("r-a", n), ("no-b", n + 4), ("r-c", n + 8))] for n in range(4)}
TEMPORARY = {421, 450, 451, 452, 454}


class Submission(Scene):
    """is_limited: as an Entrance."""

    def __init__(self, seed, is_limited=True, settings=None, **options):
        self.entrance = Entrance(is_limited)
        super().__init__(seed, {**self.entrance.settings, **(settings or {})}, listeners=self.entrance.listeners, **options)
        self.alias = {member: team for team, members in TEAMS.items() for member in members}

    def prepare(self):
        self.entrance.open(self.cluster)
        for team, members in TEAMS.items():
            self.cluster.baridctl("alias", "set", team, *members, "--yes")
        for node in self.cluster.of("ingress"):
            wait.until(lambda node=node: self._has_asked(node), 10, "the aliases are known")

    @staticmethod
    def _has_asked(node):
        """Whether a node, given an alias, looks it up: it knows then that there are some."""
        with Client(node.listeners["relay"]) as client:
            assert client.code("MAIL FROM:<>") == 250 and client.code(f"RCPT TO:<{next(iter(TEAMS))}>") == 250
        return node.metrics()["barid_table_asks_total"] > 0

    def load(self):
        self.prefix = f"sub{self.rng.getrandbits(24):06x}"
        is_limited = self.entrance.is_limited
        return Generator(self.entrance.doors(self.cluster, relays=2 if is_limited else 0), self._message, sessions=20, rate=60, linger=0.03,
                         seed=self.rng.random(), prefix=self.prefix, per_connection=8, chunked=0.6 if is_limited else 1.0, has_wishes=True,
                         spoken=lambda recipient: self.alias.get(recipient, recipient))

    def _message(self, number):
        rng = self.rng
        recipients = [f"{rng.choice(['r', 'r', 'r', 'no', 'later'])}{number}-{i}@{rng.choice(DOMAINS)}" for i in range(rng.choice([1, 1, 2]))]
        if rng.random() < 0.2:
            recipients += rng.choice(list(TEAMS.values()))
        size = 300000 if rng.random() < 0.03 else rng.randrange(600, 6000)
        return "s@origin.test", recipients, content(f"{self.prefix}-{number}", "s@origin.test", recipients, size, is_bare=True)

    def __exit__(self, *rest):
        super().__exit__(*rest)
        self.entrance.close()

    # -- what must hold at the end

    def assert_all_is_well(self):
        """Returns the ledger."""
        ledger = self.settle().assert_balanced()
        self._assert_only_temporary()
        self._assert_mended()
        self._assert_nothing_stays()
        return ledger

    def _assert_only_temporary(self):
        wrong = {reply: count for reply, count in self.generator.replies.items() if reply[1] >= 400 and reply[1] not in TEMPORARY}
        assert not wrong, f"{wrong} among {dict(self.generator.replies)}"
        assert {("LAST", 250), (".", 250), ("AUTH", 235)} <= set(self.generator.replies)

    def _assert_mended(self):
        """What came by a user has each field once, as the listener adds it."""
        mended = 0
        for transaction in self.sink.taken():
            head = transaction.content.partition(b"\r\n\r\n")[0]
            if transaction.sender == "" or not re.search(rb"\swith (UTF8SMTP|ESMTP)SA\b", head):
                continue
            mended += 1
            for field in (rb"Date", rb"Message-ID"):
                assert len(re.findall(rb"(?mi)^" + field + rb":", head)) == 1, head
        assert mended > 50

    def left(self, *patterns):
        with self.cluster.redis.client() as redis:
            return {key: redis.pttl(key) for pattern in patterns for key in redis.scan_iter(pattern, count=1000)}

    def _assert_nothing_stays(self):
        assert self.left("j:*", "q:*", "c:*", "h:*") == {}
        assert self.left("t:*") == {}, "tenants are counted for jobs that have ended"
        assert [key for key, ttl in self.left("l:*", "n:*", "b:*").items() if ttl == -1] == []


# proves: A01 A02 A09 A12 A14
def test_kills_of_every_role_lose_no_submission():
    with Submission(SEED) as scene:
        scene.more(60)
        for number in range(20):
            role = ("courier", "ingress", "dispatcher", "ingress", "redis")[number % 5]
            if role == "redis":
                scene.cluster.cut_redis()
                scene.more(20)
                continue
            node = scene.cluster.kill(role)
            scene.more(scene.rng.randrange(1, 20))
            scene.cluster.restart(node)
            scene.more(scene.rng.randrange(1, 20))
        scene.assert_all_is_well()
        # What dead nodes had of limits is over with its time: 12 s for slots, parts of one for what these buckets were used.
        wait.until(lambda: not scene.left("l:*", "n:*"), 25, lambda: f"the end of limits: {scene.left('l:*', 'n:*')}")


# proves: A15
def test_ingresses_restarted_one_by_one_refuse_nobody():
    with Submission(SEED + 1) as scene:
        scene.more(60)
        for node in scene.cluster.of("ingress") * 2:
            assert node.process.terminate(12) == 0, node.log_text()
            scene.more(10)
            scene.cluster.restart(node, wait_ready=True)
            scene.more(10)
        assert scene.assert_all_is_well().explained == [], "a second copy"


def outage(scene, seconds, client):
    """So long, and until the clients have been told; this one logs in meanwhile, whatever those of the load are at."""
    told = sum(count for (_, code), count in scene.generator.replies.items() if code in TEMPORARY)
    end = time.monotonic() + seconds
    assert client.code(f"AUTH PLAIN {plain('eve', PASSWORD)}") == 454
    wait.until(lambda: time.monotonic() >= end, seconds + 5, "the end of the outage")
    assert sum(count for (_, code), count in scene.generator.replies.items() if code in TEMPORARY) > told


# proves: A02
@pytest.mark.parametrize("is_away", [False, True])
def test_submission_lives_through_an_outage_of_redis(is_away):
    settings = {"store": {"commit_time": "3s"}, "auth": {"timeout": "2s", "failures_per_user": "3/1h", "failures_per_client": "3/1h"}}
    with Submission(SEED + 2, settings=settings) as scene:
        scene.more(60)
        lived = [node.pid for node in scene.cluster.of("ingress")]
        with Client(scene.cluster.of("ingress")[0].listeners["submission"], scene.entrance.context) as client:
            if is_away:
                fault = scene.cluster.faults.note("redis", "redis", scene.cluster.redis.pid, "cut", lasting=True)
                scene.cluster.redis.kill_and_cut()
                outage(scene, 5, client)
                scene.cluster.redis.start()
                fault.end()
            else:
                fault = scene.cluster.freeze_redis()
                outage(scene, 5, client)
                scene.cluster.thaw_redis(fault)
        began = time.monotonic()
        scene.more(100)
        print(f"100 recipients {time.monotonic() - began:.1f} s after the outage; slowest replies {dict(scene.generator.longest)}")
        assert [node.pid for node in scene.cluster.of("ingress")] == lived
        # What could not be looked up is no failure of the user's.
        assert scene.cluster.metric("barid_auth_away_total") > 0
        assert scene.cluster.metric("barid_auth_refused_total") + scene.cluster.metric("barid_auth_locked_total") == 0
        scene.assert_all_is_well()
        # A commit is repeated for commit_time and then taken back for 5 s at most; nothing else takes longer.
        assert max(scene.generator.longest.values()) < 12, scene.generator.longest


@pytest.fixture(scope="module")
def early_250():
    """A build that answers 250 before the commit is confirmed."""
    return paths.built("plant-early_250", "PLANT=early_250")


def test_the_loss_is_found_over_tls_in_chunks(early_250):
    with Submission(SEED + 3, is_limited=False, build=early_250) as scene:
        assert acknowledged_while_redis_stands_still(scene) > 0
        assert scene.lost() > 0
        assert scene.generator.replies["LAST", 250] > 0 and scene.generator.replies[".", 250] == 0
