"""
Sequences that some server takes for the end of a message: none of them makes two messages of one, on the way into barid or out of it, at a
Postfix that is set to believe them all.
"""

import re
import socket

import pytest

from harness import wait
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
        settings = {"courier": {"routes": {"one.test": f"127.0.0.1:{receiver.port}"}}}
        listeners = {"refuse": {"role": "relay", "trusted_networks": ["127.0.0.0/8"]}, "normalise": {"role": "internal", "bare_lf": "normalise"}}
        with Cluster(settings=settings, listeners=listeners) as cluster:
            yield cluster, receiver


def say(client, octets, code=None):
    """Says it and reads one reply; b"" when the connection was closed."""
    try:
        client.sendall(octets)
        reply = b""
        while not re.search(rb"(?m)^\d{3} .*\n\Z", reply):
            piece = client.recv(4096)
            if not piece:
                return b""
            reply += piece
    except ConnectionError:
        return b""
    assert code is None or reply.startswith(code), reply
    return reply


def attack(address, name, end, with_chunks=False):
    """One message whose content holds `end` and commands behind it; the reply to it."""
    content = b"Subject: " + name + b"\r\n\r\nbefore" + end + _SMUGGLED
    with socket.create_connection(address, timeout=30) as client:
        say(client, b"", b"220")
        say(client, b"EHLO client.test\r\n", b"250")
        say(client, b"MAIL FROM:<s@origin.test>\r\n", b"250")
        say(client, b"RCPT TO:<r@one.test>\r\n", b"250")
        if with_chunks:
            return say(client, b"BDAT %d LAST\r\n" % (len(content) + len(_ENDING)) + content + _ENDING)
        say(client, b"DATA\r\n", b"354")
        return say(client, content + _ENDING)


def is_from_smuggler(message):
    return b"Subject: smuggled" in message.split(b"\n\n", 1)[0]


# proves: B30
@pytest.mark.parametrize("with_chunks", [False, True], ids=["data", "bdat"])
@pytest.mark.parametrize("policy", ["refuse", "normalise"])
def test_no_sequence_makes_a_second_message(relay, policy, with_chunks):
    cluster, receiver = relay
    names = []
    for number, end in enumerate(_ENDS):
        name = f"{policy}-{'bdat' if with_chunks else 'data'}-{number}-".encode()
        reply = attack(cluster.address(policy), name, end, with_chunks)
        has_bare_lf_only = b"\0" not in end and b"\r" not in end.replace(b"\r\n", b"")
        assert reply[:3] == (b"250" if policy == "normalise" and has_bare_lf_only else b"554"), (end, reply)
        if reply[:3] == b"250":
            names.append(name)
    cluster.wait_empty()
    subject = f"Subject: {policy}-{'bdat' if with_chunks else 'data'}-".encode()
    wait.until(lambda: sum(subject in message for message in receiver.messages()) >= len(names), 20, "all in the mailbox")
    copies = [message for message in receiver.messages() if subject in message]
    assert len(copies) == len(names) == (3 if policy == "normalise" else 0)
    assert all(b"\nMAIL FROM:<evil@origin.test>" in message for message in copies)  # what came behind it is text of the same message
    assert not any(is_from_smuggler(message) for message in receiver.messages())


# proves: B30
def test_no_sequence_passes_from_postfix_through_barid(relay):
    cluster, receiver = relay
    strict = {"smtpd_forbid_bare_newline": "yes", "smtpd_forbid_bare_newline_exclusions": "", "smtpd_forbid_unauth_pipelining": "no", "smtpd_data_restrictions": ""}
    with Postfix.client(*cluster.address("refuse"), settings=strict) as client:
        replies = [attack((client.host, client.port), b"through-%d-" % number, end) for number, end in enumerate(_ENDS)]
        client.process.wait_until(lambda: client.queue_size() == 0, 60, "an empty queue at Postfix")
    cluster.wait_empty()
    copies = [message for message in receiver.messages() if b"Subject: through-" in message]
    taken = [reply for reply in replies if reply.startswith(b"250")]
    assert taken and all(reply.count(b"\r\n") == 1 for reply in taken)  # else Postfix itself took two of one
    assert len(copies) <= len(taken)
    assert not any(is_from_smuggler(message) for message in receiver.messages())
