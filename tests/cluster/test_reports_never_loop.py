"""Mail of the null sender is reported to nobody, or to the postmaster once; a notification is never reported, whatever its sender has become."""

import signal

import pytest
from post import Places, Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.ledger import parse_reports
from harness.sink import ScriptedSink, reply

POSTMASTER = "postmaster@origin.test"


@pytest.fixture(scope="module")
def scene():
    places = Places(20)
    with ScriptedSink(places.hosts()) as sink:
        sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda session, _: session.host != places.HOME)
        with Cluster(couriers=2, settings={"courier": {"routes": places.routes(sink.port)}}) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def tell(scene, address):
    """Puts dsn.double_bounces in force."""
    couriers = scene.cluster.of("courier")
    before = [node.log_text().count("event=config_loaded") for node in couriers]
    scene.cluster.write_settings({"dsn": {"double_bounces": address}})
    for node, count in zip(couriers, before):
        node.process.signal(signal.SIGHUP)
        wait.until(lambda node=node, count=count: node.log_text().count("event=config_loaded") > count, 20, "the settings in force")


def drop(scene, letter):
    for recipient in letter.recipients:
        scene.dropped.add((letter.ledger_id, recipient))


# proves: K03
def test_nobody_is_told_of_mail_of_the_null_sender(scene, place):
    tell(scene, "")
    before = scene.cluster.metric("barid_dsn_dropped_total", "courier")
    letter = scene.send([place.address("a"), place.address("b")], sender="")
    drop(scene, letter)
    dropped, = scene.wait_told(letter, "dsn_dropped")
    assert (dropped["why"], dropped["recipients"]) == ("the sender is null", "2")
    scene.wait_settled(letter)
    assert scene.cluster.metric("barid_dsn_dropped_total", "courier") == before + 2 and scene.reports(letter) == []
    assert "no dsn: the sender is null" in scene.cluster.baridctl("trace", letter.message_id)


# proves: K03
def test_the_postmaster_is_told_where_that_is_wanted(scene, place):
    tell(scene, POSTMASTER)
    letter = scene.send(place.address(), sender="")
    report = scene.wait_returned(letter)
    assert report.transaction.recipients == [POSTMASTER] and report.transaction.sender == ""
    assert report.message["From"].addresses[0].username == "double-bounce" and report.message["To"] == POSTMASTER
    assert report.of(place.address())["Action"] == "failed" and "null sender" in report.message["Subject"]
    scene.wait_settled(letter)
    assert len(scene.reports(letter)) == 1


# proves: K03 K23
def test_what_the_postmaster_does_not_take_ends_there(scene, place):
    tell(scene, place.address("postmaster"))
    before = scene.cluster.metric("barid_dsn_total", "courier")
    letter = scene.send(scene.places.take().address(), sender="")
    drop(scene, letter)
    scene.cluster.wait_log("courier", r'event=dsn_dropped .*why="it is about mail of the null sender already"')
    scene.wait_settled(letter)
    assert scene.cluster.metric("barid_dsn_total", "courier") == before + 1


# proves: K03
def test_a_report_that_fails_is_told_to_the_postmaster(scene, place):
    tell(scene, POSTMASTER)
    letter = scene.send(place.address(), sender=scene.places.take().address("gone"))
    drop(scene, letter)
    found = wait.until(lambda: next((t for t in scene.sink.taken() if t.recipients == [POSTMASTER] and letter.ledger_id.encode() in t.content), None), 30,
                       "the double bounce")
    assert Report(found).recipients == [letter.sender]
    scene.wait_settled(letter)


# proves: K23
@pytest.mark.parametrize("sender", ["mailer-daemon@origin.test", "who@origin.test"])
def test_a_notification_with_a_new_sender_is_not_reported(scene, place, sender):
    """A peer forwards ours, or another's, and puts a sender where there must be none."""
    tell(scene, "")
    ours = scene.wait_returned(scene.send(place.address())).transaction.content
    theirs = (b"From: daemon@elsewhere.test\r\nAuto-Submitted: auto-replied\r\nContent-Type: multipart/report;\r\n report-type=delivery-status;"
              b" boundary=x\r\n\r\n--x\r\n\r\nno\r\n--x--\r\n")
    for content in (ours, theirs):
        header, _, body = content.partition(b"\r\n\r\n")
        letter = scene.send(scene.places.take().address(), sender=sender, header=header + b"\r\n", body=body)
        drop(scene, letter)
        dropped, = scene.wait_told(letter, "dsn_dropped")
        assert dropped["why"] == "it is a notification itself"
        scene.wait_settled(letter)
        assert not any(r.ledger_id == letter.ledger_id for t in scene.sink.taken() for r in parse_reports(t.content))


# proves: K23 K01
def test_other_mail_of_programs_is_reported(scene, place):
    letter = scene.send(place.address(), header=b"Auto-Submitted: auto-generated\r\nPrecedence: bulk\r\n")
    assert scene.wait_returned(letter).of(place.address())["Action"] == "failed"
