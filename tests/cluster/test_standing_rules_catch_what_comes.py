"""
Standing rules: what comes and fits is put aside, returned or dropped before any host hears of it, by queue, sender, recipient, tenant, age of the rule;
what does not fit goes its way. One cluster of several nodes for all of it.
"""

import json

import pytest
from post import Places
from ruler import Ruler

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

SHOP = "s@shop.test"


@pytest.fixture(scope="module")
def scene():
    places = Places(30)
    with ScriptedSink(places.hosts()) as sink:
        routes = {**places.routes(sink.port), "shop.test": f"{places.HOME}:{sink.port}"}
        settings = {"courier": {"port": sink.port, "routes": routes}, "lanes": {"bulk": {"senders": ["@bulk.test"]}}}
        with Cluster(ingress=1, dispatchers=2, couriers=2, settings=settings) as cluster:
            made = Ruler(cluster, sink, "standing")
            made.places = places
            yield made
            made.assert_balanced()


def job(scene, letter, index=0):
    return scene.why(letter.message_id)["jobs"][index]


def wait_held(scene, count):
    wait.until(lambda: scene.cluster.queue()["held"] == count, 20, lambda: f"{count} held: {scene.cluster.queue()}")


def ruled(scene, does):
    return scene.cluster.metric(f'barid_ruled_total{{does="{does}"}}', "courier")


def test_what_a_sender_sends_is_held_and_says_why(scene):
    place = scene.places.take()
    rule = scene.ruling("queue", "hold", "*", "--sender", SHOP, "--standing", "--because", "who is that")
    held, free = scene.send(place.address("a"), sender=SHOP), scene.send(place.address("b"))
    scene.wait_delivered(free)
    wait_held(scene, 1)
    assert job(scene, held)["held_because"] == f"rule {rule}: who is that"
    assert scene.wait_told(held, "ruled")[0]["does"] == "hold" and ruled(scene, "hold") == 1
    scene.cluster.baridctl("msg", "release", held.message_id, "--yes")
    scene.wait_delivered(held)  # released, it goes on, though the rule stands
    again = scene.send(place.address("c"), sender=SHOP)
    wait_held(scene, 1)
    later = scene.give("queue", "hold", "*", "--sender", SHOP, "--standing", "--because", "again")
    scene.unruling(rule)
    scene.unruling(later)
    scene.cluster.baridctl("msg", "release", again.message_id, "--yes")
    scene.wait_delivered(again)
    scene.wait_delivered(scene.send(place.address("d"), sender=SHOP))
    assert len(scene.copies(held)) == 1


def test_what_is_returned_is_reported_once(scene):
    place, other = scene.places.take(), scene.places.take()
    rule = scene.ruling("queue", "bounce", place.domain, "--standing")
    letters = [scene.send([place.address("a"), place.address("b")]), scene.send(place.address("c"))]
    free = scene.send(other.address())
    for letter in letters:
        report = scene.wait_returned(letter)
        assert sorted(report.recipients) == sorted(letter.recipients)
        for recipient in letter.recipients:
            assert report.of(recipient)["Status"] == "5.7.0" and "returned by the operator" in report.words
    scene.wait_delivered(free)
    wait.until(lambda: scene.cluster.queue()["waiting"] + scene.cluster.queue()["claimed"] == 0, 20, "all is done")
    assert all(len(scene.reports(letter)) == 1 and scene.copies(letter) == [] for letter in letters)
    assert ruled(scene, "bounce") == len(letters)
    scene.unruling(rule)
    scene.wait_delivered(scene.send(place.address("d")))


def test_reports_of_what_is_returned_are_not_returned_themselves(scene):
    place = scene.places.take()
    rule = scene.ruling("queue", "bounce", "*", "--standing")
    letter = scene.send(place.address())
    assert scene.wait_returned(letter).recipients == [place.address()]
    scene.unruling(rule)


def test_what_is_dropped_is_told_to_nobody(scene):
    place = scene.places.take()
    rule = scene.ruling("queue", "delete", place.domain, "--recipient", place.address("gone"), "--standing")
    dropped, free = scene.send(place.address("gone")), scene.send(place.address("here"))
    scene.dropped.update((dropped.ledger_id, recipient) for recipient in dropped.recipients)
    scene.wait_delivered(free)
    wait.until(lambda: job(scene, dropped)["place"] == "gone", 20, "it has ended")
    assert scene.copies(dropped) == [] and scene.reports(dropped) == []
    assert f"rule {rule}" in scene.cluster.baridctl("trace", dropped.message_id)
    scene.unruling(rule)


def test_lanes_and_suffixes_are_met(scene):
    place, rules = scene.places.take(), []
    rules.append(scene.ruling("queue", "hold", "*/bulk", "--standing"))
    bulk, usual = scene.send(place.address("a"), sender="s@bulk.test"), scene.send(place.address("b"))
    scene.wait_delivered(usual)
    wait_held(scene, 1)
    scene.unruling(rules[0])
    scene.cluster.baridctl("msg", "release", bulk.message_id, "--yes")
    scene.wait_delivered(bulk)


