"""
A destination that is dead has a backlog: it costs a connection now and then, and nobody else waits for it. When it comes back it is not run
over.
"""

import itertools
import socket

import pytest
from harness import wait
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.ports import free_port
from harness.postfix import smtp_source
from harness.sink import ScriptedSink, drop, stall

BACKLOG, LIVE, LIVE_DOMAINS = 20000, 1000, 20


@pytest.fixture(params=["refuses connections", "never greets"])
def dead_port(request):
    """Of a host that is dead in this way."""
    if request.param == "refuses connections":
        yield free_port()
        return
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield server.getsockname()[1]


def delays(generator, sink):
    """Seconds from the acknowledgement to the sink's dot, ascending."""
    taken = {transaction.ledger_id: transaction.dot_at for transaction in sink.taken()}
    return sorted(taken[item.ledger_id] - min(item.acknowledged.values()) for item in generator.items)


def told(values):
    return f"median {1000 * values[len(values) // 2]:.0f} ms, p99 {1000 * values[len(values) * 99 // 100]:.0f} ms"


def send_live(cluster, sink, prefix):
    with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@live{n % LIVE_DOMAINS}.test"]), limit=LIVE,
                   prefix=prefix) as generator:
        generator.wait_done()
    ids = {item.ledger_id for item in generator.items}
    wait.until(lambda: ids <= {transaction.ledger_id for transaction in sink.taken()}, 60, "all live mail is delivered", pause=0.1)
    return generator


def pause_record(cluster, domain):
    """What the store has of its pause."""
    redis = cluster.redis.client()
    return next((redis.hgetall(key) for key in redis.scan_iter(f"s:*:{domain}", 1000)), {})


# proves: J09
def test_live_mail_does_not_wait_for_a_dead_domain_with_a_backlog(dead_port):
    with ScriptedSink(keep=1 << 12) as sink:
        routes = {"dead.test": f"127.0.0.1:{dead_port}"}
        routes.update({f"live{n}.test": f"127.0.0.1:{sink.port}" for n in range(LIVE_DOMAINS)})
        settings = {"courier": {"routes": routes, "connect_timeout": "1s", "greeting_timeout": "1s"},
                    "dispatcher": {"pause_first": "2s", "pause_longest": "10s"}, "retry": {"first": "5min", "longest": "5min"}}
        with Cluster(couriers=2, dispatchers=2, settings=settings) as cluster:
            send_live(cluster, sink, "first")  # partitions and grants are where they stay
            alone = delays(send_live(cluster, sink, "alone"), sink)
            smtp_source(cluster.addresses[0][1], count=BACKLOG, sessions=20, size=500, recipient="r@dead.test")
            cluster.wait_metric("barid_queues_paused_total", 1)
            began = cluster.metric("barid_connections_total", "courier")
            beside = delays(send_live(cluster, sink, "beside"), sink)
            assert cluster.metric("barid_queues_paused_total", "dispatcher") >= 1
            record = wait.until(lambda: pause_record(cluster, "dead.test"), 10, "the pause is on record")
            queue = cluster.queue()
            print(f"{LIVE} messages alone: {told(alone)}; beside {queue['waiting']} jobs of a dead domain: {told(beside)}; "
                  f"{cluster.metric('barid_queues_paused_total', 'dispatcher'):.0f} pauses; dispatchers' works "
                  f"{cluster.metric('barid_queues_active', 'dispatcher'):.0f}; {record[b'error'].decode()}")
            assert queue["waiting"] + queue["claimed"] >= BACKLOG, "nothing of it is lost"
            assert int(record[b"ms"]) >= 2000 and record[b"error"]
            tries = cluster.metric("barid_deferred_total", "courier")
            assert tries < BACKLOG / 10, "its jobs wait with their queue, they are not tried one by one"
            assert cluster.metric("barid_connections_total", "courier") - began < LIVE, "few connections to a dead host"


def concurrent(sessions):
    """[(moment, how many are open from then on)]"""
    steps = sorted([(session.opened_at, 1) for session in sessions]
                   + [(session.closed_at, -1) for session in sessions if session.closed_at is not None])
    return list(zip((at for at, _ in steps), itertools.accumulate(change for _, change in steps)))


# proves: J06 H16
def test_a_destination_that_is_back_gets_one_connection_and_more_as_it_takes_mail():
    with ScriptedSink(keep=1 << 12) as sink:
        down = sink.rule("connect", drop())
        settings = {"courier": {"routes": {"back.test": f"127.0.0.1:{sink.port}"}},
                    "dispatcher": {"pause_first": "1s", "pause_longest": "2s"}, "retry": {"first": "1s", "longest": "1s"}}
        with Cluster(couriers=2, dispatchers=2, settings=settings) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@back.test"]), limit=600) as generator:
                generator.wait_done()
            cluster.wait_metric("barid_queues_paused_total", 2)
            sink.rule("dot", stall(0.03))
            sink.clear(down)
            since = cluster.now()
            cluster.wait_metric("barid_queues_resumed_total", 1, timeout=30)
            cluster.wait_empty()
            Ledger([generator], [sink], cluster.faults).assert_balanced()
            taken = sorted(transaction.dot_at for transaction in sink.taken())
            first = taken[0]
            seen = concurrent([session for session in sink.sessions if session.opened_at > since and session.transactions])
            most = max(count for _, count in seen)
            print(f"back after {first - since:.1f} s, {most} connections at most, {taken[-1] - first:.1f} s for all")
            for at, count in seen:
                succeeded = sum(moment <= at for moment in taken)
                assert succeeded >= count * (count - 1) / 2, f"{count} connections after {succeeded} messages"
            assert most > 2, "it grows"
            assert not pause_record(cluster, "back.test"), "nothing is on record any more"


# proves: J09
def test_many_dead_domains_do_not_fill_a_courier():
    dead, connections = 150, 100
    with ScriptedSink(keep=1 << 12) as sink, socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        routes = {f"dead{n}.test": f"127.0.0.1:{server.getsockname()[1]}" for n in range(dead)}
        routes.update({f"live{n}.test": f"127.0.0.1:{sink.port}" for n in range(LIVE_DOMAINS)})
        settings = {"courier": {"routes": routes, "connections": connections, "greeting_timeout": "5min"}}
        with Cluster(settings=settings) as cluster:
            send_live(cluster, sink, "first")
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@dead{n % dead}.test"]), limit=10 * dead) as generator:
                generator.wait_done()
            cluster.wait_metric("barid_connections", connections // 4, "courier")
            beside = delays(send_live(cluster, sink, "beside"), sink)
            # Idle connections to live hosts are closed when somebody needs the room.
            hanging = cluster.metric("barid_connections", "courier") - sum(session.closed_at is None for session in list(sink.sessions))
            print(f"{LIVE} messages beside {dead} domains that hang: {told(beside)}; {hanging:.0f} of {connections} connections hang")
            assert hanging < connections * 0.7, "those that hang leave room"
            for node in cluster.nodes:
                node.process.kill()
