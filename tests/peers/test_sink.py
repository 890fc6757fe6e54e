"""The scripted sink keeps what it gets byte for byte, and misbehaves exactly where it is told to."""

import smtplib
import socket
import ssl
import threading

import pytest

from harness import sink as scripts
from harness import wait
from harness.authority import Authority
from harness.postfix import smtp_source
from harness.sink import Gate, ScriptedSink

CONTENT = b"X-Ledger-Id: a1\r\nSubject: x\r\n\r\n.dot\r\n..two\r\n\xff\x01 bytes\r\n"


def send(sink, content=CONTENT, recipients=("a@one.test",), host="127.0.0.1"):
    with smtplib.SMTP(host, sink.port, timeout=10) as connection:
        return connection.sendmail("s@origin.test", list(recipients), content)


def test_keeps_content_byte_for_byte():
    with ScriptedSink() as sink:
        send(sink)
        send(sink, b"")
        first, second = sink.taken()
        assert first.content == CONTENT and first.ledger_id == "a1" and first.sender == "s@origin.test"
        assert first.dot_at <= first.replied_at and first.reply == "250 2.0.0 Ok"
        assert second.content in (b"", b"\r\n")
        assert list(sink.copies())[0] == ("a1", "a@one.test")


def test_every_split_of_the_dot_is_seen():
    whole = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@one.test>\r\nDATA\r\nA: b\r\n\r\n..x\r\n.\r\nQUIT\r\n"
    with ScriptedSink() as sink:
        for cut in range(len(whole) - 20, len(whole)):
            with socket.create_connection(("127.0.0.1", sink.port)) as connection:
                connection.sendall(whole[:cut])
                connection.sendall(whole[cut:])
                connection.makefile("rb").read()
        assert {transaction.content for transaction in sink.taken()} == {b"A: b\r\n\r\n.x\r\n"}
        assert len(sink.taken()) == 20


def test_replies_by_recipient_domain_and_nth():
    with ScriptedSink() as sink:
        sink.rule("rcpt", scripts.reply("550 5.1.1 no such user"), recipient="bad@one.test")
        sink.rule("rcpt", scripts.reply("450 4.2.1 later"), domain="two.test", times=1)
        sink.rule("dot", scripts.reply("451 4.3.0 not now"), nth=2)
        refused = send(sink, recipients=["a@one.test", "bad@one.test", "b@two.test"])
        assert {name: code for name, (code, _) in refused.items()} == {"bad@one.test": 550, "b@two.test": 450}
        with pytest.raises(smtplib.SMTPDataError):
            send(sink, recipients=["b@two.test"])
        assert send(sink, recipients=["b@two.test"]) == {}
        assert len(sink.taken()) == 2 and len(sink.dots()) == 3


def test_drop_before_and_after_the_dot():
    with ScriptedSink() as sink:
        sink.rule("body", scripts.drop(after=1000), times=1)
        sink.rule("dot", scripts.drop(), times=1)
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
            send(sink, b"X-Ledger-Id: big\r\n\r\n" + b"x" * 70 * 100000)
        assert sink.dots() == []
        with pytest.raises(smtplib.SMTPServerDisconnected):
            send(sink)
        dropped, = sink.taken()
        assert dropped.replied_at is None and dropped.session.closed_at is not None


def test_greeting_garbage_split_and_close():
    with ScriptedSink() as sink:
        rule = sink.rule("connect", scripts.reply("554 5.3.2 go away", then_drop=True))
        with pytest.raises(smtplib.SMTPConnectError):
            send(sink)
        sink.clear(rule)
        sink.rule("ehlo", scripts.split())
        assert send(sink) == {}
        sink.rule("mail", scripts.garbage(b"\x00\xffgarbage\r\n"))
        with pytest.raises(smtplib.SMTPException):
            send(sink)