def test_of_a_message_to_many_queues_what_fits_is_met(scene):
    first, second, third = (scene.places.take() for _ in range(3))
    rules = [scene.ruling("queue", "hold", first.domain, "--standing"), scene.ruling("queue", "bounce", second.domain, "--standing")]
    letter = scene.send([place.address() for place in (first, second, third)])
    scene.wait_delivered(letter, third.address())
    assert scene.wait_returned(letter).recipients == [second.address()]
    wait_held(scene, 1)
    for rule in rules:
        scene.unruling(rule)
    scene.cluster.baridctl("queue", "release", first.domain, "--yes")
    scene.wait_delivered(letter, first.address())
    assert len(scene.reports(letter)) == 1


def test_a_message_to_many_queues_that_fits_as_a_whole_is_one_held_job(scene):
    places = [scene.places.take() for _ in range(4)]
    rule = scene.ruling("queue", "hold", "*", "--sender", SHOP, "--standing")
    letter = scene.send([place.address() for place in places], sender=SHOP)
    wait_held(scene, 1)
    assert job(scene, letter)["place"] == "held" and len(scene.why(letter.message_id)["jobs"]) == 1, "none of its jobs is made"
    scene.unruling(rule)
    scene.cluster.baridctl("msg", "release", letter.message_id, "--yes")
    for place in places:
        scene.wait_delivered(letter, place.address())
    large = scene.ruling("queue", "delete", "*", "--sender", SHOP, "--standing")
    gone = scene.send([place.address() for place in places], sender=SHOP, body=b"x" * 70 + b"\r\n" + b"y" * 70 + b"\r\n")
    kept = scene.send([place.address() for place in places], sender=SHOP, body=(b"z" * 70 + b"\r\n") * 4000)
    for dropped in (gone, kept):
        scene.dropped.update((dropped.ledger_id, recipient) for recipient in dropped.recipients)
    wait.until(lambda: scene.cluster.queue()["waiting"] + scene.cluster.queue()["claimed"] == 0, 20, "all of it has ended")
    assert scene.copies(gone) == [] and scene.copies(kept) == []
    scene.unruling(large)


def test_released_as_a_whole_it_is_not_held_again_job_by_job(scene):
    places = [scene.places.take() for _ in range(3)]
    rule = scene.ruling("queue", "hold", "*", "--sender", SHOP, "--standing")
    letter = scene.send([place.address() for place in places], sender=SHOP)
    wait_held(scene, 1)
    scene.cluster.baridctl("msg", "release", letter.message_id, "--yes")
    for place in places:
        scene.wait_delivered(letter, place.address())
    scene.unruling(rule)


def test_what_waits_is_met_when_it_is_due_and_a_rule_ends_by_its_time(scene):
    place = scene.places.take()
    no = scene.sink.rule("rcpt", reply("450 4.2.1 later"), host=place.first)
    old = scene.send(place.address("old"))
    scene.wait_told(old, "deferred")
    rule = scene.ruling("queue", "hold", place.domain, "--for", "5s")
    wait_held(scene, 1)
    assert job(scene, old)["held_because"].startswith(f"rule {rule}")
    scene.sink.clear(no)
    wait.until(lambda: all(r["rule"] != rule or not r["in_force"] for r in scene.rules()), 15, "its time is over")
    scene.cluster.baridctl("queue", "release", place.domain, "--yes")
    scene.wait_delivered(old)
    scene.wait_delivered(scene.send(place.address("new")), timeout=10)


def test_one_release_is_enough_for_what_the_order_itself_held(scene):
    place = scene.places.take()
    no = scene.sink.rule("rcpt", reply("450 4.2.1 later"), host=place.first)
    waited = scene.send(place.address("waited"))
    scene.wait_told(waited, "deferred")
    rule = scene.ruling("queue", "hold", place.domain, "--standing")
    wait_held(scene, 1)
    scene.sink.clear(no)
    scene.cluster.baridctl("queue", "release", place.domain, "--yes")
    scene.wait_delivered(waited)
    fresh = scene.send(place.address("fresh"))
    wait_held(scene, 1)  # the rule stands for what comes
    scene.unruling(rule)
    scene.cluster.baridctl("queue", "release", place.domain, "--yes")
    scene.wait_delivered(fresh)


def test_an_order_says_what_waits_for_the_queue_to_be_resumed(scene):
    place = scene.places.take()
    scene.ruling("queue", "suspend", place.domain)
    letter = scene.send(place.address())
    wait.until(lambda: scene.cluster.queue()["waiting"] == 1, 10, "it waits")
    told = json.loads(scene.cluster.baridctl("queue", "bounce", place.domain, "--dry-run", "--json"))
    assert told["jobs"] == told["suspended"] == 1
    text = scene.cluster.baridctl("queue", "bounce", place.domain, "--yes")
    assert "1 of them wait in a suspended queue" in text and "baridctl queue resume" in text
    scene.cluster.baridctl("queue", "resume", place.domain, "--yes")
    assert scene.wait_returned(letter).recipients == letter.recipients
