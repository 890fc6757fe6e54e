"""Mail that takes long is told of once: to who asked, and as the settings say to who did not; never where nobody reads it."""

import signal
import smtplib

import pytest
from post import Places, Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

USER = ("writer@origin.test", "a long password")


@pytest.fixture(scope="module")
def scene():
    places = Places(40)
    with ScriptedSink(places.hosts()) as sink:
        sink.rule("rcpt", reply("451 4.2.1 wait"), match=lambda session, _: session.host != places.HOME)
        settings = {"courier": {"routes": places.routes(sink.port)}, "retry": {"first": "100ms", "longest": "200ms"},
                    "dsn": {"delay_after": "300ms", "warn_unasked": "all"}}
        listeners = {"relay": {"role": "relay", "auth": "offered", "auth_without_tls": True}}
        with Cluster(settings=settings, listeners=listeners) as cluster:
            cluster.add_user(*USER, "--senders", "*")
            post = Post(cluster, sink)
            post.places = places
            yield post
            sink.clear()
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def warn(scene, whom):
    """Puts dsn.warn_unasked in force."""
    node = scene.cluster.node("courier1")
    before = node.log_text().count("event=config_loaded")
    scene.cluster.write_settings({"dsn": {"warn_unasked": whom}})
    node.process.signal(signal.SIGHUP)
    wait.until(lambda: node.log_text().count("event=config_loaded") > before, 20, "the settings in force")


def tried_on(scene, letter):
    """It has been put off some more times after it was late enough to be told of."""
    late = wait.until(lambda: [line for line in scene.told(letter, "deferred") if int(line["delay_ms"]) >= 300], 30, "a late deferral")
    scene.wait_told(letter, "deferred", len(scene.told(letter, "deferred")) + 2)
    return late


# proves: J07 K12
def test_who_said_nothing_is_told_once(scene, place):
    warn(scene, "all")
    letter = scene.send([place.address("a"), place.address("b")])
    report = scene.wait_returned(letter)
    assert sorted(report.recipients) == [place.address("a"), place.address("b")]
    block = report.of(place.address("a"))
    assert (block["Action"], block["Status"]) == ("delayed", "4.2.1") and block["Will-Retry-Until"]
    assert report.parts[2].get_content_type() == "text/rfc822-headers"
    tried_on(scene, letter)
    assert len(scene.reports(letter)) == 1


# proves: J07
@pytest.mark.parametrize("header", [b"Precedence: bulk\r\n", b"Precedence: list\r\n", b"Precedence: junk\r\n", b"Auto-Submitted: auto-generated\r\n",
                                    b"List-Id: News <news.origin.test>\r\n", b"X-A: b\r\nAuto-Submitted:\r\n auto-replied; x=y\r\n"])
def test_programs_and_lists_are_not_told(scene, place, header):
    warn(scene, "all")
    letter = scene.send(place.address(), header=header)
    tried_on(scene, letter)
    assert scene.reports(letter) == []


# proves: J07
def test_a_null_sender_is_never_told(scene, place):
    warn(scene, "all")
    letter = scene.send(place.address(), sender="")
    before = scene.cluster.metric("barid_dsn_total", "courier")
    tried_on(scene, letter)
    assert scene.cluster.metric("barid_dsn_total", "courier") == before


# proves: J07 K12
def test_who_asked_for_something_else_is_not_told(scene, place):
    warn(scene, "all")
    letters = [scene.send(place.address(name), wishes=(f"NOTIFY={wish}",)) for name, wish in (("n", "NEVER"), ("f", "FAILURE"), ("s", "SUCCESS"))]
    for letter in letters:
        tried_on(scene, letter)
        assert scene.reports(letter) == []


# proves: J07 K12
def test_who_asked_is_told_whatever_the_mail_is(scene, place):
    warn(scene, "none")
    letter = scene.send(place.address(), wishes=("NOTIFY=DELAY",), header=b"Precedence: bulk\r\n")
    assert scene.wait_returned(letter).of(place.address())["Action"] == "delayed"


# proves: J07
@pytest.mark.parametrize("whom, is_user, is_told", [("users", True, True), ("users", False, False), ("none", True, False)])
def test_the_settings_say_who_is_told_unasked(scene, place, whom, is_user, is_told):
    warn(scene, whom)
    letter = scene.letter(place.address(), sender=USER[0])
    with smtplib.SMTP(*scene.cluster.addresses[0], timeout=60) as client:
        client.ehlo("client.test")
        if is_user:
            client.login(*USER)
        scene.hand_over(client, letter)
    if is_told:
        assert scene.wait_returned(letter).of(place.address())["Action"] == "delayed"
    else:
        tried_on(scene, letter)
        assert scene.reports(letter) == []


# proves: J07 K09
def test_a_failure_after_a_delay_is_told_as_well(scene, place):
    warn(scene, "all")
    letter = scene.send(place.address())
    scene.wait_returned(letter)
    scene.cluster.baridctl("msg", "bounce", letter.message_id, "--yes")
    wait.until(lambda: len(scene.reports(letter)) == 2, 20, "both reports")
    assert [Report(t).of(place.address())["Action"] for t in scene.reports(letter)] == ["delayed", "failed"]
