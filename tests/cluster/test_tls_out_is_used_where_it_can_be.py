"""TLS to mail hosts: used where it is offered, demanded where the settings say so, and never a reason to lose or to expose mail."""

import pytest
from post import Places, Post, parse_line

from harness import wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, drop, garbage, reply, stall

MAY, ENCRYPT, VERIFY, WRONG, FINGERPRINT, NONE = range(6)
KINDS = {ENCRYPT: "encrypt", VERIFY: "verify mx.right.test", WRONG: "verify mx.wrong.test", NONE: "none"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authority")
    authority, stranger = Authority(str(folder), "known"), Authority(str(folder), "stranger")
    pem = authority.issue("mx.right.test")
    places = Places(84)
    kinds = {kind: [places.take() for _ in range(14)] for kind in range(6)}
    policies = {place.domain: KINDS.get(kind, f"fingerprint {authority.fingerprint(pem)}")
                for kind, all_of in kinds.items() for place in all_of if kind != MAY}
    with ScriptedSink(places.hosts(), tls=pem) as sink:
        sink.secure(None, places.HOME)
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port), "idle_time": "300ms"},
                    "tls_out": {"policies": policies, "ca": authority.ca, "handshake_timeout": "500ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.kinds, post.pem, post.stranger, post.authority = kinds, pem, stranger, authority
            yield post
            post.assert_balanced()


def take(scene, kind):
    return scene.kinds[kind].pop()


def lines(scene, event):
    return [parse_line(line) for node in scene.cluster.of("courier") for line in node.log_text().splitlines() if f"event={event}" in line]


def sessions(scene, host):
    return [session for session in scene.sink.sessions if session.host == host]


# proves: L01 H04
def test_tls_is_used_where_it_is_offered_and_told(scene):
    place = take(scene, MAY)
    letter = scene.send(place.address())
    arrived = scene.wait_delivered(letter)
    assert arrived.session.tls["version"] == "TLSv1.3"
    assert [command.split()[0] for command in arrived.session.commands[:3]] == ["EHLO", "STARTTLS", "EHLO"]
    told = scene.wait_told(letter, "delivered")[0]
    assert told["tls"].split() == [arrived.session.tls["version"], arrived.session.tls["cipher"]] and told["proof"] == "no"
    scene.cluster.wait_empty()
    assert f"{told['tls']}, proof: no" in scene.cluster.baridctl("trace", letter.message_id)


# proves: L01
def test_whoever_signed_the_certificate_does_not_matter_where_none_is_asked_for(scene):
    for kind in (MAY, ENCRYPT):
        place = take(scene, kind)
        scene.sink.secure(scene.stranger.issue("somebody.else.test"), place.first)
        arrived = scene.wait_delivered(scene.send(place.address()))
        assert arrived.session.tls and arrived.session.host == place.first


# proves: L01 L17
def test_no_tls_where_the_settings_forbid_it(scene):
    place = take(scene, NONE)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.tls is None
    assert "tls" not in scene.wait_told(letter, "delivered")[0]


FAILURES = {
    "stripped": None,
    "refused for now": ("starttls", reply("454 4.7.0 no TLS today")),
    "refused": ("starttls", reply("502 5.5.1 what?")),
    "garbage": ("handshake", garbage(b"\x16\x03 this is no TLS\r\n")),
    "words": ("handshake", garbage(b"250 go on then\r\n")),
    "closed": ("handshake", drop()),
    "stalled": ("handshake", stall(3600)),
}


def break_tls(scene, host, failure):
    """Returns what mends it."""
    if FAILURES[failure] is None:
        scene.sink.secure(None, host)
        return lambda: scene.sink.secure(scene.pem, host)
    rule = scene.sink.rule(*FAILURES[failure], host=host)
    return lambda: scene.sink.clear(rule)


# proves: L01 L03 H24
@pytest.mark.parametrize("failure", FAILURES)
def test_where_tls_is_no_must_mail_goes_plain_in_the_same_attempt(scene, failure):
    place = take(scene, MAY)
    break_tls(scene, place.first, failure)
    letter = scene.send(place.address())
    arrived = scene.wait_delivered(letter)
    assert arrived.session.host == place.first and arrived.session.tls is None
    told = scene.wait_told(letter, "delivered")[0]
    assert told["attempt"] == "1" and "tls" not in told and scene.told(letter, "deferred") == []
    if FAILURES[failure] and FAILURES[failure][0] == "handshake":
        failed = [line for line in lines(scene, "host_tls_failed") if line["queue"] == place.domain]
        assert len(failed) == 1 and failed[0]["next"] == "plain" and failed[0]["why"]
        assert "STARTTLS" not in arrived.session.commands


# proves: L03 L17 H24
@pytest.mark.parametrize("failure", FAILURES)
def test_where_tls_is_a_must_mail_waits_for_it(scene, failure):
    place = take(scene, ENCRYPT)
    mend = [break_tls(scene, host, failure) for host in (place.first, place.second)]
    letter = scene.send(place.address())
    told = scene.wait_told(letter, "deferred")[0]
    assert told["status"] == ("4.7.4" if failure in ("stripped", "refused for now", "refused") else "4.7.5")
    assert scene.copies(letter) == []
    assert not any(command.startswith("MAIL") for host in (place.first, place.second)
                   for session in sessions(scene, host) for command in session.commands)
    for undo in mend:
        undo()
    assert scene.wait_delivered(letter).session.tls


# proves: I13 L03
def test_the_next_host_is_tried_when_one_fails_its_tls_policy(scene):
    place = take(scene, VERIFY)
    scene.sink.secure(scene.stranger.issue("mx.right.test"), place.first)
    letter = scene.send(place.address())
    arrived = scene.wait_delivered(letter)
    assert arrived.session.host == place.second
    told = scene.wait_told(letter, "delivered")[0]
    assert told["attempt"] == "1" and told["proof"] == "name"


# proves: L18 L17
def test_a_certificate_of_another_name_proves_nothing(scene):
    place = take(scene, WRONG)
    letter = scene.send(place.address())
    told = scene.wait_told(letter, "deferred")[0]
    assert told["status"] == "4.7.5" and scene.copies(letter) == []
    scene.sink.secure(scene.authority.issue("mx.wrong.test"), place.second)
    assert scene.wait_delivered(letter).session.host == place.second


# proves: L17
def test_a_certificate_is_known_by_its_fingerprint(scene):
    place = take(scene, FINGERPRINT)
    letter = scene.send(place.address())
    scene.wait_delivered(letter)
    assert scene.wait_told(letter, "delivered")[0]["proof"] == "fingerprint"
    other = take(scene, FINGERPRINT)
    fresh = scene.authority.issue("mx.right.test")
    scene.sink.secure(fresh, other.first, other.second)
    letter = scene.send(other.address())
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.5"
    scene.sink.secure(scene.pem, other.first)
    scene.wait_delivered(letter)


# proves: L02
@pytest.mark.parametrize("kind", [MAY, ENCRYPT])
def test_what_stands_behind_the_answer_to_starttls_is_never_believed(scene, kind):
    place = take(scene, kind)
    rule = scene.sink.rule("starttls", garbage(b"220 2.0.0 go\r\n250-evil.test\r\n250 AUTH PLAIN\r\n"), host=place.first)
    letter = scene.send(place.address())
    arrived = scene.wait_delivered(letter)
    assert arrived.session.host == place.second and arrived.session.tls
    assert sessions(scene, place.first)[0].commands == [f"EHLO {arrived.session.helo}", "STARTTLS"]
    scene.sink.clear(rule)


# proves: L19
def test_a_session_is_resumed_and_one_that_fails_is_forgotten(scene):
    place = take(scene, ENCRYPT)

    def deliver():
        letter = scene.send(place.address())
        session = scene.wait_delivered(letter).session
        wait.until(lambda: session.closed_at, 10, "the end of its idle time")
        assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"
        return session

    assert not deliver().offers_ticket
    second = deliver()
    assert second.offers_ticket and second.tls["is_resumed"]
    scene.sink.rule("handshake", drop(), host=place.first, match=lambda session, _: session.offers_ticket)
    third = deliver()
    assert third.host == place.first and third.tls and not third.offers_ticket
    assert [line["next"] for line in lines(scene, "host_tls_failed") if line["queue"] == place.domain] == ["again, without the session it knew"]


# proves: H15
def test_a_session_is_not_shared_between_hosts_or_policies(scene):
    first, second = take(scene, MAY), take(scene, ENCRYPT)
    scene.wait_delivered(scene.send(first.address()))
    assert not scene.wait_delivered(scene.send(second.address())).session.offers_ticket


# proves: I13 H03
@pytest.mark.parametrize("greeting", ["421 4.3.2 too busy", "451 4.7.1 not you now", "554 5.7.1 never you"])
def test_the_next_host_is_tried_when_one_does_not_greet(scene, greeting):
    place = take(scene, NONE)
    scene.sink.rule("connect", reply(greeting, then_drop=True), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.second
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: H24 H17
def test_a_slow_handshake_delays_nobody_else(scene):
    slow, other = take(scene, ENCRYPT), take(scene, ENCRYPT)
    gate = Gate()
    rules = [scene.sink.rule("handshake", stall(gate=gate), host=host) for host in (slow.first, slow.second)]
    letter = scene.send(slow.address())
    gate.wait_held()
    for quick in scene.send_many([other.address(f"r{n}") for n in range(5)]):
        scene.wait_delivered(quick)
    scene.wait_told(letter, "deferred")
    gate.open()
    scene.sink.clear(*rules)
    scene.wait_delivered(letter)


# proves: L17
def test_another_policy_holds_at_once_without_a_restart(scene):
    place = take(scene, NONE)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None
    before = len(lines(scene, "config_loaded"))
    scene.cluster.reload({"tls_out": {"policies": {place.domain: "encrypt"}}})
    wait.until(lambda: len(lines(scene, "config_loaded")) > before, 10, "the new settings")
    assert scene.wait_delivered(scene.send(place.address())).session.tls


# proves: C08
def test_broken_settings_of_tls_leave_those_in_force(scene):
    scene.cluster.reload({"tls_out": {"certificate": "/nonexistent/own.pem"}})
    try:
        _, match = scene.cluster.wait_log("courier", "event=tls_out_refused.*")
        assert "/nonexistent/own.pem" in match.group(0)
        assert scene.wait_delivered(scene.send(take(scene, VERIFY).address())).session.tls
    finally:
        scene.cluster.reload({"tls_out": {"certificate": ""}})
