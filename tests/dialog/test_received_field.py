"""Our Received field in every kind of session, read by Python's mail parser and by the grammar of RFC 5321 section 4.4."""

import email
import email.policy
import email.utils
import os
import re
import tempfile
import time

import pytest

from harness import paths
from harness.authority import Authority
from test_ingress import ask, end_data
from test_sessions import BEHIND, greeted, ingress, plain, proxy

pytestmark = pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")

USER, PASSWORD = b"anna(Anna)@b.example", b"her secret"
LISTENERS = {
    "relay": {"role": "relay"},
    "sub": {"role": "submission"},
    "bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes"},
    "behind": {**BEHIND, "trusted_networks": ["192.0.2.0/24", "2001:db8::/32"]},
    "filter": {"role": "relay", "xclient": ["127.0.0.0/8"], "trusted_networks": ["127.0.0.0/8", "2001:db8::/32"]},
}
FIELD = re.compile(r"from (?P<helo>\S+) by (?P<by>\S+) with (?P<protocol>\S+) id (?P<id>\S+)(?: for <(?P<recipient>(?:\"(?:[^\"\\]|\\.)*\"|[^\"<>])+)>)?")
LONG = "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 61


@pytest.fixture(scope="module")
def place():
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        with ingress(LISTENERS, {"tls": {"certificates": [authority.issue("mx.test")]}}) as cluster:
            cluster.add_user(USER.decode(), PASSWORD.decode(), "--senders", "*")
            cluster.authority = authority
            yield cluster


def without_comments(text):
    """The text and its comments, told apart by the rules of RFC 5322: comments nest, a quoted text has none."""
    plain_text, comments, depth, is_quoted, at = "", [], 0, False, 0
    while at < len(text):
        char = text[at]
        if char == "\\" and (depth or is_quoted):
            char = text[at:at + 2]
        if char == '"' and not depth:
            is_quoted = not is_quoted
        if char == "(" and not is_quoted:
            comments += [""] if depth == 0 else []
            depth += 1
        if depth:
            comments[-1] += char
        else:
            plain_text += char
        if char == ")" and not is_quoted:
            depth -= 1
            assert depth >= 0, text
        at += len(char)
    assert depth == 0 and not is_quoted, text
    return " ".join(plain_text.split()), comments


def sent(cluster, listener, header=b"", hello=b"EHLO client.example", tls=False, user=False, xclient=None, recipients=(b"c@d.example",), options=b""):
    """What is stored of a message of such a session."""
    client = greeted(cluster, listener, header)
    if tls:
        ask(client, b"EHLO before.example", b"250")
        ask(client, b"STARTTLS", b"220")
        client.start_tls(cluster.authority.client())
    if xclient:
        ask(client, b"EHLO filter.example", b"250")
        ask(client, b"XCLIENT " + xclient, b"220")
    ask(client, hello, b"250")
    if user:
        ask(client, plain(USER, PASSWORD), b"235")
    ask(client, b"MAIL FROM:<a@b.example>" + options, b"250")
    for recipient in recipients:
        ask(client, b"RCPT TO:<" + recipient + b">", b"250")
    ask(client, b"DATA", b"354")
    ulid = end_data(client, b"Subject: x\r\nDate: Sun, 22 Nov 2026 07:15:45 +0000\r\nMessage-ID: <a@b>\r\n\r\nx\r\n")
    with cluster.redis.client() as redis:
        return ulid.decode(), redis.get(redis.keys(b"b:*:" + ulid + b".0:0")[0])


# name: (how it is sent, what the field must say)
CASES = {
    "helo": ({"listener": "relay", "hello": b"HELO client.example"}, {"helo": "client.example", "protocol": "SMTP", "from": "unknown [127.0.0.1]", "recipient": "c@d.example"}),
    "ehlo": ({"listener": "relay"}, {"protocol": "ESMTP"}),
    "literal": ({"listener": "relay", "hello": b"EHLO [IPv6:2001:db8::1]"}, {"helo": "[IPv6:2001:db8::1]"}),
    "scope": ({"listener": "relay", "hello": b"EHLO [IPv6:fe80::1%1]"}, {}),
    "tls": ({"listener": "relay", "tls": True}, {"protocol": "ESMTPS", "helo": "client.example"}),
    "auth": ({"listener": "bare", "user": True}, {"protocol": "ESMTPA"}),
    "tls and auth": ({"listener": "sub", "tls": True, "user": True}, {"protocol": "ESMTPSA"}),
    "utf8": ({"listener": "relay", "options": b" SMTPUTF8"}, {"protocol": "UTF8SMTP"}),
    "utf8, tls": ({"listener": "relay", "tls": True, "options": b" SMTPUTF8"}, {"protocol": "UTF8SMTPS"}),
    "utf8, auth": ({"listener": "bare", "user": True, "options": b" SMTPUTF8"}, {"protocol": "UTF8SMTPA"}),
    "utf8, tls, auth": ({"listener": "sub", "tls": True, "user": True, "options": b" SMTPUTF8", "recipients": ["gr\u00e5@gr\u00e5.example".encode()]}, {"protocol": "UTF8SMTPSA"}),
    "balancer": ({"listener": "behind", "header": proxy(b"192.0.2.7")}, {"from": "unknown [192.0.2.7]"}),
    "balancer, IPv6": ({"listener": "behind", "header": b"PROXY TCP6 2001:db8::7 2001:db8::25 40000 25\r\n"}, {"from": "unknown [IPv6:2001:db8::7]"}),
    "xclient": ({"listener": "filter", "xclient": b"NAME=mail.client.example ADDR=IPV6:2001:db8::9"}, {"from": "mail.client.example [IPv6:2001:db8::9]"}),
    "xclient, no name": ({"listener": "filter", "xclient": b"NAME=[UNAVAILABLE] ADDR=127.0.0.5"}, {"from": "unknown [127.0.0.5]"}),
    "two recipients": ({"listener": "relay", "recipients": [b"c@d.example", b"e@d.example"]}, {"recipient": None}),
    "odd recipient": ({"listener": "relay", "recipients": [b'"a)(;> \\" b"@d.example']}, {"recipient": '"a)(;> \\" b"@d.example'}),
    "long": ({"listener": "relay", "hello": b"EHLO " + LONG.encode(), "recipients": [b"l" * 64 + b"@" + b"d" * 63 + b".example"]}, {"helo": LONG}),
}


# proves: G01 G02 G08 G09 N09
@pytest.mark.parametrize("name", CASES)
def test_it_is_read_by_others(place, name):
    how, wanted = CASES[name]
    ulid, content = sent(place, **how)
    message = email.message_from_bytes(content, policy=email.policy.SMTP)
    assert not message.defects and len(message.get_all("Received")) == 1 and message.keys()[0] == "Received"
    value, _, date = message["Received"].rpartition(";")
    text, comments = without_comments(value)
    fields = FIELD.fullmatch(text)
    assert fields, text
    found = {**fields.groupdict(), "from": comments[0][1:-1]}
    assert (found["by"], found["id"]) == ("ingress1.relay.test", ulid)
    assert {key: found[key] for key in wanted} == wanted
    assert (len(comments) == 2) == ("S" in found["protocol"].partition("SMTP")[2]), comments  # version and cipher
    assert abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time()) < 120
    raw = re.match(rb"Received:[^\n]*\n(?:[ \t][^\n]*\n)*", content).group(0)
    words = max(len(word) for word in raw.split())
    assert all(len(line) <= max(78, 8 + words + 1) for line in raw.split(b"\r\n")), raw
    assert b"Anna" not in raw and max(raw) < 0x80
