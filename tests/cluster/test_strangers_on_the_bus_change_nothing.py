"""Who has no key of a node is not heard on the bus, whatever it says or says again: grants, limits and rings stay, mail flows, nothing grows."""

import contextlib
import json
import os
import re
import socket
import time

import pytest
from post import Post

from harness import ports, wait
from harness.bus import Stranger, Tap, hello, key_pair, report, ring
from harness.cluster import Cluster
from harness.generator import Generator
from harness.ledger import Ledger
from harness.sink import ScriptedSink

HOST = "127.0.8.1"
QUEUE = "one.test"


def settings_of(sink, **bus):
    return {"courier": {"port": sink.port, "routes": {QUEUE: f"{HOST}:{sink.port}", "origin.test": f"{HOST}:{sink.port}"}}, "bus": bus}


def bus_of(cluster):
    return next(node["bus"] for node in cluster.status()["nodes"] if node["role"] == "dispatcher")


def keys_of(cluster):
    """By name of the node."""
    return {node["name"].partition(".")[0]: node["key"] for node in json.loads(cluster.baridctl("--json", "keys", "list"))["nodes"]}


def heard(cluster):
    """What frames change at a dispatcher."""
    metrics = cluster.of("dispatcher")[0].metrics()
    return {name: metrics.get(f"barid_{name}") for name in ("rings_total", "frames_refused_total", "frames_late_total", "grants_total",
                                                           "queues_active")}


def lies(cluster):
    """Frames that would do harm if they were heard."""
    courier = next(node for node in cluster.status()["nodes"] if node["role"] == "courier")
    incarnation, far = courier["incarnation"], 1 << 52
    yield hello(incarnation, far, count=far)
    for partition in range(0, 256, 16):
        yield ring(partition, QUEUE)
        yield report(incarnation, far, partition, QUEUE, far, count=far)
        yield hello(incarnation + partition + 1, far)
    yield from (b"", b"\x0a" * 100, b"\xff" * 100, bytes(262144), bytes(300000))


@contextlib.contextmanager
def busy_cluster(**more):
    with ScriptedSink([HOST]) as sink:
        with Cluster(settings=settings_of(sink, **more)) as cluster:
            yield cluster, sink, Post(cluster, sink)


# proves: M04 M05
def test_strangers_of_all_kinds_are_not_heard():
    with busy_cluster() as (cluster, sink, post):
        post.wait_delivered(post.send(f"first@{QUEUE}"))
        keys, address = keys_of(cluster), bus_of(cluster)
        assert len(set(keys.values())) == 3, "each node has its own"
        cluster.baridctl("keys", "bar", "--", key_pair()[0])
        barred = key_pair()
        cluster.baridctl("keys", "bar", "--", barred[0])
        wait.until(lambda: heard(cluster)["queues_active"] == 0, 20, "quiet")
        before = heard(cluster)
        with contextlib.ExitStack() as stack:
            strangers = [stack.enter_context(stranger) for stranger in (
                Stranger(address), Stranger(address, name="1.0"),  # no CURVE
                Stranger(address, key_pair(), key_pair()[0]),  # not the hub's key
                Stranger(address, key_pair(), keys["dispatcher1"]),  # a key of nobody
                Stranger(address, barred, keys["dispatcher1"]))]
            frames = list(lies(cluster))
            end = time.monotonic() + 4
            taken = 0
            while time.monotonic() < end:
                for stranger in strangers:
                    taken += sum(stranger.say(frame) for frame in frames)
                wait.until(lambda: True, 1, "")
            assert taken == 0, "no handshake came to its end"
            wait.until(lambda: cluster.metric("barid_bus_refused_total", "dispatcher") >= 2, 20, "both are counted")
            post.wait_delivered(post.send(f"meanwhile@{QUEUE}"))
        after = heard(cluster)
        assert after["frames_refused_total"] == before["frames_refused_total"] == 0
        assert after["frames_late_total"] == 0
        assert after["rings_total"] - before["rings_total"] <= 2, "those of the one letter"
        told = cluster.of("dispatcher")[0].log_text().count("event=peer_refused")
        assert 1 <= told <= 20, "once a second at most"
        post.wait_delivered(post.send(f"last@{QUEUE}"))
        post.assert_balanced()


