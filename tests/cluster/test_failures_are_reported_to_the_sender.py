"""Every failure after 250 comes back to the sender once, in a form that a MIME library and a mail program understand."""

import email.utils
import re
import smtplib
import time

import pytest
from post import Places, Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply


@pytest.fixture(scope="module")
def scene():
    places = Places(40)
    with ScriptedSink(places.hosts()) as sink:
        routes = {**places.routes(sink.port), "returns.test": f"{places.HOME}:{sink.port}"}
        settings = {"courier": {"port": sink.port, "routes": routes}, "retry": {"first": "100ms", "longest": "300ms", "lifetime": "1s", "bounce_lifetime": "1s"},
                    "dsn": {"from_name": "The post office"}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


@pytest.fixture
def refusing(scene, place):
    """A place whose hosts refuse every recipient."""
    for host in (place.first, place.second):
        scene.sink.rule("rcpt", reply("550-5.1.1 no such user\n550 5.1.1 here"), host=host)
    return place


# proves: K02 K04 K05 K06 K10
def test_a_report_has_all_its_parts(scene, refusing):
    letter = scene.send(refusing.address(), sender="writer@returns.test", header=b"Message-ID: <original@returns.test>\r\nSubject: hello\r\n")
    report = scene.wait_returned(letter)
    assert report.transaction.sender == "" and report.transaction.recipients == ["writer@returns.test"]
    message = report.message
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    assert [part.get_content_type() for part in report.parts] == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert message["MIME-Version"] == "1.0" and message["To"] == "writer@returns.test" and message["Subject"]
    assert message["From"].startswith("The post office <MAILER-DAEMON@courier")
    assert message["Auto-Submitted"].startswith("auto-") and re.fullmatch(r"<[^<> ]+@courier\d\.relay\.test>", message["Message-ID"])
    assert message["In-Reply-To"] == message["References"] == "<original@returns.test>"
    assert abs(email.utils.parsedate_to_datetime(message["Date"]).timestamp() - time.time()) < 60
    assert not [defect for part in message.walk() for defect in part.defects]
    about = report.per_message
    assert re.fullmatch(r"dns; courier\d\.relay\.test", about["Reporting-MTA"]) and email.utils.parsedate_to_datetime(about["Arrival-Date"])
    assert about["Original-Envelope-Id"] is None
    block = report.of(refusing.address())
    assert (block["Action"], block["Status"]) == ("failed", "5.1.1") and block["Final-Recipient"] == f"rfc822; {refusing.address()}"
    assert block["Remote-MTA"] == f"dns; {refusing.first}" and block["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user 5.1.1 here"
    assert email.utils.parsedate_to_datetime(block["Last-Attempt-Date"]) and block["Will-Retry-Until"] is None
    assert refusing.address() in report.words and "no such user" in report.words


# proves: K11
def test_the_original_comes_back_octet_by_octet(scene, refusing):
    body = b"line\r\n.\r\n..dots \t \r\n" + "Grüße\r\n".encode() + b"x" * 998 + b"\r\n"
    report = scene.wait_returned(scene.send(refusing.address(), body=body, options=("BODY=8BITMIME",)))
    content = report.transaction.content
    start = content.index(b"Content-Type: message/rfc822")
    inner = content[content.index(b"\r\n\r\n", start) + 4:content.rindex(b"\r\n--")]
    assert inner.endswith(body) or inner.endswith(body[:-2])
    assert b"X-Ledger-Id" in inner and b"\r\n.\r\n" in inner
    assert "BODY=8BITMIME" in report.transaction.arguments


# proves: K11
@pytest.mark.parametrize("size", [60 << 10, 600 << 10])
def test_a_large_original_comes_back_as_its_header(scene, refusing, size):
    report = scene.wait_returned(scene.send(refusing.address(), header=b"Subject: large\r\n", body=(b"z" * 70 + b"\r\n") * (size // 72)))
    assert report.parts[2].get_content_type() == "text/rfc822-headers"
    assert "Subject: large" in report.parts[2].get_payload() and "zzzz" not in report.parts[2].get_payload()
    assert len(report.transaction.content) < 65536


# proves: K15
@pytest.mark.parametrize("header, body", [
    (b"Subject: eight bit \xfc\xe9\xff\r\n", b"body\r\n"), (b"Subject: ok\r\n", b"l" * 3000 + b"\r\n"), (b"X-Long: " + b"h" * 3000 + b"\r\n", b"body\r\n"),
    (b"Content-Type: multipart/mixed; boundary=never-ends\r\n", b"--never-ends\r\n\r\n--never-ends\r\n"),
    (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", b"not base64 at all\r\n"),
    (b"".join(b"X-Field-%d: %s\r\n" % (n, b"v" * 60) for n in range(1000)), b"body\r\n"),
    (b"Message-ID: <not\r\n an id>\r\n", b"--=_\r\n--=_--\r\n"), (b"no colon here\r\n", b""), (b"", b"\xff\xfe" * 400 + b"\r\n")])
def test_hostile_originals_give_well_formed_reports(scene, refusing, header, body):
    letter = scene.send(refusing.address(), header=header, body=body, options=("BODY=8BITMIME",))
    report = scene.wait_returned(letter)
    assert len(report.parts) == 3 and report.recipients == [refusing.address()]
    assert not report.message.defects and not report.parts[0].defects and not report.parts[1].defects
    content = report.transaction.content
    assert max(len(line) for line in content.split(b"\r\n")) <= 998 and b"\0" not in content
    assert b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b"")
    if any(octet > 127 for octet in content):
        assert report.message["Content-Transfer-Encoding"] == "8bit" and "BODY=8BITMIME" in report.transaction.arguments


# proves: K09
def test_one_report_for_one_attempt_and_another_for_a_later_one(scene, place):
    bad, worse, later, good = (place.address(name) for name in ("bad", "worse", "later", "good"))
    for recipient in (bad, worse):
        scene.sink.rule("rcpt", reply("550 5.1.1 no"), recipient=recipient)
    scene.sink.rule("rcpt", reply("450 4.2.1 wait"), recipient=later, times=1)
    scene.sink.rule("rcpt", reply("550 5.7.1 never"), recipient=later)
    letter = scene.send([bad, later, good, worse])
    wait.until(lambda: len(scene.reports(letter)) == 2, 20, "two reports")
    first, second = (sorted(Report(t).recipients) for t in scene.reports(letter))
    assert first == sorted([bad, worse]) and second == [later]
    scene.wait_delivered(letter, good)


# proves: K01 K09
def test_recipients_of_several_queues_are_reported_each_once(scene, refusing):
    other = scene.places.take()
    scene.sink.rule("rcpt", reply("553 5.1.3 bad mailbox"), host=other.first)
    letter = scene.send([refusing.address("a"), refusing.address("b"), other.address("c")])
    wait.until(lambda: len(scene.reports(letter)) == 2, 20, "two reports")
    scene.wait_settled(letter)
    named = [recipient for t in scene.reports(letter) for recipient in Report(t).recipients]
    assert sorted(named) == sorted([refusing.address("a"), refusing.address("b"), other.address("c")])


# proves: K07
@pytest.mark.parametrize("text, status", [("550 5.1.10 null", "5.1.10"), ("550 no code", "5.0.0"), ("552 big", "5.2.2"), ("553 name", "5.1.3"),
                                          ("556 null mx", "5.1.10"), ("550 2.0.0 liar", "5.0.0"), ("550 5.1.1x no code", "5.0.0")])
def test_the_status_is_the_remotes_or_made_of_its_code(scene, place, text, status):
    scene.sink.rule("rcpt", reply(text), host=place.first)
    block = scene.wait_returned(scene.send(place.address())).of(place.address())
    assert block["Status"] == status and block["Diagnostic-Code"] == f"smtp; {text}"


# proves: J02 K07 K21
def test_expired_mail_is_reported_with_how_long_it_was_tried_and_the_last_answer(scene, place):
    for host in (place.first, place.second):
        scene.sink.rule("rcpt", reply("451 4.7.1 greylisted forever"), host=host)
    report = scene.wait_returned(scene.send(place.address()))
    block = report.of(place.address())
    assert block["Action"] == "failed" and block["Status"] in ("5.4.7", "4.7.1", "4.4.7")
    assert block["Diagnostic-Code"] == "smtp; 451 4.7.1 greylisted forever" and block["Remote-MTA"] == f"dns; {place.first}"
    assert re.search(r"tried\s+\d+\s+times\s+over\s+\d+\s+second", report.words) and "greylisted forever" in report.words
    assert place.first in report.words


# proves: K03 J03
def test_a_report_that_cannot_be_delivered_ends_there(scene, refusing):
    before = scene.cluster.metric("barid_dsn_total", "courier")
    unwilling = scene.places.take()
    scene.sink.rule("rcpt", reply("550 5.1.1 sender unknown"), host=unwilling.first)
    letter = scene.send(refusing.address(), sender=unwilling.address("gone"))
    scene.dropped.add((letter.ledger_id, refusing.address()))
    wait.until(lambda: scene.cluster.metric("barid_dsn_total", "courier") == before + 1, 20, "one report made")
    scene.cluster.wait_log("courier", rf"event=dsn_dropped .*why=\"the sender is null\"")
    scene.cluster.wait_empty()
    assert scene.cluster.metric("barid_dsn_total", "courier") == before + 1 and scene.reports(letter) == []


# proves: J03 K03
def test_mail_of_a_null_sender_is_given_up_after_its_own_time(scene, place):
    for host in (place.first, place.second):
        scene.sink.rule("rcpt", reply("451 4.7.1 never"), host=host)
    letter = scene.send(place.address(), sender="")
    scene.dropped.add((letter.ledger_id, place.address()))
    before = scene.cluster.metric("barid_dsn_total", "courier")
    scene.wait_told(letter, "dsn_dropped")
    scene.cluster.wait_empty()
    assert scene.cluster.metric("barid_dsn_total", "courier") == before and scene.copies(letter) == []


# proves: K01 K02
def test_a_sender_at_an_address_literal_gets_its_report(scene, refusing):
    letter = scene.send(refusing.address(), sender=f"writer@[{scene.places.HOME}]")
    assert scene.wait_returned(letter).transaction.recipients == [f"writer@[{scene.places.HOME}]"]


# proves: K20
def test_mail_refused_at_the_door_is_not_reported_as_well(scene):
    before = scene.cluster.metric("barid_dsn_total", "courier")
    with smtplib.SMTP(*scene.cluster.addresses[0]) as client:
        client.ehlo("client.test")
        assert client.mail("s@origin.test", ["SIZE=99999999999"])[0] == 552
        assert client.mail("s@origin.test")[0] == 250
        assert client.rcpt("not an address")[0] >= 500
    scene.cluster.wait_empty()
    assert scene.cluster.metric("barid_dsn_total", "courier") == before


# proves: K22 A12
def test_reports_are_made_once_though_couriers_are_killed(scene):
    scene.sink.rule("rcpt", reply("550 5.1.1 no"), match=lambda session, _: session.host != scene.places.HOME)
    places = [scene.places.take() for _ in range(4)]
    letters = []
    for _ in range(3):
        letters += scene.send_many([places[n % 4].address(f"r{n}") for n in range(30)])
        scene.cluster.restart(scene.cluster.kill("courier"))
    scene.cluster.wait_empty(60)
    for letter in letters:  # a report whose own courier died behind its dot may come twice: it is one report all the same
        assert len({email.message_from_bytes(report.content)["Message-ID"] for report in scene.reports(letter)}) == 1, letter.ledger_id
