"""
Orders to many jobs when things go wrong: whoever gives one is killed half way, two give orders that contradict each other, couriers die and Redis
stops meanwhile. What was half done is done by giving the order again, and all of it is taken back; nothing is stuck, no job is in two places.
"""

import random
import signal
import subprocess
import threading
import time

import pytest
from hurt import DOMAINS, SEED
from hurt import Scene as Load
from test_baridctl_orders import CTL, counts, ctl, routed, send, wait_deferred

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

MANY, QUEUE, SENDER = 12000, "later.test", "many@a.test"
HOLD = ("queue", "hold", QUEUE, "--sender", SENDER, "--yes")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# KEYS: the record and the chunk of a job that was accepted, its queue. ARGV: its partition's tag, when the first is due, names of jobs to be.
_COPY = """
local fields, chunk = redis.call("HGETALL", KEYS[1]), redis.call("GET", KEYS[2])
for i = 3, #ARGV do
  redis.call("HSET", "j:{" .. ARGV[1] .. "}:" .. ARGV[i], unpack(fields))
  redis.call("SET", "b:{" .. ARGV[1] .. "}:" .. ARGV[i] .. ":0", chunk)
  redis.call("ZADD", KEYS[3], ARGV[2] + i, ARGV[i])
end
"""


class Scene:
    """A queue of very many jobs that were all put off, and cannot go on yet."""

    def __init__(self, cluster, sink):
        self.cluster, self.sink = cluster, sink
        template, = send(cluster, "--from", SENDER, "--to", f"x@{QUEUE}")
        wait_deferred(cluster, template)
        with cluster.redis.client(decode_responses=True) as redis:
            record, = redis.keys(f"j:*:{template}.0")
            self.tag = record[3:record.index("}")]
            self.queue, self.places = f"q:{{{self.tag}}}:{QUEUE}", f"h:{{{self.tag}}}"
            now = int(time.time() * 1000)
            stamp = "".join(_ALPHABET[now >> 5 * place & 31] for place in range(9, -1, -1))
            names = [stamp + "".join(_ALPHABET[serial >> 5 * place & 31] for place in range(15, -1, -1)) + ".0" for serial in range(1, MANY)]
            for at in range(0, len(names), 500):
                redis.eval(_COPY, 3, record, f"b:{{{self.tag}}}:{template}.0:0", self.queue, self.tag, now + 7200000 + at, *names[at:at + 500])
        self.before = self.due_times()
        assert len(self.before) == MANY

    def due_times(self):
        with self.cluster.redis.client(decode_responses=True) as redis:
            return dict(redis.zrange(self.queue, 0, -1, withscores=True))

    def held(self):
        with self.cluster.redis.client(decode_responses=True) as redis:
            return redis.zcard(self.places)

    def start(self, *words):
        return subprocess.Popen([CTL, "--config", self.cluster.conf, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill_half_way(self, is_half_way, *words):
        """SIGKILL as soon as some jobs, and not all, are concerned."""
        given = self.start(*words)
        wait.until(is_half_way, 30, "some of it is done", pause=0.001)
        given.send_signal(signal.SIGKILL)
        assert given.wait() == -signal.SIGKILL

    def last_rule(self):
        return ctl(self.cluster, "rules", "list")["rules"][0]["rule"]

    def assert_as_before(self):
        assert counts(self.cluster) == {"waiting": MANY, "claimed": 0, "held": 0}
        assert self.due_times() == self.before


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink() as sink:
        sink.wait_rule = sink.rule("rcpt", reply("450 4.2.1 come again"), domain=QUEUE)
        settings = routed(sink, QUEUE)
        settings["retry"] = {"first": "3h", "longest": "3h"}
        with Cluster(couriers=2, settings=settings) as cluster:
            yield Scene(cluster, sink)


# proves: J10
def test_an_order_whose_giver_is_killed_is_given_again_and_all_of_it_is_undone(scene):
    scene.kill_half_way(lambda: scene.held() > 0, *HOLD)
    first, some = scene.last_rule(), scene.held()
    assert 0 < some < MANY, "it was killed half way"
    rest = ctl(scene.cluster, *HOLD)
    assert rest["done"] == MANY - some and scene.held() == MANY
    scene.kill_half_way(lambda: scene.held() < MANY, "undo", rest["rule"], "--yes")
    left = scene.held()
    assert some < left < MANY
    assert ctl(scene.cluster, "undo", rest["rule"], "--yes")["done"] == left - some
    assert ctl(scene.cluster, "undo", first, "--yes")["done"] == some
    scene.assert_as_before()
    assert ctl(scene.cluster, "undo", first, "--yes")["jobs"] == 0


# proves: J10
def test_two_who_hold_and_undo_at_once_leave_each_job_in_one_place(scene):
    given = ctl(scene.cluster, *HOLD)
    assert given["done"] == MANY
    other = scene.start(*HOLD)
    undo = scene.start("undo", given["rule"], "--yes")
    assert undo.wait(timeout=60) == 0 and other.wait(timeout=60) == 0
    queue = counts(scene.cluster)
    assert queue["waiting"] + queue["held"] == MANY and queue["claimed"] == 0
    for rule in ctl(scene.cluster, "rules", "list")["rules"][:2]:
        ctl(scene.cluster, "undo", rule["rule"], "--yes")
    scene.assert_as_before()


# proves: J10
def test_an_order_goes_on_where_redis_was_away_for_a_moment(scene):
    given = scene.start(*HOLD)
    wait.until(lambda: scene.held() > 0, 30, "some of it is done", pause=0.001)
    scene.cluster.redis.freeze()
    back = threading.Timer(2.0, scene.cluster.redis.thaw)
    back.start()
    status = given.wait(timeout=60)
    back.join()
    if status != 0:  # it said that it could not, and asks to be given again
        ctl(scene.cluster, *HOLD)
    assert scene.held() == MANY
    for rule in ctl(scene.cluster, "rules", "list")["rules"][:2]:
        ctl(scene.cluster, "undo", rule["rule"], "--yes")
    scene.assert_as_before()


# proves: J10 A05
def test_orders_while_couriers_die_lose_nothing():
    """Hold, retry, suspend, each taken back or followed by its opposite, under load, while couriers and dispatchers are killed: the ledger."""
    with Load(SEED) as load:
        cluster, failed, is_over = load.cluster, [], threading.Event()

        def order(rng):
            while not is_over.is_set():
                domain = rng.choice(DOMAINS)
                try:
                    held = ctl(cluster, "queue", "hold", domain, "--yes")
                    ctl(cluster, "undo", held["rule"], "--yes")
                    suspended, = ctl(cluster, "queue", "suspend", domain, "--yes")["rules"]
                    ctl(cluster, "queue", "retry", domain, "--yes")
                    ctl(cluster, "undo", suspended["rule"], "--yes")
                    ctl(cluster, "queue", "hold", domain, "--yes")
                    ctl(cluster, "queue", "release", domain, "--yes")
                except (AssertionError, subprocess.TimeoutExpired) as failure:
                    failed.append(failure)
        operators = [threading.Thread(target=order, args=(random.Random(f"{SEED}/{number}"),)) for number in range(2)]
        load.more(20)
        for operator in operators:
            operator.start()
        try:
            for role in ("courier", "dispatcher", "courier"):
                for node in cluster.of(role):
                    cluster.kill(node)
                    load.more(40)
                    cluster.restart(node, wait_ready=True)
        finally:
            is_over.set()
            for operator in operators:
                operator.join()
        assert failed == []
        ctl(cluster, "queue", "release", "*", "--yes")  # held between the two orders of another
        assert [rule for rule in ctl(cluster, "rules", "list", "--limit", "0")["rules"] if rule["in_force"]] == []
        load.settle().assert_balanced()
