"""
`baridctl queue suspend`: within about a second nobody sends anything of the queue, what was begun is finished, and what comes waits; `queue resume` lets
it flow at once. Whoever dies or starts meanwhile keeps to it.
"""

import time

import pytest
from post import Places
from ruler import Ruler

from harness import wait
from harness.cluster import Cluster
from harness.sink import Gate, ScriptedSink, stall

ABOUT_A_SECOND = 1.5


@pytest.fixture(scope="module")
def scene():
    places = Places(12)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)}, "dispatcher": {"queue_connections": 6, "queue_start": 6}}
        with Cluster(ingress=1, dispatchers=2, couriers=3, settings=settings) as cluster:
            made = Ruler(cluster, sink, "suspend")
            made.places = places
            yield made
            made.assert_balanced()


def suspended(scene):
    return scene.cluster.metric("barid_rules_suspending")


def test_it_rests_within_a_second_under_load_and_flows_again_at_once(scene):
    place = scene.places.take()
    slow = scene.sink.rule("dot", stall(0.06), host=place.first)  # there is more than its connections can take
    with scene.load(place, rate=200, sessions=8) as generator:
        wait.until(lambda: len(scene.mails_to(place.first)) > 100 and scene.why(place.domain)["waiting"] > 100, 20, "mail flows, and more waits")
        scene.give("queue", "suspend", place.domain, "--because", "they are moving house")
        written = time.monotonic()
        scene.wait_quiet(place.first)
        last = scene.mails_to(place.first)[-1].began_at
        assert last - written < ABOUT_A_SECOND, f"the last MAIL came {last - written:.2f} s after the order"
        taken = len(generator.acknowledged())
        generator.wait_acknowledged(taken + 100)
        assert scene.mails_to(place.first)[-1].began_at == last, "what comes, waits"
        told = scene.why(place.domain)
        assert told["suspended"] is True and "they are moving house" in told["because"]
        assert told["claimed"] == 0, "what was not begun has been given back"
        wait.until(lambda: suspended(scene) == 6, 5, "all nodes say that a rule suspends")
        generator.stop()
        scene.sink.clear(slow)
        scene.cluster.baridctl("queue", "resume", place.domain, "--yes")
        resumed = time.monotonic()
        wait.until(lambda: scene.mails_to(place.first, resumed), 5, "mail flows")
        assert scene.mails_to(place.first, resumed)[0].began_at - resumed < ABOUT_A_SECOND
        scene.cluster.wait_empty()
    assert scene.why(place.domain)["suspended"] is False
    wait.until(lambda: suspended(scene) == 0, 5, "no rule does")


def test_what_was_begun_is_finished_and_others_go_on(scene):
    place, other, gate = scene.places.take(), scene.places.take(), Gate()
    scene.sink.rule("dot", stall(gate=gate), host=place.first)
    letters = scene.send_many([place.address(f"r{n}") for n in range(40)])
    gate.wait_held(6)
    scene.ruling("queue", "suspend", place.domain)
    wait.until(lambda: scene.why(place.domain)["claimed"] <= 12, 5, "all but what is on its way is given back")
    begun = [t for t in scene.mails_to(place.first) if t.recipients]
    gate.open()
    scene.wait_delivered(scene.send(other.address()))
    wait.until(lambda: scene.why(place.domain)["claimed"] == 0, 10, "the rest is done")
    scene.sink.clear()
    done = [letter for letter in letters if scene.copies(letter)]
    assert len(done) >= min(6, len(begun)) and scene.why(place.domain)["waiting"] == len(letters) - len(done)
    scene.cluster.baridctl("queue", "resume", place.domain, "--yes")
    for letter in letters:
        scene.wait_delivered(letter)
        assert len(scene.copies(letter)) == 1


def test_who_starts_or_takes_over_keeps_to_it(scene):
    place = scene.places.take()
    scene.ruling("queue", "suspend", place.domain)
    letter = scene.send(place.address())
    for name in ("dispatcher1", "courier1", "courier2", "courier3", "dispatcher2", "dispatcher1"):
        node = scene.cluster.kill(name)
        scene.cluster.restart(node, wait_ready=True)
    wait.until(lambda: scene.cluster.metric("barid_partitions", "dispatcher") == 256, 20, "all partitions are owned again")
    probe = scene.send(scene.places.take().address())
    scene.wait_delivered(probe)
    scene.wait_quiet(place.first)
    assert scene.copies(letter) == []
    told = scene.why(place.domain)
    assert told["suspended"] is True and told["waiting"] == 1
    assert "suspended" in scene.cluster.baridctl("queue", "show", place.domain)
    assert "SUSPENDED" in scene.cluster.baridctl("status")
    scene.cluster.baridctl("queue", "resume", place.domain, "--yes")
    scene.wait_delivered(letter, timeout=5)


def test_a_pattern_rests_what_is_new_and_a_rule_ends_by_itself(scene):
    place = scene.places.take()
    scene.ruling("queue", "suspend", "*", "--for", "4s")
    letter = scene.send(place.address())
    many = scene.send([scene.places.take().address(), place.address("q")])
    scene.wait_quiet(place.first)
    assert scene.copies(letter) == [] and scene.copies(many) == []
    assert scene.why(letter.message_id)["jobs"][0]["queue"]["suspended"] is True
    for one in (letter, many):
        scene.wait_delivered(one, timeout=10)
