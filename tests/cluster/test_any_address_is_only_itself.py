"""
Addresses and queue names are chosen by strangers. None of their bytes reach a key of the store but the domain's, and of domains only those that
are names: so nothing of one message can be found, or deleted, under another's name.
"""

import contextlib
import re
import smtplib
import subprocess

import pytest
from post import Places, Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

LOCALS = ["{x}", "{0}", "*", "'", "''", "{}*'", "!#$%&'*+-/=?^_`{|}~", "%s%n%x", '"$(id)"', "`id`", '"{c}:nodes"', '":*"', '"j:{0}:*"', '"a b"', '" "', '"\\""', '"\\\\"', '"@"',
          '"a@b"', '"../../x"', '"${jndi}"', '"[a-z]?"', "l" * 64, '"' + "{" * 62 + '"', "x.{t}.y"]
REFUSED = ["a\0b@{0}", '"a\0b"@{0}', "a\tb@{0}", "{0}", "@{0}", "l" * 65 + "@{0}", '"' + "l" * 63 + '"@{0}', "l" * 900 + "@{0}", "a@", "a@{{0}}", "a@*", "a@{0}:x", "a@'{0}'", "a@{0}/lane",
           "a@#fanout", "a@.{0}", "a@{0}..", "a@b c", "a@" + "d" * 64 + ".test", "a@" + "d." * 200 + "test", "a@[127.0.0.1]x", "a@x\0.test", "a@{0},b@{0}", '"a"b@{0}']
KEYS = re.compile(rb"(?:j|seen|b):\{[0-9a-f]+\}:[0-9A-Z]{26}\.\d+(?::\d+)?|[qs]:\{[0-9a-f]+\}:(?:[a-z0-9.-]+|#fanout)|(?:c|h|d|o|ev|never|probe):\{[0-9a-f]+\}|barid:\{c\}:[a-z]+|barid:\{c\}:ticket:\d+")


@pytest.fixture(scope="module")
def scene():
    places = Places(4)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "retry": {"first": "700ms", "longest": "700ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places, post.redis = places, cluster.redis.client()
            yield post
            post.assert_balanced()


def keys(scene):
    return set(scene.redis.scan_iter("*", 1000))


# proves: M07
def test_each_local_part_is_delivered_as_it_is_and_in_no_key(scene):
    place = scene.places.take()
    wall = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), host=host) for host in (place.first, place.second)]
    letters = [scene.send(f"{local}@{place.domain}") for local in LOCALS]
    for letter in letters:
        scene.wait_told(letter, "deferred")
    odd = [key for key in keys(scene) if not KEYS.fullmatch(key)]
    assert odd == []
    for letter in letters:
        assert len([key for key in keys(scene) if letter.message_id.encode() in key and key.startswith(b"j:")]) == 1
    scene.sink.clear(*wall)
    for local, letter in zip(LOCALS, letters):
        assert scene.wait_delivered(letter).recipients == [f"{local}@{place.domain}"]
        assert len(scene.copies(letter)) == 1


# proves: M07
def test_senders_are_as_safe_as_recipients(scene):
    place = scene.places.take()
    for local in LOCALS:
        letter = scene.send(place.address(), sender=f"{local}@origin.test")
        assert scene.wait_delivered(letter).sender == f"{local}@origin.test"
    assert [key for key in keys(scene) if not KEYS.fullmatch(key)] == []


# proves: M07
def test_what_is_no_address_is_refused_and_leaves_nothing(scene):
    place = scene.places.take()
    scene.cluster.wait_empty()
    jobs = {key for key in keys(scene) if key[:2] in (b"j:", b"q:", b"b:")}
    for text in REFUSED + ["a@" + place.domain + "\0", "x" * 65536 + "@{0}"]:
        client = smtplib.SMTP(*scene.cluster.addresses[0], timeout=60)
        with contextlib.closing(client):
            client.ehlo("client.test")
            assert client.mail("s@origin.test")[0] == 250
            address = text.replace("{0}", place.domain).replace("{{", "{").replace("}}", "}")
            code, words = client.docmd(f"RCPT TO:<{address}>")
            assert 500 <= code <= 599, (text[:60], code, words)
            if len(address) > 60000:  # such a line ends the session
                continue
            code, _ = client.docmd("DATA")
            assert code in (503, 554), text[:60]
    assert {key for key in keys(scene) if key[:2] in (b"j:", b"q:", b"b:")} == jobs


# proves: M07
def test_names_given_to_baridctl_name_nothing_else(scene):
    place = scene.places.take()
    rules = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), host=host) for host in (place.first, place.second)]
    letter = scene.send(place.address())
    scene.wait_told(letter, "deferred")
    ctl = paths.program("baridctl")
    wrong = ["?", "{c}:nodes", "barid:{c}:meta", "{0}:*", "[a-z]*", "..", "", " ", "'", "\n", "a\r\nDEL x", place.domain + "*", "*." + place.domain, place.domain + "\r\n",
             place.domain + ":x", "x" * 65000, "{0}", "%s%n", letter.message_id + "*", letter.message_id[:-1], letter.message_id + ".0*", letter.message_id + ".99999999999"]
    for name in wrong:
        for verb in (["queue", "delete"], ["queue", "bounce"], ["queue", "hold"], ["msg", "delete"], ["msg", "hold"], ["msg", "bounce"]):
            done = subprocess.run([ctl, "--config", scene.cluster.conf, *verb, "--yes", "--", name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
            assert done.returncode in (0, 1, 2), (verb, name[:40], done)
    queue = scene.cluster.queue()
    assert (queue["held"], queue["waiting"] + queue["claimed"]) == (0, 1), "nothing was deleted, held or returned"
    scene.sink.clear(*rules)
    scene.wait_delivered(letter)
    wait.until(lambda: not [key for key in keys(scene) if letter.message_id.encode() in key and not key.startswith(b"seen")], 20, "it is gone as usual")
