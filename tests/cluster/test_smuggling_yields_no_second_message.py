"""
Sequences that some server takes for the end of a message: none of them makes two messages of one, on the way into barid or out of it, at a
Postfix that is set to believe them all.
"""

import itertools
import smtplib
import socket

import pytest

from harness import ports
from harness.cluster import Cluster
from harness.postfix import Postfix

# BEHAVIOURS B30; each also with a NUL after each octet.
_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\0.\0\n", b"\r\0\n.\r\0\n"]
_SMUGGLED = b"MAIL FROM:<evil@origin.test>\r\nRCPT TO:<r@one.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nsmuggled\r\n"
_ENDING = b"\r\n.\r\n"
# The Postfix of before 2024: any line end will do, and clients may talk ahead.
_GULLIBLE = {"smtpd_forbid_bare_newline": "no", "smtpd_forbid_unauth_pipelining": "no", "smtpd_data_restrictions": ""}


@pytest.fixture(scope="module")
def relay():
    with Postfix.receiver(["one.test"], settings=_GULLIBLE) as receiver:
        strict, lenient = ports.free_port(), ports.free_port()
        settings = {"courier": {"routes": {"one.test": f"127.0.0.1:{receiver.port}"}},
                    "listeners": {"relay": {"address": [f"127.0.0.1:{strict}"], "role": "relay"},
                                  "devices": {"address": [f"127.0.0.1:{lenient}"], "role": "internal", "bare_lf": "normalise"}}}
        with Cluster(settings=settings) as cluster:
            yield cluster, receiver, {"refuse": strict, "normalise": lenient}


def lines_of(client, octets, code):
    """Says it and reads one reply; b"" when the connection was closed."""
    try:
        client.sendall(octets)
        reply = b""
        while not reply.endswith(b"\n"):
            piece = client.recv(4096)
            if not piece:
                return b""
            reply += piece
    except ConnectionError:
        return b""
    assert code is None or reply.startswith(code), reply
    return reply


def attack(port, name, end, with_chunks):
    """One message whose content holds `end` and commands behind it; b"" or the last reply."""
    content = b"Subject: " + name + b"\r\n\r\nbefore" + end + _SMUGGLED
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        assert client.recv(4096).startswith(b"220")
        client.sendall(b"EHLO client.test\r\n")
        while not any(line.startswith(b"250 ") for line in client.recv(4096).splitlines()):
            pass
        lines_of(client, b"MAIL FROM:<s@origin.test>\r\n", b"250")
        lines_of(client, b"RCPT TO:<r@one.test>\r\n", b"250")
        if with_chunks:
            return lines_of(client, b"BDAT %d LAST\r\n" % (len(content) + len(_ENDING)) + content + _ENDING, None)
        lines_of(client, b"DATA\r\n", b"354")
        return lines_of(client, content + _ENDING, None)


# proves: B30
@pytest.mark.parametrize("with_chunks", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize("policy", ["refuse", "normalise"])
def test_no_sequence_makes_a_second_message(relay, policy, with_chunks):
    cluster, receiver, listeners = relay
    accepted = []
    for number, end in enumerate(_ENDS):
        name = f"{policy}-{'bdat' if with_chunks else 'data'}-{number}".encode()
        reply = attack(listeners[policy], name, end, with_chunks)
        assert reply[:3] in (b"", b"250", b"554", b"550"), (end, reply)
        is_plain = not with_chunks and b"\0" not in end and b"\r" not in end.replace(b"\r\n", b"")
        assert (reply[:3] == b"250") == (policy == "normalise" and (is_plain or (with_chunks and end.replace(b"\r\n", b"").strip(b"\n.") == b""))), (end, reply)
        if reply[:3] == b"250":
            accepted.append(name)
    cluster.wait_empty()
    copies = [message for message in receiver.messages() if any(b"Subject: " + name + b"\r\n" in message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
                                                               for name in accepted)]
    assert len(copies) == len(accepted)
    assert all(b"\nMAIL FROM:<evil@origin.test>" in message for message in copies)  # what came behind it is text of the same message
    assert not any(message.split(b"\n\n", 1)[0].count(b"Subject: smuggled") for message in receiver.messages())


# proves: B30
def test_no_sequence_passes_from_postfix_through_barid(relay):
    cluster, receiver, listeners = relay
    before = len(receiver.messages())
    with Postfix.client("127.0.0.1", listeners["refuse"], settings={"smtpd_forbid_bare_newline": "yes", "smtpd_discard_ehlo_keywords": "chunking",
                                                                    "virtual_mailbox_domains": "origin.test"}) as client:
        for number, end in itertools.product([1], _ENDS):
            try:
                with smtplib.SMTP(client.host, client.port, timeout=20) as session:
                    session.ehlo("client.test")
                    session.mail("s@origin.test")
                    session.rcpt("r@one.test")
                    assert session.docmd("DATA")[0] == 354
                    session.sock.sendall(b"Subject: through\r\n\r\nbefore" + end + _SMUGGLED + _ENDING)
                    session.getreply()
            except (smtplib.SMTPServerDisconnected, ConnectionError):
                continue
        client.process.wait_until(lambda: client.queue_size() == 0, 60, "an empty queue at Postfix")
    cluster.wait_empty()
    fresh = receiver.messages()[before:]
    assert not any(message.split(b"\n\n", 1)[0].count(b"Subject: smuggled") for message in fresh)
