"""A host may say anything: mail goes on, memory stays bounded, and nothing it said becomes structure of ours."""

import re

import pytest
from post import Places, Post
from raw_host import RawHost, flood

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, garbage, reply, split

RAW = [f"127.0.6.{n}" for n in range(11, 17)]


@pytest.fixture(scope="module")
def scene():
    places = Places(30)
    with ScriptedSink(places.hosts()) as sink:
        routes = {**places.routes(sink.port),
                  **{f"raw{n}.test": f"{host}:{sink.port}, {places.HOME}:{sink.port}" for n, host in enumerate(RAW)}}
        with Cluster(settings={"courier": {"port": sink.port, "routes": routes, "idle_time": "0s"}}) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


# proves: H06
@pytest.mark.parametrize("octets", [b"\x00\x01\x02\r\n", b"hello\r\n", b"99 too short\r\n", b"2x0 letters\r\n", b"250-open\r\n550 changed\r\n",
                                    b"\r\n", b"\xff" * 300 + b"\r\n", b"600 beyond\r\n", b"250_ok\r\n"])
def test_what_is_no_reply_sends_the_mail_to_the_next_host(scene, place, octets):
    scene.sink.rule("rcpt", garbage(octets), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.second
    assert scene.reports(letter) == []


# proves: H06 H07
@pytest.mark.parametrize("number, octets", enumerate([b"220-on and on\r\n", b"220 " + b"x" * 4096, b"\x00" * 4096]))
def test_an_endless_greeting_is_cut_off(scene, number, octets):
    courier, = scene.cluster.of("courier")
    with RawHost(RAW[number], scene.sink.port, flood(octets)):
        letter = scene.send(f"r@raw{number}.test")
        assert scene.wait_delivered(letter).session.host == scene.places.HOME
    with open(f"/proc/{courier.pid}/status") as status:
        assert int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) < 500 << 10


# proves: H07
def test_a_hundred_lines_are_one_reply(scene, place):
    scene.sink.rule("mail", reply("\n".join(["250-line"] * 120 + ["250 end"])), host=place.first)
    assert scene.wait_delivered(scene.send(place.address())).session.host == place.first


# proves: H11
@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
def test_replies_come_in_any_pieces(scene, place, stage):
    texts = {"connect": "220-sink.test\n220 ready", "ehlo": "250-sink.test\n250-PIPELINING\n250 SIZE 1000000", "data": "354 go"}
    scene.sink.rule(stage, split(texts.get(stage, "250-2.0.0 Ok\n250 2.0.0 really")), host=place.first)
    letter = scene.send(place.address())
    assert scene.wait_delivered(letter).session.host == place.first
    scene.wait_settled(letter)
    assert len(scene.copies(letter)) == 1


# proves: H07 K08 M09
@pytest.mark.parametrize("text", [
    "550-5.1.1 no\n550-X-Injected: header\n550-\n550-Final-Recipient: rfc822; victim@origin.test\n550 Action: delivered",
    "550 5.1.1 carriage\rX-Injected: return",
    "550 5.1.1 tab\tescape \x1b[31m bell\x07 and \u00fcml\u00e4ute",
    "550 5.1.1 event=delivered msg=forged \" quote \\ backslash"])
def test_a_remotes_words_stay_words_in_report_and_log(scene, place, text):
    scene.sink.rule("rcpt", reply(text), host=place.first)
    letter = scene.send(place.address())
    report = scene.wait_returned(letter)
    assert report.recipients == [place.address()] and len(report.blocks) == 2
    block = report.of(place.address())
    assert block["Action"] == "failed" and block["Status"] == "5.1.1" and block["Diagnostic-Code"].startswith("smtp; 550 ")
    assert "X-Injected" not in [key for part in report.message.walk() for key in part.keys()]
    content = report.transaction.content
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert b"\r" not in content.replace(b"\r\n", b"") and b"\n" not in content.replace(b"\r\n", b"") and b"\x1b" not in content
    bounced, = scene.told(letter, "bounced")
    assert bounced["msg"] == letter.message_id and "\x1b" not in bounced["reply"]


# proves: H07 K08
def test_an_over_long_reply_is_cut_in_the_report(scene, place):
    scene.sink.rule("rcpt", reply("\n".join([f"550-5.7.1 {n} " + "long " * 200 for n in range(100)] + ["550 5.7.1 end"])), host=place.first)
    report = scene.wait_returned(scene.send(place.address()))
    content = report.transaction.content
    assert len(content) < 65536 and max(len(line) for line in content.split(b"\r\n")) <= 998
    assert report.of(place.address())["Status"] == "5.7.1"


# proves: H06
def test_words_out_of_turn_end_an_idle_connection_and_hurt_nobody(scene, place):
    scene.cluster.reload({"courier": {"idle_time": "10s"}})
    try:
        scene.sink.rule("dot", garbage(b"250 2.0.0 Ok\r\n250 and one more\r\n"), host=place.first, times=1)
        first = scene.send(place.address())
        scene.wait_delivered(first)
        second = scene.send(place.address())
        scene.wait_delivered(second)
        scene.wait_settled(second)
        wait.until(lambda: len([s for s in scene.sink.sessions if s.host == place.first]) == 2, 10, "a second connection")
        assert len(scene.copies(first)) == len(scene.copies(second)) == 1
    finally:
        scene.cluster.reload({"courier": {"idle_time": "0s"}})