def test_gate_holds_the_dot_open():
    with ScriptedSink() as sink:
        gate = Gate()
        sink.rule("dot", scripts.stall(gate=gate))
        sender = threading.Thread(target=send, args=(sink,))
        sender.start()
        gate.wait_held()
        held, = sink.dots()
        assert held.replied_at is None
        gate.open()
        sender.join(10)
        wait.until(lambda: held.replied_at, 5, "the reply")


def test_several_hosts_and_a_load():
    with ScriptedSink(hosts=["127.0.0.1", "127.0.0.2"], keep=1 << 16) as sink:
        send(sink, host="127.0.0.2")
        smtp_source(sink.port, count=500, sessions=10)
        assert len(sink.wait_taken(501)) == 501
        assert {session.host for session in sink.sessions} == {"127.0.0.1", "127.0.0.2"}


# ---- TLS, AUTH, LMTP


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(str(tmp_path_factory.mktemp("authority")))


def inside(sink, authority, name="mx.one.test"):
    client = smtplib.SMTP("127.0.0.1", sink.port, timeout=10)
    client.ehlo("x.test")
    client._host = name  # the name asked for
    client.starttls(context=authority.client())
    client.ehlo("x.test")
    return client


def test_tls_begins_at_starttls_and_is_told(authority):
    with ScriptedSink(tls=authority.issue("mx.one.test")) as sink:
        with inside(sink, authority) as client:
            assert not client.has_extn("starttls")
            client.sendmail("s@origin.test", ["a@one.test"], CONTENT + b"y\r\n" * 200000)
        session = sink.taken()[0].session
        assert session.tls["version"] == "TLSv1.3" and session.sni == "mx.one.test" and sink.taken()[0].size > 600000
        sink.secure(None)
        with smtplib.SMTP("127.0.0.1", sink.port) as client:
            client.ehlo("x.test")
            assert not client.has_extn("starttls")


def test_tls_misbehaves_as_told(authority):
    with ScriptedSink(tls=authority.issue("mx.one.test")) as sink:
        for stage, action, error in (("starttls", scripts.reply("454 4.7.0 no"), smtplib.SMTPResponseException),
                                     ("handshake", scripts.garbage(b"this is no TLS at all"), ssl.SSLError),
                                     ("handshake", scripts.drop(), OSError)):
            sink.rule(stage, action, times=1)
            with pytest.raises(error):
                inside(sink, authority)
        sink.rule("starttls", scripts.garbage(b"220 go\r\n250 injected\r\n"))
        with socket.create_connection(("127.0.0.1", sink.port)) as connection:
            connection.sendall(b"EHLO x\r\nSTARTTLS\r\n")
            heard = b""
            while not heard.endswith(b"220 go\r\n250 injected\r\n"):
                heard += connection.recv(4096)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_who_logs_in_is_known(authority, mechanism):
    with ScriptedSink(tls=authority.issue("mx.one.test"), users={"ann": "a secret"}, mechanisms=[mechanism]) as sink:
        with smtplib.SMTP("127.0.0.1", sink.port) as client:
            client.ehlo("x.test")
            assert not client.has_extn("auth") and client.mail("s@origin.test")[0] == 530
        with inside(sink, authority) as client:
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("ann", "wrong")
            client.login("ann", "a secret")
            client.sendmail("s@origin.test", ["a@one.test"], CONTENT)
        assert (sink.taken()[0].session.user, sink.taken()[0].session.mechanism) == ("ann", mechanism)


def test_lmtp_answers_for_each_recipient(tmp_path):
    with ScriptedSink(path=str(tmp_path / "lmtp"), is_lmtp=True) as sink:
        sink.rule("dot", scripts.reply("552 5.2.2 full"), recipient="b@one.test")
        with smtplib.LMTP(str(tmp_path / "lmtp")) as client:
            client.sendmail("s@origin.test", ["a@one.test", "b@one.test"], CONTENT)  # it hears the first of them
            assert client.getreply() == (552, b"5.2.2 full")
        assert sink.taken()[0].recipients == ["a@one.test"]
