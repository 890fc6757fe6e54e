"""LMTP: behind the dot each recipient has an answer of its own; a connection lost between them is a doubt about the others only."""

import os

import pytest
from post import Post

from harness.authority import Authority
from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import ScriptedSink, drop, reply

HOME = "127.0.0.9"
DOMAINS = ("tcp.test", "socket.test", "secure.test")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lmtp")
    authority = Authority(str(folder))
    with ScriptedSink([HOME]) as home, ScriptedSink(["127.0.1.1"], is_lmtp=True) as tcp, \
            ScriptedSink(path=os.path.join(folder, "lmtp"), is_lmtp=True) as socket, \
            ScriptedSink(["127.0.1.2"], is_lmtp=True, tls=authority.issue("store.test")) as secure:
        hosts = {"tcp.test": f"127.0.1.1:{tcp.port}", "socket.test": f"unix:{socket.path}", "secure.test": f"127.0.1.2:{secure.port}"}
        settings = {
            "courier": {"routes": {"origin.test": f"{HOME}:{home.port}", **{domain: domain.partition(".")[0] for domain in DOMAINS}}},
            # What must be proven counts for hosts of the network: a socket of this host has no TLS.
            "transports": {domain.partition(".")[0]: {"protocol": "lmtp", "hosts": [host], "tls": "" if domain == "tcp.test" else "verify store.test"}
                           for domain, host in hosts.items()},
            "tls_out": {"ca": authority.ca}, "retry": {"first": "100ms", "longest": "300ms"},
            "dispatcher": {"pause_first": "100ms", "pause_longest": "300ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, home)
            post.stores = dict(zip(DOMAINS, (tcp, socket, secure)))
            yield post
            cluster.wait_empty()
            Ledger([post], [home, *post.stores.values()], cluster.faults).assert_balanced()


def addresses(domain, *names):
    return [f"{name}@{domain}" for name in names]


def count(store, letter, recipient):
    return sum(t.ledger_id == letter.ledger_id and recipient in t.recipients for t in store.taken())


# proves: H05
@pytest.mark.parametrize("domain", DOMAINS)
def test_each_recipient_has_its_own_outcome(scene, domain):
    store, (kept, full, strict) = scene.stores[domain], addresses(domain, "kept", "full", "strict")
    store.rule("dot", reply("452 4.2.2 no room for now"), recipient=full, times=1)
    store.rule("dot", reply("550 5.2.0 not from you"), recipient=strict)
    letter = scene.send([kept, full, strict])
    report = scene.wait_returned(letter)
    assert report.recipients == [strict] and report.of(strict)["Status"] == "5.2.0"
    scene.wait_settled(letter)
    assert [count(store, letter, recipient) for recipient in (kept, full, strict)] == [1, 1, 0]
    assert [line["to"] for line in scene.told(letter, "deferred")] == [full]
    assert scene.told(letter, "in_doubt") == []
    if domain == "secure.test":
        assert all(session.tls for session in store.sessions if session.transactions)


# proves: H13 A05
@pytest.mark.parametrize("name, action", [("lost", drop()), ("nonsense", reply(b"what?\r\n", then_drop=True))])
@pytest.mark.parametrize("domain", DOMAINS)
def test_a_connection_lost_between_the_answers_is_a_doubt_about_the_rest(scene, domain, name, action):
    store, (first, second, third) = scene.stores[domain], addresses(domain, f"{name}1", f"{name}2", f"{name}3")
    store.rule("dot", action, recipient=second, times=1)
    letter = scene.send([first, second, third])
    scene.wait_settled(letter)
    assert count(store, letter, first) == 1, "answered: it is not sent again"
    assert count(store, letter, third) == 2, "taken, and nobody said so"
    assert sorted(line["to"] for line in scene.told(letter, "in_doubt")) == [second, third]
    assert sorted(line["to"] for line in scene.told(letter, "delivered")) == [first, second, third]


# proves: H09 H13
def test_a_store_that_closes_answers_one(scene):
    store, (first, second, third) = scene.stores["tcp.test"], addresses("tcp.test", "x", "y", "z")
    store.rule("dot", reply("421 4.3.2 going down", then_drop=True), recipient=second, times=1)
    letter = scene.send([first, second, third])
    scene.wait_settled(letter)
    assert [count(store, letter, recipient) for recipient in (first, second)] == [1, 1]
    assert [line["to"] for line in scene.told(letter, "in_doubt")] == [third]
    assert {line["to"]: line["status"] for line in scene.told(letter, "deferred")}[second] == "4.3.2"


# proves: H08
def test_recipients_over_the_limit_of_a_store_go_in_another_transaction(scene):
    store, recipients = scene.stores["socket.test"], addresses("socket.test", *(f"n{n}" for n in range(5)))
    store.rule("rcpt", reply("452 4.5.3 too many"), match=lambda _, transaction: len(transaction.recipients) == 2)
    letter = scene.send(recipients)
    scene.wait_settled(letter)
    assert [count(store, letter, recipient) for recipient in recipients] == [1] * 5
    assert [len(t.recipients) for t in store.taken() if t.ledger_id == letter.ledger_id] == [2, 2, 1]
    assert scene.told(letter, "deferred") == []
