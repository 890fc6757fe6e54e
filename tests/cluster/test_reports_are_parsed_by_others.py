"""Programs that read bounces find in ours who failed, how and why, whatever the host said and whatever the message was; and so has RFC 3464 each field."""

import email
import email.policy

import flufl.bounce
import pytest
from post import Post
from rfc3464 import Notification

from harness import wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import DEFAULT_FEATURES, ScriptedSink, reply

HOST, HOME, SMALL, STORE = "127.0.7.1", "127.0.7.2", "127.0.7.3", "127.0.7.4"

# stage, what the host says, and the status that must be told
KINDS = {
    "nouser": ("rcpt", "550 5.1.1 no such user", "5.1.1"), "bare": ("rcpt", "550 no", "5.0.0"), "empty": ("rcpt", "550", "5.0.0"),
    "full": ("rcpt", "552 5.2.2 mailbox full", "5.2.2"), "fullbare": ("rcpt", "552 full", "5.2.2"), "disabled": ("rcpt", "550 5.2.1 disabled", "5.2.1"),
    "moved": ("rcpt", "551 5.1.6 moved", "5.1.6"), "syntax": ("rcpt", "501 5.1.3 bad address syntax", "5.1.3"), "name": ("rcpt", "553 not allowed", "5.1.3"),
    "relay": ("rcpt", "554 5.7.1 relaying denied", "5.7.1"), "policy": ("rcpt", "550 5.7.26 unauthenticated mail", "5.7.26"),
    "auth": ("rcpt", "530 5.7.0 authentication required", "5.7.0"), "system": ("rcpt", "554 5.3.0 mail system", "5.3.0"), "route": ("rcpt", "550 5.4.4 no route", "5.4.4"),
    "nomail": ("rcpt", "556 5.1.10 no mail", "5.1.10"), "unknown": ("rcpt", "599 5.9.9 unheard of", "5.9.9"), "lines": ("rcpt", "550-5.1.1 no\n550-5.1.1 such\n550 5.1.1 user", "5.1.1"),
    "wrongclass": ("rcpt", "550 4.2.2 twisted", "5.0.0"), "long": ("rcpt", "550 5.1.1 " + "long words " * 40, "5.1.1"), "bytes": ("rcpt", b"550 5.1.1 caf\xc3\xa9 \xff no\r\n", "5.1.1"),
    "address": ("rcpt", "550 5.1.1 <other@elsewhere.test>: Final-Recipient: rfc822; third@elsewhere.test", "5.1.1"), "sender": ("mail", "550 5.1.8 sender", "5.1.8"),
    "data": ("data", "554 5.5.1 no valid recipients", "5.5.1"), "content": ("dot", "554 5.6.0 content", "5.6.0"), "spam": ("dot", "550 5.7.1 spam", "5.7.1"),
    "large": ("dot", "552 5.3.4 too big", "5.3.4"),
}
# what we say ourselves: the domain, and the status
OWN = {"nodomain": ("gone.test", "5.1.2"), "nullmx": ("nullmx.test", "5.1.10"), "noaddress": ("noaddress.test", "5.4.4"), "toobig": ("small.test", "5.3.4")}
HOSTILE = {
    "nul": (b"Subject: x\r\n", b"a\0b\r\n", "text/rfc822-headers"), "bare carriage return": (b"Subject: x\r\n", b"a\rb\r\n", "text/rfc822-headers"),
    "bare line feed": (b"Subject: x\r\n", b"a\nb\r\n", "text/rfc822-headers"),
    "eight-bit header": (b"Subject: caf\xe9 \xff\r\n", b"body\r\n", "message/rfc822"), "eight-bit body": (b"Subject: x\r\n", bytes(range(128, 256)) + b"\r\n", "message/rfc822"),
    "line of 998": (b"Subject: x\r\n", b"l" * 998 + b"\r\n", "message/rfc822"), "line of 999": (b"Subject: x\r\n", b"l" * 999 + b"\r\n", "text/rfc822-headers"),
    "long header line": (b"X: " + b"h" * 3000 + b"\r\n folded\r\nSubject: x\r\n", b"body\r\n", "text/rfc822-headers"),
    "boundary that never ends": (b"Content-Type: multipart/mixed; boundary=b\r\n", b"--b\r\n\r\n--b\r\n", "message/rfc822"),
    "delimiters of ours": (b"Subject: x\r\n", b"--=_01K00000000000000000000000\r\n--=_01K00000000000000000000000--\r\n", "message/rfc822"),
    "base64 message": (b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n", b"not base64\r\n", "message/rfc822"),
    "bad mime": (b"Content-Type: multipart/\r\nMIME-Version: 17\r\nContent-Transfer-Encoding: x\r\n", b"--\r\n", "message/rfc822"),
    "huge header": (b"".join(b"X-Field-%d: %s\r\n" % (n, b"v" * 70) for n in range(1200)), b"body\r\n", "text/rfc822-headers"),
    "no header": (b"no colon here\r\n", b"body\r\n", "message/rfc822"), "broken message id": (b"Message-ID: <not\r\n an id>\r\n", b"body\r\n", "message/rfc822"),
    "only dots": (b"Subject: x\r\n", b".\r\n..\r\n.\r\n", "message/rfc822"), "a report inside": (b"Content-Type: multipart/report; boundary=\"=_1\"\r\n",
                                                                                              b"--=_1\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; x@y.test\r\nAction: failed\r\nStatus: 5.0.0\r\n--=_1--\r\n", "message/rfc822"),
}


@pytest.fixture(scope="module")
def scene():
    zone = Zone().null_mx("nullmx.test").mx("noaddress.test", "mx.noaddress.test").txt("mx.noaddress.test", "no address")
    with ScriptedSink([HOST, HOME]) as sink, ScriptedSink([SMALL], features=["SIZE 10"]) as small, ScriptedSink([STORE], is_lmtp=True) as store, Dns(zone) as dns:
        routes = {**{f"{name}.test": f"{HOST}:{sink.port}" for name in [*KINDS, "late", "delayed", "relayed", "hostile"]}, "origin.test": f"{HOME}:{sink.port}",
                  "small.test": f"{SMALL}:{small.port}", "store.test": "store"}
        settings = {"courier": {"port": sink.port, "routes": routes}, "transports": {"store": {"protocol": "lmtp", "hosts": [f"{STORE}:{store.port}"]}},
                    "retry": {"first": "100ms", "longest": "200ms", "lifetime": "3s"}, "dsn": {"delay_after": "500ms"}}
        listeners = {"relay": {"role": "relay", "extensions": ["CHUNKING", "DSN", "SMTPUTF8", "BINARYMIME"]}}
        with Cluster(settings=settings, dns_port=dns.port, listeners=listeners) as cluster:
            post = Post(cluster, sink)
            post.store = store
            for name, (stage, text, _) in KINDS.items():
                where = {"sender": f"s-{name}@origin.test"} if stage == "mail" else {"domain": f"{name}.test"}
                sink.rule(stage, reply(text), **where)
            sink.rule("rcpt", reply("550 5.1.1 no such user"), domain="hostile.test")
            for name in ("late", "delayed"):
                sink.rule("rcpt", reply("451 4.7.1 try later"), domain=f"{name}.test")
            yield post


def found(scene, letter, name):
    """The first report about it, read by the RFC; and as others read it: (temporary, permanent)."""
    transaction = wait.until(lambda: next(iter(scene.reports(letter)), None), 30, f"a report about {name}; {scene.told(letter)[-2:]}")
    assert transaction.sender == "" and transaction.recipients == [letter.sender]
    notification = Notification(transaction.content)
    read = email.message_from_bytes(transaction.content, policy=email.policy.SMTP)
    assert not [defect for part in (read, *read.get_payload()) for defect in part.defects], name
    assert [part.get_content_type() for part in read.get_payload()] == notification.kinds
    return notification, flufl.bounce.all_failures(email.message_from_bytes(transaction.content))


# proves: K18 K05 K06 K07 K08 K10
def test_every_kind_of_error_is_read_as_what_it_was(scene):
    assert len(KINDS) >= 20
    letters = {name: scene.send(f"who@{name}.test", sender=f"s-{name}@origin.test", header=b"Message-ID: <%s@origin.test>\r\n" % name.encode(),
                                options=("ENVID=id+2B" + name,), wishes=("ORCPT=rfc822;Who+2Bwas@elsewhere.test",)) for name in KINDS}
    for name, letter in letters.items():
        notification, (temporary, permanent) = found(scene, letter, name)
        who = {f"who@{name}.test".encode()}
        assert (set(temporary), set(permanent)) == (set(), who) or (set(temporary), set(permanent)) == (set(), {b"Who+was@elsewhere.test"}), name
        stage, text, status = KINDS[name]
        block = notification.of(f"who@{name}.test")
        assert (block["action"], block["status"]) == ("failed", status), name
        assert block["original-recipient"] == "rfc822; Who+was@elsewhere.test" and notification.message["original-envelope-id"] == f"id+{name}"
        assert block["remote-mta"] == f"dns; {HOST}" and "will-retry-until" not in block
        first = (text if isinstance(text, str) else text.decode("latin-1")).split("\n")[0].strip()
        assert block["diagnostic-code"].startswith(f"smtp; {first[:3]}") and len(block["diagnostic-code"]) < 1100
        if first.isascii() and "\n" not in str(text):
            assert block["diagnostic-code"].split() == ["smtp;", *first.split()], name
        assert notification.header["in-reply-to"] == notification.header["references"] == f"<{name}@origin.test>"
        assert notification.header["to"] == letter.sender
        assert notification.kinds[2] == "message/rfc822" and notification.original.rstrip(b"\r\n").endswith(letter.content.rstrip(b"\r\n"))


# proves: K18 K07 K01
@pytest.mark.parametrize("name", OWN)
def test_what_we_found_out_ourselves_is_read_too(scene, name):
    domain, status = OWN[name]
    notification, (temporary, permanent) = found(scene, scene.send(f"who@{domain}"), name)
    assert (set(temporary), set(permanent)) == (set(), {f"who@{domain}".encode()})
    block = notification.of(f"who@{domain}")
    assert (block["action"], block["status"]) == ("failed", status) and "diagnostic-code" not in block and "remote-mta" not in block


# proves: K18 K21 J02
def test_expired_mail_is_read_as_failed(scene):
    notification, (temporary, permanent) = found(scene, scene.send("who@late.test"), "late")
    assert (set(temporary), set(permanent)) == (set(), {b"who@late.test"})
    block = notification.of("who@late.test")
    assert block["action"] == "failed" and block["status"] in ("5.4.7", "4.4.7", "4.7.1")
    assert block["diagnostic-code"] == "smtp; 451 4.7.1 try later" and block["remote-mta"] == f"dns; {HOST}"
    words = " ".join(notification.words.split())
    assert "times over 3 seconds" in words and f"{HOST} [{HOST}]:" in words and "451 4.7.1 try later" in words


# proves: K18 J07 K06
def test_a_delay_is_read_as_no_failure(scene):
    letter = scene.send("who@delayed.test", wishes=("NOTIFY=DELAY",))
    notification, (temporary, permanent) = found(scene, letter, "delayed")
    assert (set(temporary), set(permanent)) == ({b"who@delayed.test"}, set())
    block = notification.of("who@delayed.test")
    assert (block["action"], block["status"]) == ("delayed", "4.7.1") and block["will-retry-until"] and block["last-attempt-date"]
    assert notification.kinds[2] == "text/rfc822-headers"
    scene.dropped.add((letter.ledger_id, "who@delayed.test"))


# proves: K18 K13 K06
def test_success_is_read_as_such(scene):
    for domain, action in (("relayed.test", "relayed"), ("store.test", "delivered")):
        notification, (temporary, permanent) = found(scene, scene.send(f"who@{domain}", wishes=("NOTIFY=SUCCESS",)), domain)
        assert (set(temporary), set(permanent)) == (set(), set())
        block = notification.of(f"who@{domain}")
        assert (block["action"], block["status"][0]) == (action, "2"), domain
        assert notification.kinds[2] == "text/rfc822-headers" and "will-retry-until" not in block


# proves: K18 K09 K06
def test_each_recipient_of_a_mail_store_has_its_own_fate(scene):
    """LMTP answers behind the dot, one for each."""
    scene.store.rule("dot", reply("550 5.2.2 over quota"), recipient="full@store.test")
    letter = scene.send(["full@store.test", "fine@store.test"], wishes=("NOTIFY=SUCCESS,FAILURE",))
    notification, (temporary, permanent) = found(scene, letter, "store")
    assert (set(temporary), set(permanent)) == (set(), {b"full@store.test"})
    assert [(r["final-recipient"], r["action"], r["status"]) for r in notification.recipients] == [
        ("rfc822; full@store.test", "failed", "5.2.2"), ("rfc822; fine@store.test", "delivered", "2.1.5")]


# proves: K18 K15 K11 K04
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_originals_give_valid_reports(scene, name):
    header, body, kind = HOSTILE[name]
    is_binary = name in ("nul", "bare carriage return", "bare line feed")
    letter = scene.send("who@hostile.test", header=header, body=body, options=("BODY=BINARYMIME" if is_binary else "BODY=8BITMIME",))
    notification, (temporary, permanent) = found(scene, letter, name)
    inner = {b"x@y.test"} if name == "a report inside" else set()  # whoever looks into what came back finds that too
    assert (set(temporary), set(permanent) - inner) == (set(), {b"who@hostile.test"})
    assert notification.kinds[2] == kind and len(notification.original) < 65536
    if kind == "message/rfc822":
        assert notification.original.endswith(letter.content) or notification.original.endswith(letter.content.rstrip(b"\r\n"))
    else:
        sent = [line for line in letter.content.partition(b"\r\n\r\n")[0].split(b"\r\n")]
        assert all(line in sent for line in notification.original.rstrip(b"\r\n").split(b"\r\n") if line.startswith((b"X-", b"Subject", b"X:", b" folded")))
        assert b"h" * 999 not in notification.original and b"\n folded" not in notification.original


# proves: K18 K16
def test_internationalized_recipients_are_named_in_ascii(scene):
    letter = scene.send("jürgen@hostile.test", header="Subject: Grüße\r\n".encode(), options=("SMTPUTF8", "BODY=8BITMIME"))
    notification, _ = found(scene, letter, "utf8")
    block, = notification.recipients
    assert block["final-recipient"] == r"utf-8; j\x{FC}rgen@hostile.test" and block["action"] == "failed"
    assert notification.kinds[1:] == ["message/delivery-status", "message/global"] and "<jürgen@hostile.test>" in notification.words


# proves: K18 K01
def test_the_ledger_balances(scene):
    scene.cluster.wait_empty(30)
