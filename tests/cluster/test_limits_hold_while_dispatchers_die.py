"""
A queue's limits are the cluster's: three couriers, two dispatchers that are killed in turn. The sink counts open connections and
messages; what it sees above the limit in the seconds after a kill is counted and printed, above it at any other time is a failure.
"""

import itertools

import pytest
from harness import wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.sink import ScriptedSink, stall

# What a killed dispatcher granted is in force for so long (DESIGN section 5: the TTL of a grant).
AFTER_A_KILL_S = 5.0
KILLS, BETWEEN_KILLS_S = 4, 9.0


def open_connections(sink):
    """[(moment, connections open from then on)]"""
    steps = [(session.opened_at, 1) for session in list(sink.sessions)]
    steps += [(session.closed_at, -1) for session in list(sink.sessions) if session.closed_at is not None]
    steps.sort()
    return list(zip((at for at, _ in steps), itertools.accumulate(change for _, change in steps)))


def is_after_a_kill(moment, kills):
    return any(kill <= moment <= kill + AFTER_A_KILL_S for kill in kills)


def kill_dispatchers_in_turn(cluster):
    """The moments of the kills; each dispatcher is started again at once."""
    kills = []
    for node in itertools.islice(itertools.cycle(cluster.of("dispatcher")), KILLS):
        kills.append(cluster.now())
        cluster.kill(node)
        cluster.restart(node)
        wait.until(lambda: cluster.now() > kills[-1] + BETWEEN_KILLS_S, 30, "the next kill", pause=0.1)
    return kills


def too_many_connections(sink, limit, kills):
    """(how often it was exceeded at other times than after a kill, the most after a kill, the most at all)"""
    seen = open_connections(sink)
    ends = [at for at, _ in seen[1:]] + [seen[-1][0]]
    after = [count for (at, count), end in zip(seen, ends) if any(at <= kill + AFTER_A_KILL_S and end >= kill for kill in kills)]
    others = [count for at, count in seen if not is_after_a_kill(at, kills)]
    return sum(count > limit for count in others), max(after, default=0), max(count for _, count in seen)


def run(limits, hold_s, messages, calm_s):
    """calm_s: how long nobody is killed at first."""
    with ScriptedSink(keep=1 << 12) as sink:
        sink.rule("dot", stall(hold_s))
        settings = {"courier": {"routes": {"limited.test": f"127.0.0.1:{sink.port}"}, "idle_time": "1s"},
                    "dispatcher": {"limits": {"limited.test": limits}}}
        with Cluster(dispatchers=2, couriers=3, settings=settings) as cluster:
            with Generator(cluster.addresses, lambda n: ("a@from.test", [f"to{n}@limited.test"]), limit=messages) as generator:
                generator.wait_done()
            began = cluster.now()
            wait.until(lambda: cluster.now() > began + calm_s, calm_s + 10, "the first kill", pause=0.1)
            kills = kill_dispatchers_in_turn(cluster)
            for node in cluster.nodes:
                node.process.kill()
            copies = sink.copies()
    assert all(len(times) == 1 for times in copies.values()), "a dispatcher's death makes no second copy"
    return sink, kills


# proves: H16
def test_connections_and_rate_of_a_slow_queue():
    limit, rate_per_min, window_s = 5, 100, 30.0
    sink, kills = run(f"connections={limit} rate={rate_per_min}", 2.8, 400, calm_s=window_s + 8)
    wrong, after, most = too_many_connections(sink, limit, kills)
    times = sorted(transaction.dot_at for transaction in sink.dots())
    allowed = rate_per_min * window_s / 60 + 1  # one message each way: the moments at the sink are not those of the sending
    counts = [(at, sum(at <= other < at + window_s for other in times)) for at in times if at + window_s <= times[-1]]
    excess = [count - allowed for at, count in counts
              if not any(at - AFTER_A_KILL_S <= kill <= at + window_s for kill in kills)]
    overshoot = max((count - allowed for _, count in counts), default=0)
    print(f"{len(times)} messages in {times[-1] - times[0]:.0f} s, {len(kills)} dispatchers killed: at most {most} connections "
          f"(limit {limit}; {after} after a kill), at most {max(count for _, count in counts)} messages in {window_s:.0f} s "
          f"(limit {allowed - 1:.0f}; overshoot after kills {max(0, overshoot):.0f})")
    assert wrong == 0 and excess, "some windows are free of kills"
    assert max(excess, default=0) <= 0
    assert overshoot <= rate_per_min / 60 * AFTER_A_KILL_S, "more than a grant's life of messages too many"
    # Five connections of 4 s each bear 1.25 a second.
    assert len(times) > 1.2 * (times[-1] - times[0]), "the limit is used, also while dispatchers die"


# proves: H16
@pytest.mark.parametrize("limit", [5])
def test_connections_of_a_queue_that_several_couriers_work(limit):
    sink, kills = run(f"connections={limit}", 0.5, 1000, calm_s=5)
    wrong, after, most = too_many_connections(sink, limit, kills)
    clients = {session.helo for session in list(sink.sessions)}
    print(f"{len(sink.dots())} messages by {len(clients)} couriers, {len(kills)} dispatchers killed: at most {most} connections "
          f"(limit {limit}; {after} after a kill)")
    assert wrong == 0
    assert len(clients) > 1, "its backlog is worked by several couriers"
