"""
The generator and the ledger, with nothing but a sink between them: what is lost, doubled or made up is found,
the rest is explained.
"""

import time

import pytest

from harness import sink as scripts
from harness.generator import Generator, content
from harness.ledger import Faults, Ledger, parse_reports
from harness.sink import ScriptedSink


def make(number):
    return "s@origin.test", [f"r{number}@one.test", f"r{number}@two.test"]


def run(sink, limit=60, **more):
    with Generator([("127.0.0.1", sink.port)], make, sessions=6, limit=limit, linger=0.005, retry_after=0.02,
                   **more) as generator:
        generator.wait_done(60)
    return generator


def test_plain_run_balances():
    with ScriptedSink() as sink:
        generator = run(sink)
        ledger = Ledger([generator], [sink]).assert_balanced()
        assert len(ledger.acknowledged) == 120 and "delivered 120" in ledger.text()


def test_temporary_and_permanent_refusals_are_not_acknowledged():
    with ScriptedSink() as sink:
        sink.rule("rcpt", scripts.reply("550 5.1.1 no"), recipient="r3@two.test")
        sink.rule("rcpt", scripts.reply("450 4.2.1 later"), domain="two.test", times=5)
        sink.rule("dot", scripts.reply("451 4.3.0 later"), times=5)
        sink.rule("mail", scripts.reply("421 4.3.2 bye", then_drop=True), times=2)
        generator = run(sink)
        ledger = Ledger([generator], [sink]).assert_balanced()
        assert len(ledger.acknowledged) == 119
        assert [item.refused for item in generator.items if item.refused] == [{"r3@two.test": "550 5.1.1 no"}]


def test_lost_replies_explain_second_copies():
    with ScriptedSink() as sink:
        sink.rule("dot", scripts.drop(), times=7)
        ledger = Ledger([run(sink)], [sink]).assert_balanced()
        assert len(ledger.explained) == 14 and "second copies 14, explained 14" in ledger.text()


def test_a_loss_is_found():
    with ScriptedSink() as sink:
        sink.rule("dot", scripts.stall(0.001))
        generator = run(sink)
        sink.transactions.pop(5)
        with pytest.raises(AssertionError, match="2 lost"):
            Ledger([generator], [sink]).assert_balanced()
        Ledger([generator], [sink], queued=2).assert_balanced()
        with pytest.raises(AssertionError, match="only 2 are missing"):
            Ledger([generator], [sink], queued=3).assert_balanced()


def twice(sink, message_id=None):
    """The first message once more, as a relay would that forgot it had sent it."""
    first = sink.transactions[0]
    again = scripts.Transaction(first.session, first.sender, "")
    again.__dict__.update(first.__dict__, dot_at=time.monotonic(), replied_at=time.monotonic())
    first.message_id, again.message_id = "A" * 26, message_id or "A" * 26
    sink.transactions.append(again)
    return first


def test_a_second_copy_without_a_fault_is_found():
    with ScriptedSink() as sink:
        generator = run(sink)
        twice(sink)
        with pytest.raises(AssertionError, match="delivered again without a fault"):
            Ledger([generator], [sink]).assert_balanced()


def test_a_second_commit_without_a_retry_is_found():
    with ScriptedSink() as sink:
        generator = run(sink)
        twice(sink, "B" * 26)
        with pytest.raises(AssertionError, match="2 messages from 1 possible commits"):
            Ledger([generator], [sink]).assert_balanced()


def test_a_courier_killed_at_an_open_dot_explains_the_second_copy():
    with ScriptedSink() as sink:
        generator = run(sink)
        first = twice(sink)
        faults = Faults()
        faults.note("courier", "courier1", 1).at = first.replied_at + 0.1
        first.session.closed_at = first.replied_at + 0.1
        Ledger([generator], [sink], faults).assert_balanced()
        # Another courier's connection outlives the fault, and a dispatcher's end explains nothing.
        first.session.closed_at = first.replied_at + 60
        with pytest.raises(AssertionError, match="without a fault"):
            Ledger([generator], [sink], faults).assert_balanced()
        first.session.closed_at = first.replied_at + 0.1
        faults[0].role = "dispatcher"
        with pytest.raises(AssertionError, match="without a fault"):
            Ledger([generator], [sink], faults).assert_balanced()


def test_only_the_courier_that_sent_the_copy_explains_the_next():
    with ScriptedSink() as sink:
        generator = run(sink)
        first = twice(sink)
        first.session.helo = "courier2.relay.test"
        faults = Faults()
        stop = faults.note("courier", "courier1", 1, "stop")
        stop.at, stop.ended_at = first.dot_at - 5, first.replied_at + 5
        with pytest.raises(AssertionError, match="without a fault"):
            Ledger([generator], [sink], faults).assert_balanced()
        stop.name = "courier2"
        Ledger([generator], [sink], faults).assert_balanced()
        stop.at, stop.ended_at = first.replied_at, first.replied_at + 1.0
        with pytest.raises(AssertionError, match="without a fault"):
            Ledger([generator], [sink], faults).assert_balanced()


def test_damaged_content_is_found():
    def damaged(number):
        return "s@origin.test", ["r@one.test"], content(f"d-{number}", "s@origin.test", ["r@one.test"]).replace(b"xyz", b"xyy", 1)

    with ScriptedSink() as sink, Generator([("127.0.0.1", sink.port)], damaged, limit=1, prefix="d") as generator:
        generator.wait_done()
        with pytest.raises(AssertionError, match="arrived damaged"):
            Ledger([generator], [sink]).assert_balanced()


def test_mail_with_a_null_sender_is_mail():
    with ScriptedSink() as sink, Generator([("127.0.0.1", sink.port)], lambda number: ("", [f"r{number}@one.test"]), limit=3) as generator:
        generator.wait_done()
        assert len(Ledger([generator], [sink]).assert_balanced().copies) == 3


def test_a_redis_outage_keeps_the_dot_open():
    with ScriptedSink() as sink:
        generator = run(sink)
        first = twice(sink)
        first.session.closed_at = first.replied_at + 5
        faults = Faults()
        outage = faults.note("redis", "redis", 1)
        outage.at, outage.ended_at = first.replied_at + 0.1, first.replied_at + 4.5
        with pytest.raises(AssertionError, match="without a fault"):
            Ledger([generator], [sink], faults).assert_balanced()
        kill = faults.note("courier", "courier1", 1)
        kill.at = kill.ended_at = first.replied_at + 5
        Ledger([generator], [sink], faults).assert_balanced()


DSN = b"""\
From: Mail Delivery System <mailer-daemon@relay.test>\r
To: s@origin.test\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
It failed.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; relay.test\r
\r
Final-Recipient: rfc822; r1@one.test\r
Action: failed\r
Status: 5.1.1\r
\r
Final-Recipient: rfc822; r1@two.test\r
Action: failed\r
Status: 5.1.2\r
--b\r
Content-Type: text/rfc822-headers\r
\r
X-Ledger-Id: x-1\r
Subject: test\r
\r
--b--\r
"""


def test_reports_are_read():
    first, second = parse_reports(DSN)
    assert (first.ledger_id, first.recipient, first.status) == ("x-1", "r1@one.test", "5.1.1")
    assert (second.recipient, second.action) == ("r1@two.test", "failed")
    assert parse_reports(content("x-1", "a@b.test", ["c@d.test"])) == []
