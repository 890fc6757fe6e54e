"""
Postfix runs from its unpacked package: it receives, relays as a client, and brings its load generator and
sink.
"""

import smtplib
import subprocess

from harness import wait
from harness.postfix import Postfix, SmtpSink, smtp_source
from harness.process import group_members


def swaks(port, recipient, body="hello"):
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", "--from", "swaks@origin.test", "--to",
                           recipient,
                           "--body", body, "--timeout", "20"], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, done.stdout.decode()


def test_receives_mail_of_smtp_source_and_of_swaks():
    with Postfix.receiver() as postfix:
        smtp_source(postfix.port, recipient="one@some.test")
        swaks(postfix.port, "two@other.test", "from swaks")
        messages = postfix.wait_messages(2)
        assert any(b"X-Original-To: one@some.test" in message for message in messages)
        assert any(b"from swaks" in message for message in messages)


def test_client_relays_everything_to_its_relay():
    with Postfix.receiver() as server, Postfix.client("127.0.0.1", server.port) as relay:
        with smtplib.SMTP("127.0.0.1", relay.port) as connection:
            connection.sendmail("a@origin.test", ["b@anywhere.test"], b"Subject: x\r\n\r\nthrough two\r\n")
        message, = server.wait_messages(1)
        assert message.count(b"Received:") == 2 and b"through two" in message


def test_tuned_relays_to_a_sink():
    with SmtpSink() as sink, Postfix.tuned(sink.port) as relay:
        smtp_source(relay.port, count=200, sessions=10)
        wait.until(lambda: relay.log_text().count("status=sent") == 200, 30, "200 delivered")
        wait.until(lambda: relay.queue_size() == 0, 20, "an empty queue: the sink has a message before qmgr removes it")


def test_smtp_sink_and_smtp_source_speak_to_each_other():
    with SmtpSink() as sink:
        assert smtp_source(sink.port, count=100, sessions=5) < 60
        assert smtp_source(sink.port, count=20, sessions=5, once=True) < 60


def test_nothing_is_left_running():
    postfix = Postfix.receiver().start()
    smtp_source(postfix.port)
    postfix.wait_messages(1)
    group = postfix.pid
    assert len(group_members(group)) > 1
    postfix.stop()
    assert group_members(group) == []
