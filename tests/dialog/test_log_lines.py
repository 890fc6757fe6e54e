"""Whatever clients say, a line of the log is one event: nothing they choose ends it, adds a field to it, or moves a terminal."""

import base64
import json
import os
import re
import ssl
import tempfile

import pytest

from harness import paths, wait
from harness.authority import Authority
from test_dialogs import Client
from test_sessions import BEHIND, connect, greeted, ingress, plain, secured

pytestmark = pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")

# What would be another line, another field, or a command to a terminal.
FORGED = ["x event=forged user=root", "x\" event=forged y=\"", "x\nevent=forged", "x\r\n2026-11-22T07:15:45.000Z info event=forged", "\x1b[2J\x1b]0;forged\x07", "x\\\" event=forged", "\x85event=forged",
          "\u2028event=forged", "\u202eforged", "\0event=forged", "\xff\xfe", "%n%s%x", "${event}", "x\",\"event\":\"forged", "\t event=forged", "\x7f\x08\x08"]
VALUE = r'(?:"(?:[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]|\\.)*"|[!#-<>-~]+)(?![^ ])'
LINE = re.compile(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z (?:debug|info|warn|error)(?: [a-z_]+={VALUE})+")


def listeners(certificate):
    return {
        "relay": {"role": "relay", "relay_domains": ["d.example"], "trusted_networks": [], "certificates": [certificate], "max_errors": 1000},
        "old": {"role": "relay", "bare_lf": "normalise", "max_errors": 1000},
        "sub": {"role": "submission", "certificates": [certificate], "max_errors": 1000, "max_junk": 1000},
        "tls": {"role": "submissions", "certificates": [certificate]},
        "behind": BEHIND,
        "filter": {"role": "relay", "xclient": ["127.0.0.0/8"], "max_errors": 1000, "max_junk": 1000},
    }


def bytes_of(text):
    """As UTF-8 where it is text, and as it is where it was meant as bytes."""
    return text.encode("latin-1") if all(ord(char) < 256 for char in text) else text.encode()


def tell(client, line):
    """Said, and one reply read; a new connection is for the caller to make when this one has ended."""
    client.say(line + b"\r\n", False)
    try:
        return client.reply(line)
    except AssertionError:
        return b""


def in_commands(cluster, listener, word):
    for line in (b"EHLO " + word, b"HELO a." + word, b"MAIL FROM:<" + word + b"@b.example>", b"MAIL FROM:<\"" + word.replace(b'"', b'\\"') + b"\"@b.example>",
                 b"MAIL FROM:<a@b.example> " + word, b"MAIL FROM:<a@b.example> ENVID=" + word, b"RCPT TO:<" + word + b"@foreign.example>", b"VRFY " + word, word, b"GET " + word):
        client = greeted(cluster, listener)
        tell(client, b"EHLO client.example")
        if line.startswith(b"RCPT"):
            tell(client, b"MAIL FROM:<a@b.example> SMTPUTF8")
        tell(client, line)
        tell(client, b"RCPT TO:<\"" + word.replace(b'"', b'\\"') + b"\"@foreign.example>")
        client.socket.close()


def in_content(cluster, word):
    client = greeted(cluster, "relay")
    for line in (b"EHLO client.example", b"MAIL FROM:<\"" + re.sub(rb'[\0\r\n"\\]', b"?", word) + b"\"@b.example> SMTPUTF8", b"RCPT TO:<\"a event=forged b=\"@d.example>", b"DATA",
                 b"Message-ID: <" + word.replace(b"\0", b"").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n ") + b"@x>\r\n\r\nx\r\n."):
        tell(client, line)
    client.socket.close()


def in_users(cluster, authority, word):
    client = secured(cluster, "sub", authority)
    for line in (plain(word, b"x"), plain(b"anna@b.example\0" + word, b"x"), b"AUTH " + word, b"AUTH LOGIN " + base64.b64encode(word), base64.b64encode(word),
                 b"AUTH SCRAM-SHA-256 " + base64.b64encode(b"n,,n=" + word + b",r=" + word), b"*"):
        tell(client, line)
    client.socket.close()


def in_arrivals(cluster, authority, word):
    for header in (b"PROXY " + word + b"\r\n", b"PROXY TCP4 " + word + b" 192.0.2.1 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0" + bytes([min(len(word), 250)]) + word[:250]):
        client = connect(cluster, "behind", header)
        client.socket.close()
    for listener in ("tls", "relay"):  # a server name of 18 octets that the library would not say, put in the place of one that it does
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = authority.client()
        context.check_hostname = False
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhostlocalhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client = Client(cluster.address(listener))
        if listener == "relay":
            client.reply("greeting")
            tell(client, b"EHLO client.example")
            tell(client, b"STARTTLS")
        client.say(outgoing.read().replace(b"localhostlocalhost", (word + b"x" * 18)[:18]), False)
        try:
            client.socket.recv(65536)
        except OSError:
            pass
        client.say(b"\x17\x03\x03\0\x05" + word[:5].ljust(5), False)
        client.socket.close()


def in_xclient(cluster, word):
    client = greeted(cluster, "filter")
    tell(client, b"EHLO filter.example")
    xtext = b"".join(b"+%02X" % char for char in word)
    for value in (word, xtext):
        for name in (b"NAME", b"HELO", b"LOGIN", b"ADDR", b"PROTO", b"X"):
            tell(client, b"XCLIENT ADDR=127.0.0.9 " + name + b"=" + value)
    client.socket.close()


# proves: M09
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_client_writes_the_log(form):
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        with ingress(listeners(authority.issue("mx.test")), {"log": {"level": "debug", "format": form}, "auth": {"failure_delay": "0s", "failures_per_client": "", "failures_per_user": ""}}) as cluster:
            for text in FORGED:
                word = bytes_of(text)
                in_commands(cluster, "relay", word)
                in_commands(cluster, "old", word)
                in_content(cluster, word)
                in_users(cluster, authority, word)
                in_arrivals(cluster, authority, word)
                in_xclient(cluster, word)
            wait.until(lambda: cluster.metric("barid_sessions") == 0, 20, "the sessions are gone")
            told = cluster.nodes[0].log_text()
    for event in ("refused", "accepted", "auth_failed", "arrival_refused", "tls_failed", "disconnected"):
        assert f'"event":"{event}"' in told or f"event={event} " in told, event
    lines = told.splitlines()  # Python's: also U+0085 and U+2028 end a line
    assert len(lines) == told.count("\n")
    for line in lines:
        if form == "json":
            assert json.loads(line)["event"] != "forged", line
            assert all(0x20 <= ord(char) and not 0x7f <= ord(char) < 0xa0 for char in line), line
            keys = [key for key, _ in json.loads(line, object_pairs_hook=list)]
        else:
            assert LINE.fullmatch(line), line
            keys = re.findall(rf" ([a-z_]+)={VALUE}", line)
        assert keys.count("event") == 1 and len(set(keys)) == len(keys), line
        assert not re.search(r"^[^\"]* event=forged", line), line
