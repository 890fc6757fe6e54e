"""What a sender asks for in RET, ENVID, NOTIFY and ORCPT is passed on to hosts that offer DSN, and done by us for those that do not."""

import smtplib

import pytest
from post import Places, Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.ledger import Ledger
from harness.sink import DEFAULT_FEATURES, ScriptedSink, reply

ASKED = ("RET=HDRS", "ENVID=QQ+2B7")


@pytest.fixture(scope="module")
def scene():
    places, knowing = Places(30), Places(4)
    knowing_hosts = [f"127.0.3.{n + 1}" for n in range(len(knowing.all))]
    with ScriptedSink(places.hosts()) as sink, ScriptedSink(knowing_hosts, features=[*DEFAULT_FEATURES, "DSN"]) as dsn_sink:
        routes = {**places.routes(sink.port), **{f"knowing{n + 1}.test": f"{host}:{dsn_sink.port}" for n, host in enumerate(knowing_hosts)}}
        settings = {"courier": {"routes": routes}, "retry": {"first": "100ms", "longest": "300ms"}, "dsn": {"delay_after": "300ms"}}
        with Cluster(couriers=2, settings=settings, listeners={"relay": {"role": "relay"}}) as cluster:
            post = Post(cluster, sink)
            post.places, post.dsn_sink = places, dsn_sink
            yield post
            cluster.wait_empty()
            Ledger([post], [sink, dsn_sink], cluster.faults, dropped=post.dropped).assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def refuse(scene, place):
    for host in (place.first, place.second):
        scene.sink.rule("rcpt", reply("550 5.1.1 no such user"), host=host)


# proves: K13 H04
def test_a_host_that_offers_dsn_is_told_everything(scene):
    letter = scene.send("r@knowing1.test", options=ASKED, wishes=("NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;R+2Bx@old.test"))
    taken = scene.dsn_sink.wait_for(lambda t: t.taken and t.ledger_id == letter.ledger_id)
    assert {"RET=HDRS", "ENVID=QQ+2B7"} <= set(taken.arguments.split())
    assert taken.wishes["r@knowing1.test"] == "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;R+2Bx@old.test"
    scene.wait_settled(letter)
    assert scene.reports(letter) == [], "the next host tells of it"


# proves: K13
def test_each_recipient_keeps_its_own(scene):
    letter = scene.letter(["a@knowing2.test", "b@knowing2.test", "c@knowing3.test"])
    with smtplib.SMTP(*scene.cluster.addresses[0]) as client:
        client.ehlo("client.test")
        client.rcpt_plain = client.rcpt
        wishes = iter((["NOTIFY=NEVER"], ["ORCPT=rfc822;b@was.test"], ["NOTIFY=FAILURE"]))
        client.rcpt = lambda address, _: client.rcpt_plain(address, next(wishes))
        scene.hand_over(client, letter, ("ENVID=each",))
    wait.until(lambda: len([t for t in scene.dsn_sink.taken() if t.ledger_id == letter.ledger_id]) == 2, 20, "both parts")
    told = {}
    for taken in scene.dsn_sink.taken():
        if taken.ledger_id == letter.ledger_id:
            assert "ENVID=each" in taken.arguments and "RET=" not in taken.arguments
            told.update(taken.wishes)
    assert told == {"a@knowing2.test": "NOTIFY=NEVER", "b@knowing2.test": "ORCPT=rfc822;b@was.test", "c@knowing3.test": "NOTIFY=FAILURE"}


# proves: K13 K12 K05 K06 K07
def test_success_is_told_by_us_where_the_host_will_not(scene, place):
    letter = scene.send([place.address("a"), place.address("b")], options=ASKED, wishes=("NOTIFY=SUCCESS", "ORCPT=rfc822;A+2Bx@old.test"),
                        header=b"Subject: told\r\n", body=b"the body\r\n")
    assert "ENVID" not in scene.wait_delivered(letter).arguments
    report = scene.wait_returned(letter)
    assert sorted(report.recipients) == [place.address("a"), place.address("b")]
    assert report.per_message["Original-Envelope-Id"] == "QQ+7"
    block = report.of(place.address("a"))
    assert (block["Action"], block["Status"][0], block["Original-Recipient"]) == ("relayed", "2", "rfc822; A+x@old.test")
    assert "Subject: told" in report.parts[2].as_string() and "the body" not in report.parts[2].as_string()
    scene.wait_settled(letter)
    assert len(scene.reports(letter)) == 1


