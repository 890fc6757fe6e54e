"""
Text that some program once expanded, ran or formatted, in every field that a stranger writes: it arrives, is reported and is logged as it is, and no
daemon ever starts another program.
"""

import os
import re

import pytest
from post import Places, Post

from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

WITNESS = f"/tmp/barid-ran-{os.getpid()}"
CODE = ["${run{/usr/bin/touch %s}}" % WITNESS, "$(touch %s)" % WITNESS, "`touch %s`" % WITNESS, "|touch %s" % WITNESS, ";touch %s;" % WITNESS, "%s%n%x%p%1000000s", "{{7*7}}", "${jndi:ldap://x/y}",
        "redis.call('FLUSHALL')", "EVAL 'return 1' 0", "<?php system('x') ?>", "' OR 1=1 --", "x'/**/UNION/**/SELECT/**/1", "__proto__", "../../etc/passwd", "\\r\\nDEL x", "=CMD()"]
LOCAL = [text for text in CODE if not re.search(r"[.\s()<>@,;:\\\"\[\]]", text)]


@pytest.fixture(scope="module")
def scene():
    places = Places(3)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "retry": {"first": "300ms", "longest": "300ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


def quoted(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def had_children(pid):
    """Whether it ever had one: faults of children that have ended, and those that live."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    living = [open(f"/proc/{pid}/task/{task}/children").read() for task in os.listdir(f"/proc/{pid}/task")]
    return int(fields[8]) + int(fields[10]) > 0 or any(living)


def assert_nothing_ran(scene):
    assert not os.path.exists(WITNESS)
    for node in scene.cluster.nodes:
        assert not had_children(node.pid), node.name


# proves: G03 M07
def test_it_arrives_as_it_is(scene):
    place = scene.places.take()
    header = b"".join(b"X-%d: %s\r\n" % (n, text.encode()) for n, text in enumerate(CODE)) + b"".join(text.encode() + b": x\r\n" for text in CODE if " " not in text and ":" not in text)
    body = b"".join(text.encode() + b"\r\n" for text in CODE)
    for text in CODE:
        for local in (quoted(text), text) if text in LOCAL else (quoted(text),):
            letter = scene.send(f"{local}@{place.domain}", sender=f"{local}@origin.test", header=header, body=body)
            arrived = scene.wait_delivered(letter)
            assert (arrived.sender, arrived.recipients) == (f"{local}@origin.test", [f"{local}@{place.domain}"])
            assert arrived.content.endswith(letter.content)
    assert_nothing_ran(scene)


# proves: M09 H07
def test_it_is_reported_and_logged_as_it_is(scene):
    place = scene.places.take()
    said = " ".join(CODE)[:400]
    scene.sink.rule("rcpt", reply("550 5.1.1 " + said), host=place.first)
    scene.sink.rule("rcpt", reply("550 5.1.1 " + said), host=place.second)
    for text in CODE[:6]:
        local = quoted(text)
        letter = scene.send(f"{local}@{place.domain}", sender=f"{local}@origin.test", header=b"Subject: " + text.encode() + b"\r\n", options=["RET=FULL", "ENVID=x+25s"])
        report = scene.wait_returned(letter)
        assert CODE[0] in report.of(f"{local}@{place.domain}")["Diagnostic-Code"].replace("\r\n", "")
        assert report.original.get_payload(0)["Subject"] == text
    assert_nothing_ran(scene)


# proves: G11
def test_each_line_of_a_message_has_its_id(scene):
    """From the door to the end, whatever became of it: who knows the id finds all."""
    place = scene.places.take()
    later = [scene.sink.rule("rcpt", reply("450 4.2.1 later"), host=host) for host in (place.first, place.second)]
    letter = scene.send([place.address("followed-one"), place.address("followed-two")], sender="followed@origin.test")
    scene.wait_told(letter, "deferred", count=2)
    scene.sink.clear(*later)
    scene.wait_delivered(letter)
    scene.cluster.wait_empty()
    lines = [line for node in scene.cluster.nodes for line in node.log_text().splitlines() if "followed" in line]
    assert all(letter.message_id in line for line in lines), lines
    events = {re.search(r"event=(\w+)", line).group(1) for line in lines}
    assert {"accepted", "deferred", "delivered"} <= events, events
