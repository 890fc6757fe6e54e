"""Settings that are read anew while hosts are being looked for: what was found by the former ones carries no mail."""

import threading

import pytest
from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.dns import ScriptedDns, Zone, from_zone
from harness.sink import Gate, ScriptedSink, drop, stall

HOST, OTHER, HOME = "127.0.0.1", "127.0.0.2", "127.0.0.9"


@pytest.fixture(scope="module")
def scene():
    zone = Zone(ttl=0)
    for name in ("strict", "moved"):
        zone.mx(f"{name}.test", f"mx.{name}.test").a(f"mx.{name}.test", HOST)
    zone.mx("two.test", "mx1.two.test", "mx2.two.test").a("mx1.two.test", HOST).a("mx2.two.test", OTHER)
    with ScriptedSink([HOST, OTHER, HOME]) as sink, ScriptedDns(zone) as dns:
        settings = {"courier": {"port": sink.port, "routes": {"origin.test": f"{HOME}:{sink.port}"}}, "dns": {"timeout": "20s"},
                    "retry": {"first": "1s", "longest": "1s"}}
        with Cluster(dns_port=dns.port, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.dns = dns
            yield post
            post.assert_balanced()


def held_back(scene, name, kind):
    """What the name server says when the event that comes back is set."""
    may_answer = threading.Event()

    def act(*question):
        may_answer.wait(20)
        return from_zone()(*question)
    scene.dns.on(name, kind, act)
    return may_answer


def read_anew(scene, settings):
    before = scene.cluster.of("courier")[0].log_text().count("event=config_loaded")
    scene.cluster.reload(settings)
    wait.until(lambda: scene.cluster.of("courier")[0].log_text().count("event=config_loaded") > before, 20, "settings are read anew")


# proves: L17 H15
def test_a_policy_that_comes_while_hosts_are_looked_for_binds(scene):
    may_answer = held_back(scene, "_mta-sts.strict.test", "TXT")
    letter = scene.send("r@strict.test")
    wait.until(lambda: scene.dns.count("mx.strict.test") == 2 and scene.dns.count("_mta-sts.strict.test"), 20, "all is asked for")
    read_anew(scene, {"tls_out": {"policies": {"strict.test": "encrypt"}}})
    may_answer.set()
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.4"
    assert scene.copies(letter) == []
    read_anew(scene, {"tls_out": {"policies": {"strict.test": "may"}}})
    scene.wait_delivered(letter)


# proves: I16
def test_a_route_that_comes_while_hosts_are_looked_for_is_taken(scene):
    may_answer = held_back(scene, "moved.test", "MX")
    letter = scene.send("r@moved.test")
    wait.until(lambda: scene.dns.count("moved.test", "MX"), 20, "the MX is asked for")
    read_anew(scene, {"courier": {"routes": {"moved.test": f"{OTHER}:{scene.sink.port}"}}})
    may_answer.set()
    assert scene.wait_delivered(letter).session.host == OTHER


# proves: L17 H15
def test_a_policy_that_comes_between_two_hosts_binds(scene):
    """The first host has failed and the second does not greet yet: what follows goes by the new settings."""
    gate = Gate()
    rules = [scene.sink.rule("mail", drop(), host=HOST), scene.sink.rule("connect", stall(gate=gate), host=OTHER)]
    letter = scene.send("r@two.test")
    gate.wait_held()
    read_anew(scene, {"tls_out": {"policies": {"two.test": "encrypt"}}})
    gate.open()
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.4"
    assert scene.copies(letter) == []
    scene.sink.clear(*rules)
    read_anew(scene, {"tls_out": {"policies": {"two.test": "may"}}})
    scene.wait_delivered(letter)