# proves: K12 K01
@pytest.mark.parametrize("notify", ["NEVER", "SUCCESS", "SUCCESS,DELAY"])
def test_a_failure_is_not_told_to_who_did_not_ask_for_it(scene, place, notify):
    refuse(scene, place)
    letter = scene.send(place.address(), wishes=(f"NOTIFY={notify}",))
    scene.dropped.add((letter.ledger_id, place.address()))
    scene.wait_settled(letter)
    assert scene.reports(letter) == [] and "not to be told" in scene.told(letter, "dsn_dropped")[0]["why"]


# proves: K12
@pytest.mark.parametrize("wishes", [(), ("NOTIFY=FAILURE",), ("NOTIFY=SUCCESS,FAILURE",)])
def test_a_failure_is_told_to_who_asked_for_it_or_said_nothing(scene, place, wishes):
    refuse(scene, place)
    report = scene.wait_returned(scene.send(place.address(), wishes=wishes))
    assert report.of(place.address())["Action"] == "failed" and report.per_message["Original-Envelope-Id"] is None


# proves: K12 K09
def test_success_and_failure_of_one_attempt_are_one_report(scene, place):
    scene.sink.rule("rcpt", reply("550 5.1.1 no"), recipient=place.address("bad"))
    report = scene.wait_returned(scene.send([place.address("good"), place.address("bad")], wishes=("NOTIFY=SUCCESS,FAILURE",)))
    assert {r: report.of(r)["Action"] for r in report.recipients} == {place.address("bad"): "failed", place.address("good"): "relayed"}


# proves: K11
@pytest.mark.parametrize("ret, whole", [("FULL", True), ("HDRS", False)])
def test_the_original_comes_back_as_asked(scene, place, ret, whole):
    refuse(scene, place)
    report = scene.wait_returned(scene.send(place.address(), options=(f"RET={ret}",), body=b"the body\r\n"))
    assert ("the body" in report.parts[2].as_string()) == whole
    assert report.parts[2].get_content_type() == ("message/rfc822" if whole else "text/rfc822-headers")


# proves: K12 J07
def test_a_delay_is_told_once_to_who_asked_for_it(scene, place):
    wanted, unwanted = place.address("wanted"), scene.places.take().address("unwanted")
    scene.sink.rule("rcpt", reply("451 4.2.1 wait"), recipient=wanted)
    scene.sink.rule("rcpt", reply("451 4.2.1 wait"), recipient=unwanted)
    letter = scene.send(wanted, wishes=("NOTIFY=DELAY",))
    silent = scene.send(unwanted, wishes=("NOTIFY=FAILURE",))
    report = scene.wait_returned(letter)
    block = report.of(wanted)
    assert (block["Action"], block["Status"]) == ("delayed", "4.2.1") and block["Will-Retry-Until"]
    assert "could not be delivered" not in report.message["Subject"]
    tries = len(scene.told(letter, "deferred"))
    scene.wait_told(letter, "deferred", tries + 3)
    scene.wait_told(silent, "deferred", 3)
    assert len(scene.reports(letter)) == 1 and scene.reports(silent) == []
    scene.sink.clear()
    scene.wait_delivered(letter)
    scene.wait_delivered(silent)


# proves: K22 A06
def test_success_is_told_once_though_recipients_come_one_by_one(scene, place):
    """The first is recorded by a note, and told with the rest."""
    later = place.address("later")
    scene.sink.rule("rcpt", reply("451 4.2.1 wait"), recipient=later, times=1)
    letter = scene.send([place.address("a"), later], wishes=("NOTIFY=SUCCESS",))
    scene.wait_delivered(letter, later)
    scene.wait_settled(letter)
    wait.until(lambda: len(scene.reports(letter)) == 2, 20, "a report for each attempt")
    assert sorted(sum((Report(t).recipients for t in scene.reports(letter)), [])) == sorted([place.address("a"), later])


# proves: K12
def test_null_senders_are_never_told(scene, place):
    letter = scene.send(place.address(), sender="", wishes=("NOTIFY=SUCCESS",))
    before = scene.cluster.metric("barid_dsn_total", "courier")
    scene.wait_told(letter, "delivered")
    scene.wait_settled(letter)
    assert scene.cluster.metric("barid_dsn_total", "courier") == before
