"""How long and how often mail is tried is settled for each queue, and for each class of deferral; it changes live, and counts from arrival."""

import json
import re
import subprocess

import pytest
from post import Places, Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, drop, reply

FIRST_MS = 300


@pytest.fixture(scope="module")
def scene():
    places = Places(30)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)},
                    "retry": {"first": "60s", "longest": "60s"}}
        with Cluster(couriers=2, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            post.wait_delivered(post.send(places.take().address()))
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def refuse(scene, place, text="450 4.2.0 wait", **more):
    return [scene.sink.rule("rcpt", reply(text), host=host, **more) for host in (place.first, place.second)]


def settle(scene, **retry):
    """New settings, in force everywhere."""
    before = {node: node.log_text().count("event=config_loaded") for node in scene.cluster.of("courier")}
    scene.cluster.reload({"retry": {"first": "60s", "longest": "60s", **retry}})
    for node, count in before.items():
        wait.until(lambda node=node, count=count: node.log_text().count("event=config_loaded") > count, 10, "the new settings")


def gaps(scene, letter):
    ages = [int(line["delay_ms"]) for line in scene.told(letter, "deferred")]
    return [after - before for before, after in zip(ages, ages[1:])]


# proves: J01
def test_a_queue_is_tried_by_its_own_times(scene, place):
    other = scene.places.take()
    settle(scene, schedules={place.domain: f"first={FIRST_MS}ms longest={FIRST_MS}ms"})
    rules = refuse(scene, place) + refuse(scene, other)
    letter, slow = scene.send(place.address()), scene.send(other.address())
    scene.wait_told(letter, "deferred", 4)
    assert all(gap >= FIRST_MS * 0.85 - 5 for gap in gaps(scene, letter))
    assert len(scene.wait_told(slow, "deferred")) == 1, "a minute has not passed"
    scene.sink.clear(*rules)
    scene.wait_delivered(letter)
    scene.cluster.baridctl("msg", "retry", slow.message_id, "--yes")
    scene.wait_delivered(slow)


# proves: J02 J08
def test_expired_mail_is_returned_with_the_last_error_and_counted_as_expired(scene, place):
    settle(scene, schedules={place.domain: f"first={FIRST_MS}ms longest={FIRST_MS}ms lifetime=1s"})
    rules = refuse(scene, place, "451 4.7.1 Greylisted for a good while")
    before = scene.cluster.metric('barid_failed_total{class="expired"}', "courier")
    letter = scene.send(place.address())
    report = scene.wait_returned(letter)
    block = report.of(place.address())
    assert block["Action"] == "failed" and re.match(r"4\.|5\.4\.7", block["Status"])
    assert "Greylisted for a good while" in block["Diagnostic-Code"]
    line, = scene.wait_told(letter, "bounced")
    assert (line["class"], line["status"], line["last_class"]) == ("expired", "5.4.7", "greylist") and "good while" in line["reply"]
    assert int(line["delay_ms"]) >= 1000
    assert scene.cluster.metric('barid_failed_total{class="expired"}', "courier") == before + 1
    events = json.loads(scene.cluster.baridctl("trace", letter.message_id, "--json"))["events"]
    assert any("given up: 5.4.7 (expired)" in event["detail"] for event in events if event["event"] == "bounced")
    scene.sink.clear(*rules)


# proves: J03
def test_mail_of_the_null_sender_has_a_life_of_its_own(scene, place):
    settle(scene, schedules={place.domain: f"first={FIRST_MS}ms longest={FIRST_MS}ms lifetime=1h bounce_lifetime=500ms"})
    rules = refuse(scene, place)
    kept = scene.send(place.address("kept"))
    dropped = scene.send(place.address("dropped"), sender="")
    scene.dropped |= {(dropped.ledger_id, place.address("dropped"))}
    assert scene.wait_told(dropped, "bounced")[0]["class"] == "expired"
    scene.wait_told(kept, "deferred", 3)
    assert scene.told(kept, "bounced") == []
    scene.sink.clear(*rules)
    scene.wait_delivered(kept)


# proves: J08
def test_a_retry_by_the_operator_does_not_make_mail_younger(scene, place):
    settle(scene, schedules={place.domain: "first=60s longest=60s lifetime=3s"})
    rules = refuse(scene, place)
    letter = scene.send(place.address())
    tries = 1
    while not scene.told(letter, "bounced"):
        scene.wait_told(letter, "deferred", tries)
        scene.cluster.baridctl("msg", "retry", letter.message_id, "--yes")
        tries += 1
        wait.until(lambda n=tries: len(scene.told(letter, "deferred")) >= n, 20, "another try")
    assert 3000 <= int(scene.told(letter, "bounced")[0]["delay_ms"]) < 60000
    scene.wait_returned(letter)
    scene.sink.clear(*rules)


# proves: J01
def test_a_class_waits_by_its_own_times(scene, place):
    settle(scene, classes={"greylist": f"first={FIRST_MS}ms longest={FIRST_MS}ms", "full": f"first={FIRST_MS}ms longest={FIRST_MS}ms lifetime=800ms"})
    rules = refuse(scene, place, "450 4.7.1 Greylisted", recipient=place.address("new")) + \
        refuse(scene, place, "452 4.2.2 Mailbox full", recipient=place.address("full")) + \
        refuse(scene, place, "450 4.7.0 too many connections", recipient=place.address("busy"))
    new, full, busy = (scene.send(place.address(name)) for name in ("new", "full", "busy"))
    scene.wait_told(new, "deferred", 4)
    assert scene.wait_told(full, "bounced")[0]["last_class"] == "full"
    scene.wait_returned(full)
    assert len(scene.told(busy, "deferred")) == 1
    scene.sink.clear(*rules)
    scene.wait_delivered(new)
    scene.cluster.baridctl("msg", "retry", busy.message_id, "--yes")
    scene.wait_delivered(busy)


# proves: J01
def test_changed_times_are_for_mail_that_waits_too(scene, place):
    """The next try was set by the old ones; from then on the new ones count."""
    settle(scene, schedules={place.domain: f"first={FIRST_MS}ms longest={FIRST_MS}ms"})
    rules = refuse(scene, place)
    letter = scene.send(place.address())
    scene.wait_told(letter, "deferred", 2)
    settle(scene, schedules={place.domain: f"first={FIRST_MS}ms longest={FIRST_MS}ms lifetime=10ms"})
    scene.wait_returned(letter)
    scene.sink.clear(*rules)


def waits(scene, letter):
    """Seconds until the next try, as the history tells them."""
    events = json.loads(scene.cluster.baridctl("trace", letter.message_id, "--json"))["events"]
    return [int(re.search(r"next try in (\d+) s", event["detail"]).group(1)) for event in events if event["event"] == "deferred"]


# proves: J06
def test_mail_of_a_destination_that_is_away_waits_no_longer_than_its_queue_rests(scene):
    """What is old waits long where a host says no, and soon has its turn where there was none to ask."""
    away, full = scene.places.take(), scene.places.take()
    before = {node: node.log_text().count("event=config_loaded") for node in scene.cluster.nodes}
    scene.cluster.reload({"retry": {"schedules": {place.domain: "first=100ms longest=60s" for place in (away, full)}},
                          "dispatcher": {"pause_first": "100ms", "pause_longest": "900ms"}})
    for node, count in before.items():
        wait.until(lambda node=node, count=count: node.log_text().count("event=config_loaded") > count, 10, "the new settings")
    rules = [scene.sink.rule("connect", drop(), host=host) for host in (away.first, away.second)] + refuse(scene, full)
    gone, slow = scene.send(away.address()), scene.send(full.address())
    wait.until(lambda: waits(scene, slow)[-1:] > [3], 30, "it is old")
    wait.until(lambda: any(int(line["delay_ms"]) > 5000 for line in scene.told(gone, "deferred")), 30, "so is the other")
    wait.until(lambda: len(waits(scene, gone)) >= len(scene.told(gone, "deferred")), 10, "all is history")
    assert max(waits(scene, gone)) <= 1, waits(scene, gone)
    scene.sink.clear(*rules)
    scene.wait_delivered(gone)
    scene.cluster.baridctl("msg", "retry", slow.message_id, "--yes")
    scene.wait_delivered(slow)


@pytest.mark.parametrize("retry, said", [({"schedules": {"a.test": "first=soon"}}, 'retry.schedules: "a.test": expected'),
                                         ({"classes": {"slow": "first=5min"}}, 'retry.classes: "slow": expected a class')])
def test_times_that_cannot_be_read_are_named_at_the_start(scene, tmp_path, retry, said):
    conf = tmp_path / "barid.yaml"
    conf.write_text(json.dumps({"retry": retry}))
    done = subprocess.run([paths.program("barid-courier"), "--config", str(conf)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 2 and said in done.stderr.decode(), done
