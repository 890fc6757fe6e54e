"""What a submission listener adds to a message and takes out of it, and that nothing else of it changes; a relay changes nothing."""

import email.utils
import os
import re
import smtplib
import time

import pytest

from harness import paths
from harness.authority import Authority
from harness.cluster import Cluster
from harness.sink import ScriptedSink

USER, PASSWORD = "anna@ours.test", "correct horse battery"
_LISTENERS = {
    "submission": {"role": "submission"},
    "strict": {"role": "submission", "remove_bcc": True, "check_from": "on"},
    "relay": {"role": "relay"},
}
_RECEIVED = re.compile(rb"Received: [^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*")
_ADDED = re.compile(rb"Date: ([^\r\n]*)\r\nMessage-ID: <([^\r\n]*)>\r\n")


class Place:
    def __init__(self, cluster, sink, authority):
        self.cluster, self.sink, self.authority, self.count = cluster, sink, authority, 0

    def send(self, listener, content):
        """The reply to the dot, and a recipient that is new."""
        self.count += 1
        recipient = f"r{self.count}@one.test"
        with smtplib.SMTP(*self.cluster.address(listener), timeout=60, local_hostname="client.test") as client:
            if listener != "relay":
                client._host = "localhost"  # the name in the certificate
                client.starttls(context=self.authority.client())
                client.login(USER, PASSWORD)
            client.ehlo_or_helo_if_needed()
            assert client.mail(USER)[0] == 250
            assert client.rcpt(recipient)[0] == 250
            assert client.docmd("DATA")[0] == 354
            client.sock.sendall((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
            return (*client.getreply(), recipient)

    def through(self, listener, content):
        """What arrives below our Received field."""
        code, text, recipient = self.send(listener, content)
        assert code == 250, (code, text)
        arrived = self.sink.wait_for(lambda t: t.taken and recipient in t.recipients, 30, recipient).content
        received = _RECEIVED.match(arrived)
        assert received, arrived[:300]
        return arrived[received.end():]


@pytest.fixture(scope="module")
def place():
    authority = Authority(paths.scratch("authority"))
    settings = {"tls": {"certificates": [authority.issue("localhost")]}}
    with ScriptedSink() as sink:
        settings["courier"] = {"routes": {"*": f"127.0.0.1:{sink.port}"}}
        with Cluster(settings=settings, listeners=_LISTENERS) as cluster:
            cluster.add_user(USER, PASSWORD)
            yield Place(cluster, sink, authority)
            cluster.wait_empty()


FROM = b"From: Anna <anna@ours.test>\r\n"
ODD = b"subject:x  \r\n\t folded \r\nX-8: \xff\xfe \r\nX-Twice: 1\r\nX-Twice: 1\r\nReturn-Path: <x@y.test>\r\nContent-Type: a/b;\r\n   c=d\r\n"
BODY = b"\r\n.one dot\r\n..two\r\n  \xe9 \r\nBcc: body\r\n\r\n\r\n"


# proves: G03 G04 G11
def test_missing_date_and_message_id_are_added_at_submission(place):
    for listener in ("submission", "strict"):
        got = place.through(listener, FROM + ODD + BODY)
        added = _ADDED.match(got)
        assert added, got
        assert got[added.end():] == FROM + ODD + BODY
        assert abs(email.utils.parsedate_to_datetime(added.group(1).decode()).timestamp() - time.time()) < 60
        assert added.group(2).endswith(b"@ingress1.relay.test")
    one, other = (_ADDED.match(place.through("submission", FROM + BODY)).group(2) for _ in range(2))
    assert one != other


# proves: G03 G04
def test_what_is_there_already_stays(place):
    own = b"date : whenever\r\nFrom: anna@ours.test\r\nMESSAGE-ID:\r\n <mine@ours.test>\r\n"
    for listener in ("submission", "strict"):
        assert place.through(listener, own + ODD + BODY) == own + ODD + BODY


# proves: G03 G04 G06
def test_a_relay_adds_nothing_but_received(place):
    for content in (ODD + BODY, FROM + ODD + BODY, b"Bcc: c@d.test\r\n" + ODD + BODY, b"Subject: header only\r\n"):
        assert place.through("relay", content) == content


# proves: G04
def test_content_without_a_header_section_gets_one(place):
    for content, wanted in ((b"Hello,\r\nFrom: me\r\n", b"\r\nHello,\r\nFrom: me\r\n"), (b"\r\nbody\r\n", b"\r\nbody\r\n"), (b"X: only\r\n", b"X: only\r\n")):
        got = place.through("submission", content)
        assert got[_ADDED.match(got).end():] == wanted


# proves: G05
def test_bcc_is_taken_out_where_it_is_set_and_only_there(place):
    bcc = b"To: a@one.test\r\nBcc: b@one.test,\r\n c@one.test\r\n\td@one.test\r\nbcc:\r\nResent-Bcc: e@one.test\r\nX-Bcc: stays\r\n"
    got = place.through("strict", FROM + bcc + BODY)
    assert got[_ADDED.match(got).end():] == FROM + b"To: a@one.test\r\nX-Bcc: stays\r\n" + BODY
    got = place.through("submission", FROM + bcc + BODY)
    assert got[_ADDED.match(got).end():] == FROM + bcc + BODY


# proves: D09
def test_from_must_be_the_users_own_where_it_is_checked(place):
    for value in (b"anna@ours.test", b" \"Anna, A.\" <anna@OURS.test>", b" =?utf-8?q?Ann=C3=A4?= <anna@ours.test>", b"\r\n Anna\r\n <anna@ours.test>"):
        assert place.send("strict", b"From:" + value + b"\r\n\r\nbody\r\n")[0] == 250, value
    for header in (b"From: boss@ours.test\r\n", b"From: anna@theirs.test\r\n", b"From: anna@ours.test, boss@ours.test\r\n",
                   b"From: boss@ours.test <anna@ours.test>\r\n", b"From: anna@ours.test\r\nFrom: boss@ours.test\r\n",
                   b"From: anna@ours.test (boss@ours.test)\r\n", b"From: Group: anna@ours.test;\r\n", b"From: <@x.test:anna@ours.test>\r\n",
                   b"From:\r\n", b"Subject: no From\r\n"):
        code, text, _ = place.send("strict", header + b"\r\nbody\r\n")
        assert code == 550 and text.startswith(b"5.7.1 "), (header, code, text)
        assert place.send("submission", header + b"\r\nbody\r\n")[0] == 250, header


# proves: G03
def test_a_large_message_arrives_byte_for_byte(place):
    header = FROM + b"".join(b"X-%d: %s\r\n" % (n, b"v" * (n % 900)) for n in range(600))
    lines = os.urandom(1 << 20).replace(b"\0", b"0").replace(b"\r", b"1").replace(b"\n", b"2")
    body = b"\r\n" + b"".join(lines[at:at + 900] + b"\r\n" for at in range(0, len(lines), 900)) * 3
    got = place.through("strict", header + body)
    assert got[_ADDED.match(got).end():] == header + body


# proves: M02
def test_header_sections_that_are_held_are_bounded_by_all_together():
    """Who never ends his header section has it in our memory; it costs him his own message at most, and nobody else's."""
    section = FROM + (b"X-Y: " + b"z" * 900 + b"\r\n") * 400
    with Cluster(dispatchers=0, couriers=0, listeners={"bare": {"role": "relay", "fix_headers": True}}, settings={"ingress": {"max_unstored": "1MiB"}}) as cluster:
        held = []
        for n in range(6):
            client = smtplib.SMTP(*cluster.address("bare"), timeout=60, local_hostname="client.test")
            client.ehlo()
            assert (client.mail(USER)[0], client.rcpt("r@one.test")[0], client.docmd("DATA")[0]) == (250, 250, 354)
            client.sock.sendall(section)
            held.append(client)
            if n == 0:
                cluster.wait_metric("barid_unstored_bytes", len(section))
        assert cluster.metric("barid_unstored_bytes") < 1 << 20
        with smtplib.SMTP(*cluster.address("bare"), timeout=60) as other:
            assert other.sendmail(USER, ["r@one.test"], FROM + BODY) == {}
        codes = []
        for client in held:
            client.sock.sendall(b"\r\nbody\r\n.\r\n")
            codes.append(client.getreply()[0])
            assert client.noop()[0] == 250
            client.close()
        assert codes[0] == 250 and sorted(set(codes)) == [250, 452], codes
        assert cluster.metric("barid_unstored_bytes") == 0
