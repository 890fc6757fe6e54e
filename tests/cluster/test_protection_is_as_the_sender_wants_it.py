"""TLS-Required: No lets mail pass where a policy fails, alone; REQUIRETLS goes over proven sessions to hosts that pass it on, and nowhere else."""

import smtplib

import pytest
from dane_scene import open_scene

from harness.authority import Authority
from harness.sink import DEFAULT_FEATURES, drop, reply

NO = b"TLS-Required: No\r\n"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    door = Authority(str(tmp_path_factory.mktemp("door")), "door")
    listeners = {"relay": {"address": ["127.0.0.1:0"]},
                 "secure": {"address": ["127.0.0.1:0"], "certificates": [door.issue("localhost")]}}

    def prepare(scene):
        scene.settings.update({"listeners": listeners, "courier": {"idle_time": "20s"}})
        scene.places = {name: scene.place(name) for name in ("good", "bad", "shared", "closed", "plain", "mixed", "barred", "deaf", "both", "torn", "kept")}
        for name in ("bad", "shared", "closed", "mixed"):
            scene.places[name].publish(scene.places[name].bad())
        for name in ("good", "both", "deaf"):
            scene.places[name].publish(scene.places[name].good())
        for name in ("barred", "kept"):
            scene.places[name].publish(scene.places[name].good())
            scene.zone.bogus(f"_tcp.{scene.places[name].host}")
        scene.zone.unsigned("plain.test")
        scene.zone.mx("both.test", (5, scene.places["deaf"].host))
        scene.sink.features.append("REQUIRETLS")
        scene.sink.rule("ehlo", reply("250-sink.test\n" + "\n".join(f"250-{feature}" for feature in DEFAULT_FEATURES) + "\n250 HELP"),
                        host=scene.places["deaf"].address, match=lambda session, _: session.tls)

    with open_scene(12, prepare=prepare) as opened:
        opened.door = door
        yield opened


def send_protected(scene, place, header=b""):
    letter = scene.post.letter(place.recipient(), header=header)
    with smtplib.SMTP("localhost", scene.cluster.address("secure")[1], timeout=60) as client:
        client.starttls(context=scene.door.client())
        client.ehlo("client.test")
        scene.post.hand_over(client, letter, ("REQUIRETLS",))
    return letter


def give_up(scene, letter):
    """Nothing will become of it."""
    for recipient in letter.recipients:
        scene.cluster.baridctl("queue", "delete", recipient.partition("@")[2], "--yes")
        scene.post.dropped.add((letter.ledger_id, recipient))


# proves: L16
@pytest.mark.parametrize("name", ["bad", "barred"])
def test_mail_that_needs_no_tls_goes_where_the_policy_fails_and_no_other(scene, name):
    place = scene.places[name]
    waiting = scene.send(place)
    scene.assert_waits(waiting)
    letter = scene.send(place, header=NO)
    assert scene.post.wait_delivered(letter).session.tls, "TLS as it comes"
    assert scene.post.wait_told(letter, "delivered")[0]["proof"] == "no"
    assert scene.post.copies(waiting) == []
    give_up(scene, waiting)


# proves: L16
def test_mail_that_a_policy_keeps_is_told_so_while_other_mail_passes(scene):
    """A connection that rests for mail without TLS is nothing to wait for."""
    place = scene.places["kept"]
    scene.post.wait_delivered(scene.send(place, header=NO))
    waiting = scene.send(place)
    scene.post.wait_told(waiting, "deferred", timeout=8)
    give_up(scene, waiting)


# proves: L16 H15
def test_a_connection_without_policy_is_not_for_other_mail(scene):
    place = scene.places["shared"]
    session = scene.post.wait_delivered(scene.send(place, header=NO)).session
    letter = scene.send(place)
    scene.assert_waits(letter)
    assert len(session.transactions) == 1
    scene.post.wait_delivered(scene.send(place, header=NO))
    assert scene.post.copies(letter) == []
    give_up(scene, letter)


# proves: L16
def test_mail_that_needs_no_tls_is_delivered_at_once(scene):
    letter = scene.send(scene.places["mixed"], header=NO)
    scene.post.wait_delivered(letter)
    assert scene.post.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: L16 L01
def test_mail_that_needs_no_tls_goes_plain_where_no_handshake_succeeds(scene):
    place = scene.places["closed"]
    scene.sink.rule("handshake", drop(), host=place.address)
    assert scene.post.wait_delivered(scene.send(place, header=NO)).session.tls is None


# proves: L16
def test_mail_that_needs_no_tls_is_protected_where_it_can_be(scene):
    scene.assert_goes(scene.send(scene.places["good"], header=NO), "dane")


# proves: L15
def test_mail_that_requires_tls_goes_over_proven_sessions(scene):
    letter = send_protected(scene, scene.places["good"])
    arrived = scene.post.wait_delivered(letter)
    assert arrived.session.tls and "REQUIRETLS" in arrived.arguments.split()
    assert scene.post.wait_told(letter, "delivered")[0]["proof"] == "dane"
    assert "REQUIRETLS" not in scene.post.wait_delivered(scene.send(scene.places["good"])).arguments


# proves: L15
def test_mail_that_requires_tls_tries_every_host_before_it_is_returned(scene):
    place = scene.places["both"]
    scene.assert_goes(scene.post.send(place.recipient()), "dane")  # a connection rests where REQUIRETLS is not offered
    letter = send_protected(scene, place)
    assert scene.post.wait_delivered(letter).session.host == place.address
    assert scene.post.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: L15 K17
def test_mail_that_requires_tls_is_returned_where_nothing_is_proven(scene):
    place = scene.places["plain"]
    session = scene.post.wait_delivered(scene.send(place)).session
    assert session.tls and session.closed_at is None  # it rests, and will not do
    letter = send_protected(scene, place)
    assert scene.post.wait_returned(letter).of(place.recipient())["Status"] == "5.7.30"
    assert scene.post.copies(letter) == []


# proves: L15
def test_a_handshake_that_breaks_once_returns_no_mail_that_requires_tls(scene):
    """Where nobody must be proven the next connection goes without TLS: that says nothing of what the host can do."""
    place = scene.places["torn"]
    scene.sink.rule("handshake", drop(), host=place.address, times=1)
    letter = send_protected(scene, place)
    scene.post.wait_told(letter, "deferred")
    scene.reload()  # routes are looked for anew
    assert scene.post.wait_delivered(letter).session.tls
    assert not scene.post.told(letter, "bounced")


# proves: L15 L16
def test_a_header_takes_no_protection_away(scene):
    place = scene.places["bad"]
    letter = send_protected(scene, place, header=NO)
    scene.assert_waits(letter)
    give_up(scene, letter)