# proves: M05
def test_what_was_recorded_is_not_heard_again():
    port, tap_port = ports.free_port(), ports.free_port()
    with Tap(tap_port, f"127.0.0.1:{port}") as tap:
        with busy_cluster(listen=f"127.0.0.1:{port}", advertise=tap.address) as (cluster, sink, post):
            for number in range(20):
                post.send(f"r{number}@{QUEUE}")
            cluster.wait_empty()
            wait.until(lambda: heard(cluster)["queues_active"] == 0, 20, "quiet")
            before = heard(cluster)
            records = [bytes(record) for record in tap.recorded if len(record) > 300]
            assert len(records) >= 2, "of the ingress, and of the courier"
            for record in records * 5:
                with socket.create_connection(("127.0.0.1", port), 5) as again:
                    again.settimeout(5)
                    with contextlib.suppress(OSError):  # it is closed as soon as it is not understood
                        again.sendall(record)
                        while again.recv(65536):
                            pass
            assert heard(cluster) == before
            post.wait_delivered(post.send(f"last@{QUEUE}"))
            post.assert_balanced()


def rss(node):
    with open(f"/proc/{node.pid}/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def descriptors(node):
    return len(os.listdir(f"/proc/{node.pid}/fd"))


# proves: M03 M05
def test_a_flood_of_connections_is_bounded():
    with busy_cluster(max_connections=300) as (cluster, sink, post):
        dispatcher, address = cluster.of("dispatcher")[0], bus_of(cluster)
        post.wait_delivered(post.send(f"first@{QUEUE}"))
        before, most_memory, most_open = rss(dispatcher), 0, 0
        host, port = address.split(":")
        with contextlib.ExitStack() as stack:
            for number in range(4000):
                half_open = stack.enter_context(socket.socket())
                half_open.setblocking(False)
                half_open.connect_ex((host, int(port)))
                with contextlib.suppress(OSError):
                    if number % 2:
                        half_open.send(b"\xff\0\0\0\0\0\0\0\1\x7f\3\0CURVE" + bytes(47) + b"\2" + (260000).to_bytes(8, "big") + bytes(2000))
                if number % 100 == 0:
                    most_memory, most_open = max(most_memory, rss(dispatcher)), max(most_open, descriptors(dispatcher))
            cluster.wait_log("dispatcher", "event=bus_crowded")
            post.wait_delivered(post.send(f"meanwhile@{QUEUE}"))
            most_memory, most_open = max(most_memory, rss(dispatcher)), max(most_open, descriptors(dispatcher))
        assert most_open < 2000, "a few hundred between two looks at them, and those of the backlog"
        assert most_memory - before < 200 << 20, (before, most_memory)
        cluster.restart(cluster.kill("courier"), wait_ready=True)  # a new one gets in when the half-open ones have gone
        post.wait_delivered(post.send(f"last@{QUEUE}"))
        assert dispatcher.log_text().count("event=bus_crowded") < 30
        post.assert_balanced()


# proves: M05
@pytest.mark.parametrize("how", ["order", "age", "bar"])
def test_keys_change_while_mail_flows(how):
    with ScriptedSink([HOST]) as sink:
        settings = settings_of(sink, **({"key_age": "10s"} if how == "age" else {}))
        with Cluster(ingress=2, dispatchers=2, couriers=2, settings=settings) as cluster:
            with Generator(cluster.addresses, lambda n: ("s@origin.test", [f"r{n}@{QUEUE}"]), sessions=8, rate=100) as load:
                load.wait_acknowledged(100)
                first = keys_of(cluster)
                began = time.monotonic()
                if how == "order":
                    for _ in range(3):
                        cluster.baridctl("keys", "rotate", "--wait", timeout=70)
                    cluster.baridctl("keys", "rotate", "dispatcher1.relay.test", "courier1.relay.test", "--wait", timeout=70)
                elif how == "bar":
                    for name in ("dispatcher1", "courier2", "ingress1"):
                        cluster.baridctl("keys", "bar", "--", first[name])
                changed = {name for name in first} if how != "bar" else {"dispatcher1", "courier2", "ingress1"}
                wait.until(lambda: all(keys_of(cluster)[name] != first[name] for name in changed), 60, "new keys")
                if how == "bar":
                    assert {name for name, key in keys_of(cluster).items() if key != first[name]} == changed
                so_far = len(load.acknowledged())
                load.wait_acknowledged(so_far + 500)  # with the new keys in force
                ended = time.monotonic()
                load.stop()
            cluster.wait_empty()
            ledger = Ledger([load], [sink], cluster.faults).assert_balanced()
            dots = sorted(t.dot_at for t in sink.dots() if began <= t.dot_at <= ended)
            gap = max(later - sooner for sooner, later in zip([began] + dots, dots + [ended]))
            print(f"{how}: {len(dots)} dots in {ended - began:.1f} s, longest gap {gap:.2f} s, {ledger}")
            assert gap < 4, "no grant lapsed: it lasts five seconds"
            for node in cluster.nodes:
                assert node.is_ready()
                assert "event=frame_refused" not in node.log_text()


# proves: M05
def test_a_new_life_is_let_in_with_its_new_key():
    with busy_cluster() as (cluster, sink, post):
        former = keys_of(cluster)["courier1"]
        courier = cluster.of("courier")[0]
        post.wait_delivered(post.send(f"first@{QUEUE}"))
        _, fault = cluster.freeze(courier)
        cluster.wait_log("dispatcher", "event=buried")
        cluster.thaw(courier, fault)
        courier.process.wait_log("event=declared_dead")
        wait.until(lambda: keys_of(cluster).get("courier1") not in (None, "", former), 20, "another key")
        post.wait_delivered(post.send(f"last@{QUEUE}"))
        post.assert_balanced()


# proves: M05
def test_keys_are_listed_barred_and_rotated_by_hand():
    with busy_cluster() as (cluster, sink, post):
        text = cluster.baridctl("keys", "list")
        keys = keys_of(cluster)
        assert all(key in text for key in keys.values())
        nobody = key_pair()[0]
        assert "barred" in cluster.baridctl("keys", "bar", "--", nobody)
        assert re.search(re.escape(nobody) + r": barred \S+ \S+ ago", cluster.baridctl("keys", "list"))
        cluster.baridctl("keys", "unbar", "--", nobody)
        assert nobody not in cluster.baridctl("keys", "list")
        with cluster.redis.client() as redis:  # what nobody is concerned by any more goes when the next order is given
            redis.hset("barid:{c}:orders", mapping={f"bar:{nobody}": 1, f"bar:{keys['courier1']}x": int(time.time() * 1000), "rekey": 1,
                                                    "rekey:courier1.relay.test": int(time.time() * 1000) + 100000})
            cluster.baridctl("keys", "bar", "--", key_pair()[0])
            left = [field.decode() for field in redis.hkeys("barid:{c}:orders")]
            assert len(left) == 3 and f"bar:{nobody}" not in left and "rekey" not in left, left
            redis.delete("barid:{c}:orders")
        for wrong in (["keys", "unbar", nobody], ["keys", "bar", "x"], ["keys", "bar", "'" * 40], ["keys", "rotate", "nobody.test"]):
            with pytest.raises(Exception):
                cluster.baridctl(*wrong)
        post.wait_delivered(post.send(f"last@{QUEUE}"))
        post.assert_balanced()
