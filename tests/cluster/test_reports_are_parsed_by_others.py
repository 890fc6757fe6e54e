"""Programs that read bounces for mailing lists find in ours who failed, how and why, whatever the host said."""

import email

import flufl.bounce
import pytest
from post import Post, Report

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

HOST, HOME = "127.0.7.1", "127.0.7.2"

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


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink([HOST, HOME]) as sink:
        settings = {"courier": {"port": sink.port, "routes": {**{f"{name}.test": f"{HOST}:{sink.port}" for name in KINDS}, "origin.test": f"{HOME}:{sink.port}"}}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            for name, (stage, text, _) in KINDS.items():
                where = {"sender": f"s-{name}@origin.test"} if stage == "mail" else {"domain": f"{name}.test"}
                sink.rule(stage, reply(text), **where)
            yield post
            post.assert_balanced()


# proves: K18
def test_every_kind_of_error_is_read_as_what_it_was(scene):
    assert len(KINDS) >= 20
    letters = {name: scene.send(f"who@{name}.test", sender=f"s-{name}@origin.test") for name in KINDS}
    for name, letter in letters.items():
        found, = wait.until(lambda letter=letter: scene.reports(letter), 30, f"a report about {name}; {scene.told(letter)[-2:]}")
        temporary, permanent = flufl.bounce.all_failures(email.message_from_bytes(found.content))
        assert (set(temporary), set(permanent)) == (set(), {f"who@{name}.test".encode()}), name
        assert found.recipients == [f"s-{name}@origin.test"]
        report = Report(found)
        assert report.recipients == [f"who@{name}.test"]
        block = report.of(f"who@{name}.test")
        assert (block["Action"], block["Status"]) == ("failed", KINDS[name][2]), name
