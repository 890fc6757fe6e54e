"""How many connections a destination gets: what it bears, within the limit of its queue and of its site, over all couriers together."""

import itertools

from harness import wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink, reply, stall

SLOW, OTHER = "127.0.3.1", "127.0.3.2"


def open_at(sink, host=None):
    """[(moment, connections of that host open from then on)]"""
    sessions = [session for session in list(sink.sessions) if host in (None, session.host)]
    steps = sorted([(session.opened_at, 1) for session in sessions]
                   + [(session.closed_at, -1) for session in sessions if session.closed_at is not None])
    return list(zip((at for at, _ in steps), itertools.accumulate(change for _, change in steps)))


def most_between(seen, begin, end):
    before = [count for at, count in seen if at <= begin][-1:]
    return max(before + [count for at, count in seen if begin < at <= end], default=0)


# proves: H17
def test_a_destination_that_puts_off_gets_fewer_connections_and_others_keep_theirs():
    with ScriptedSink([SLOW, OTHER], keep=1 << 12) as sink:
        sink.rule("dot", stall(0.05))
        settings = {"courier": {"routes": {"slow.test": f"{SLOW}:{sink.port}", "other.test": f"{OTHER}:{sink.port}"},
                                "idle_time": "200ms"},
                    "retry": {"first": "500ms", "longest": "500ms"}}
        with Cluster(couriers=3, dispatchers=2, settings=settings) as cluster:
            def to(n):
                return "s@origin.test", [f"r{n}@{'slow' if n % 2 else 'other'}.test"]
            with Generator(cluster.addresses, to, rate=300) as generator:
                wait.until(lambda: open_at(sink, SLOW) and open_at(sink, SLOW)[-1][1] >= 5, 30, "the slow one has its connections")
                refusal = sink.rule("rcpt", reply("451 4.7.1 slow down"), host=SLOW)
                wait.until(lambda: open_at(sink, SLOW)[-1][1] <= 1, 30, "the slow one has one connection")
                throttled = cluster.now()
                wait.until(lambda: cluster.now() > throttled + 3, 10, "some seconds", pause=0.1)
                lower = most_between(open_at(sink, SLOW), throttled + 1, cluster.now())
                others = most_between(open_at(sink, OTHER), throttled, cluster.now())
                sink.clear(refusal)
                wait.until(lambda: open_at(sink, SLOW)[-1][1] > 5, 30, "it gets more again")
                generator.stop()
            cluster.wait_empty()
            Ledger([generator], [sink], cluster.faults).assert_balanced()
            print(f"connections: {lower} while it put everything off, {others} to the other one")
            assert lower <= 2 and others >= 5
            assert cluster.metric("barid_queues_paused_total", "dispatcher") == 0, "it is slow, not dead"


# proves: H16
def test_a_site_has_one_limit_for_all_its_domains_over_all_nodes():
    limit, domains = 4, 12
    with ScriptedSink(keep=1 << 12) as sink:
        sink.rule("dot", stall(0.1))
        routes = {f"d{n}.test": f"127.0.0.1:{sink.port}" for n in range(domains)}
        settings = {"courier": {"routes": routes}, "dispatcher": {"site_limits": {"127.0.0.1": f"connections={limit}"}}}
        with Cluster(couriers=3, dispatchers=3, settings=settings) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@d{n % domains}.test"]), limit=600) as generator:
                generator.wait_done()
            cluster.wait_empty(120)
            Ledger([generator], [sink], cluster.faults).assert_balanced()
            most = max(count for _, count in open_at(sink))
            taken = sorted(transaction.dot_at for transaction in sink.taken())
            print(f"{len(taken)} messages to {domains} domains of one site: at most {most} connections (limit {limit}), "
                  f"{len(taken) / (taken[-1] - taken[0]):.0f} messages a second")
            assert most <= limit
            assert most > 1, "the limit is used"


# proves: H16 J09
def test_a_full_courier_has_turns_for_all():
    busy = 3
    with ScriptedSink(keep=1 << 12) as sink:
        sink.rule("dot", stall(0.1))
        routes = {f"busy{n}.test": f"127.0.0.1:{sink.port}" for n in range(busy)}
        late = {f"late{n}.test": f"127.0.0.1:{sink.port}" for n in range(10)}
        with Cluster(settings={"courier": {"routes": {**routes, **late}, "connections": 6}}) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@busy{n % busy}.test"]), limit=1500, prefix="busy") as generator:
                generator.wait_done()
            wait.until(lambda: len(sink.taken()) > 50, 20, "the busy ones are at it", pause=0.1)
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@late{n}.test"]), limit=len(late), prefix="late") as others:
                others.wait_done()
            ids = {item.ledger_id for item in others.items}
            wait.until(lambda: ids <= {transaction.ledger_id for transaction in sink.taken()}, 40, "those that came late are delivered", pause=0.1)
            left = cluster.queue()["waiting"]
            taken = {transaction.ledger_id: transaction.dot_at for transaction in sink.taken()}
            delays = sorted(taken[item.ledger_id] - min(item.acknowledged.values()) for item in others.items)
            print(f"{len(late)} late queues beside {busy} busy ones: median {delays[len(delays) // 2]:.1f} s, last {delays[-1]:.1f} s; {left} still wait")
            assert left > 100, "the busy ones are still at it"
            cluster.wait_empty(120)
            Ledger([generator, others], [sink], cluster.faults).assert_balanced()
