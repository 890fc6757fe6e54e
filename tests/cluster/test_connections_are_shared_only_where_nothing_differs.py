"""A connection carries mail of other queues only if host, policy, login and source address would be the same for them; and logins stay with their host."""

import pytest
from post import Post, parse_line

from harness import wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import ScriptedSink, reply

HOST, LOGIN, HOME = "127.0.1.1", "127.0.1.2", "127.0.0.9"
USERS = {"relay": "s3cret, and more", **{name: f"word of {name}" for name in ("other", "plain", "login", "busy")}}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    authority = Authority(str(tmp_path_factory.mktemp("authority")))
    pem = authority.issue("mx.host.test", "smart.test")
    zone = Zone(ttl=1).a("mx.host.test", HOST).a("also.host.test", HOST).a("smart.test", LOGIN).a("fake.test", LOGIN)
    with Dns(zone) as dns, ScriptedSink([HOST, HOME], tls=pem) as sink, \
            ScriptedSink([LOGIN], port=sink.port, tls=pem, users=USERS) as smart:
        at = f"mx.host.test:{sink.port}"
        smart_at = f"smart.test:{sink.port}"

        def login(user, **more):
            return {"hosts": [smart_at], "user": user, "password": USERS.get(user, "wrong"), **more}

        settings = {
            "courier": {"port": sink.port, "idle_time": "20s", "routes": {
                "origin.test": f"{HOME}:{sink.port}", "one.test": at, "two.test": at, "strict.test": "strict", "named.test": f"also.host.test:{sink.port}",
                "scram.test": "scram", "same.test": "scram", "plain.test": "plain", "login.test": "login", "other.test": "other",
                "wrong.test": "wrong", "busy.test": "busy", "open.test": f"{smart_at}", "fake.test": "fake"}},
            "transports": {"strict": {"hosts": [at], "tls": "encrypt"}, "scram": login("relay"), "plain": login("plain", mechanisms=["PLAIN"]),
                           "login": login("login", mechanisms=["LOGIN"]), "other": login("other"), "wrong": login("nobody"), "busy": login("busy"),
                           "fake": {**login("relay"), "hosts": [f"fake.test:{sink.port}"]}},
            "lanes": {"bulk": {"senders": ["bulk@origin.test"], "pool": "bulk"}},
            "pools": {"bulk": {"addresses": ["127.0.4.1"]}},
            "tls_out": {"ca": authority.ca}}
        with Cluster(settings=settings, dns_port=dns.port) as cluster:
            post = Post(cluster, sink)
            post.smart = smart
            yield post
            cluster.wait_empty()


def at_smart(scene, letter, timeout=30):
    found = scene.smart.wait_for(lambda t: t.taken and t.ledger_id == letter.ledger_id, timeout, f"{letter.ledger_id}; {scene.told(letter)[-2:]}")
    scene.cluster.wait_empty()  # the connection rests
    return found


def deliver(scene, recipient, **more):
    session = scene.wait_delivered(scene.send(recipient, **more)).session
    scene.cluster.wait_empty()
    return session


# proves: H15
def test_mail_of_another_domain_shares_a_connection_where_nothing_differs(scene):
    assert deliver(scene, "r@one.test") is deliver(scene, "r@two.test")


# proves: H15
@pytest.mark.parametrize("recipient, sender", [("r@strict.test", "s@origin.test"), ("r@named.test", "s@origin.test"), ("r@two.test", "bulk@origin.test")],
                         ids=["policy", "name", "source"])
def test_a_connection_is_not_shared_where_something_differs(scene, recipient, sender):
    first, other = deliver(scene, "r@one.test"), deliver(scene, recipient, sender=sender)
    assert first is not other and first.host == other.host and first.closed_at is None
    assert deliver(scene, recipient, sender=sender) is other, "each rests for its own"


# proves: H15 H20
def test_a_connection_with_a_login_is_shared_by_those_who_have_the_same(scene):
    first = at_smart(scene, scene.send("r@scram.test")).session
    assert (first.user, first.mechanism) == ("relay", "SCRAM-SHA-256") and first.tls
    assert at_smart(scene, scene.send("r@same.test")).session is first
    other = at_smart(scene, scene.send("r@other.test")).session
    assert other is not first and other.user == "other"


# proves: H20 H15
def test_mail_without_a_login_never_goes_over_a_connection_that_has_one(scene):
    at_smart(scene, scene.send("r@scram.test"))
    letter = scene.send("r@open.test")
    assert "530" in scene.wait_returned(letter).of("r@open.test")["Diagnostic-Code"]


# proves: H20
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_each_mechanism_that_is_allowed_logs_in(scene, mechanism):
    session = at_smart(scene, scene.send(f"r@{mechanism.lower()}.test")).session
    assert session.mechanism == mechanism and session.tls


# proves: H20 D12
def test_a_wrong_password_is_a_fault_of_the_settings_and_no_bounce(scene):
    letter = scene.send("r@wrong.test")
    told = scene.wait_told(letter, "deferred", 2)
    assert told[0]["status"] == "4.7.8" and scene.reports(letter) == []
    _, match = scene.cluster.wait_log("courier", "event=login_failed.*")
    assert parse_line(match.group(0))["user"] == "nobody"
    for node in scene.cluster.nodes:
        assert not any(password in node.log_text() for password in USERS.values())
    scene.cluster.reload({"transports": {"wrong": {"user": "relay", "password": USERS["relay"]}}})
    assert at_smart(scene, letter).session.user == "relay"


# proves: H20
def test_a_login_is_told_to_no_host_of_another_name(scene):
    before = len(scene.smart.sessions)
    letter = scene.send("r@fake.test")
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.5"
    assert not any(command.startswith("AUTH") for session in scene.smart.sessions[before:] for command in session.commands)
    scene.cluster.baridctl("queue", "delete", "fake.test", "--yes")
    scene.dropped.add((letter.ledger_id, "r@fake.test"))


# proves: H20
@pytest.mark.parametrize("text, sender", [("454 4.7.0 not now", "s@origin.test"), ("421 4.3.2 going down", "bulk@origin.test")])
def test_a_login_that_is_put_off_puts_the_mail_off(scene, text, sender):
    rule = scene.smart.rule("auth", reply(text))
    letter = scene.send("r@busy.test", sender=sender)
    told = scene.wait_told(letter, "deferred")[0]
    assert told["status"].startswith("4.") and scene.reports(letter) == []
    scene.smart.clear(rule)
    at_smart(scene, letter)


# proves: H20
def test_a_key_that_is_known_is_not_derived_again(scene):
    scene.cluster.reload({"courier": {"idle_time": "100ms"}})
    try:
        sessions = set()
        for _ in range(3):
            session = at_smart(scene, scene.send("r@scram.test")).session
            wait.until(lambda session=session: session.closed_at, 20, "the end of its idle time")
            sessions.add(session)
        assert len(sessions) == 3 and all(session.mechanism == "SCRAM-SHA-256" for session in sessions)
    finally:
        scene.cluster.reload({"courier": {"idle_time": "20s"}})
