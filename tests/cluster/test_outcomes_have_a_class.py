"""Why mail was put off or failed is sorted into classes, which logs, history, metrics and baridctl tell alike; the operator's rules come first."""

import json
import subprocess

import pytest
from post import Places, Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, drop, reply

CTL = paths.program("baridctl")


@pytest.fixture(scope="module")
def scene():
    places = Places(20)
    with ScriptedSink(places.hosts()) as sink:
        settings = {"courier": {"port": sink.port, "routes": places.routes(sink.port)},
                    "retry": {"first": "60s", "longest": "60s"}}
        with Cluster(couriers=1, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.places = places
            yield post
            post.assert_balanced()


@pytest.fixture
def place(scene):
    return scene.places.take()


def refuse(scene, place, text, stage="rcpt", **more):
    return [scene.sink.rule(stage, reply(text), host=host, **more) for host in (place.first, place.second)]


def ctl(scene, *arguments):
    return json.loads(scene.cluster.baridctl(*arguments, "--json", timeout=60))


def counted(scene, name, bounce):
    return scene.cluster.metric(f'barid_{name}_total{{class="{bounce}"}}', "courier")


def released(scene, letter, rules):
    scene.sink.clear(*rules)
    scene.cluster.baridctl("msg", "retry", letter.message_id, "--yes")
    scene.wait_delivered(letter)


def test_a_deferral_tells_its_class_everywhere(scene, place):
    before = counted(scene, "deferred", "full")
    rules = refuse(scene, place, "452 4.2.2 The email account that you tried to reach is over quota")
    letter = scene.send(place.address())
    line, = scene.wait_told(letter, "deferred")
    assert (line["class"], line["status"]) == ("full", "4.2.2")
    wait.until(lambda: counted(scene, "deferred", "full") == before + 1, 10, "it is counted")
    wait.until(lambda: any(event["event"] == "deferred" for event in ctl(scene, "trace", letter.message_id)["events"]), 10, "it is history")
    deferred = [event for event in ctl(scene, "trace", letter.message_id)["events"] if event["event"] == "deferred"]
    assert "deferred 4.2.2 (full)" in deferred[0]["detail"]
    why, = ctl(scene, "why", letter.message_id)["jobs"]
    assert why["last_error"]["bounce"] == "full" and why["last_error"]["status"] == "4.2.2"
    assert "over quota (full)" in scene.cluster.baridctl("why", letter.message_id)
    shown, = ctl(scene, "msg", "show", letter.message_id)["jobs"]
    assert shown["recipients"][0]["last"]["bounce"] == "full"
    listed, = ctl(scene, "queue", "show", place.domain)["jobs"]
    assert listed["last_error"]["bounce"] == "full"
    assert [job["job"] for job in ctl(scene, "queue", "show", place.domain, "--class", "full")["jobs"]] == [f"{letter.message_id}.0"]
    assert ctl(scene, "queue", "show", place.domain, "--class", "rate")["jobs"] == []
    released(scene, letter, rules)


def test_a_failure_tells_its_class(scene, place):
    before = counted(scene, "failed", "bad-mailbox"), scene.cluster.metric("barid_failed_total", "courier")
    rules = refuse(scene, place, "550 5.1.1 <spam@rate.test>: Recipient address rejected: User unknown in relay recipient table")
    letter = scene.send(place.address())
    line, = scene.wait_told(letter, "bounced")
    assert line["class"] == "bad-mailbox"
    scene.wait_returned(letter)
    wait.until(lambda: counted(scene, "failed", "bad-mailbox") == before[0] + 1, 10, "it is counted")
    assert scene.cluster.metric("barid_failed_total", "courier") == before[1] + 1
    bounced, = [event for event in ctl(scene, "trace", letter.message_id)["events"] if event["event"] == "bounced"]
    assert "failed 5.1.1 (bad-mailbox)" in bounced["detail"]
    scene.sink.clear(*rules)


@pytest.mark.parametrize("greeting, bounce", [(reply("554 5.7.1 mail from here is blocked using zen.spamhaus.org", then_drop=True), "reputation"),
                                              (drop(), "network")])
def test_hosts_that_do_not_greet_have_a_class_too(scene, place, greeting, bounce):
    """What a courier says in its own words comes with a class of its own."""
    rules = [scene.sink.rule("connect", greeting, host=host) for host in (place.first, place.second)]
    letter = scene.send(place.address())
    assert scene.wait_told(letter, "deferred")[0]["class"] == bounce
    scene.sink.clear(*rules)
    scene.cluster.baridctl("queue", "retry", place.domain, "--yes")
    scene.wait_delivered(letter)


def test_recipients_of_one_message_have_their_own(scene, place):
    rules = refuse(scene, place, "450 4.7.1 Greylisted, try again", recipient=place.address("new")) + \
        refuse(scene, place, "450 4.2.1 The user you are trying to contact is receiving mail too quickly", recipient=place.address("busy"))
    letter = scene.send([place.address("new"), place.address("busy"), place.address("fine")])
    told = {line["to"]: line["class"] for line in scene.wait_told(letter, "deferred", 2)}
    assert told == {place.address("new"): "greylist", place.address("busy"): "rate"}
    assert "class" not in scene.wait_told(letter, "delivered")[0]
    released(scene, letter, rules)


def test_rules_of_the_operator_come_first_and_change_live(scene, place):
    rules = refuse(scene, place, "450 4.7.1 computer says no")
    first = scene.send(place.address())
    assert scene.wait_told(first, "deferred")[0]["class"] == "policy"
    courier, = scene.cluster.of("courier")
    loads = courier.log_text().count("event=config_loaded")
    scene.cluster.reload({"courier": {"bounce_rules": {"45x computer * no": "unavailable"}}})
    wait.until(lambda: courier.log_text().count("event=config_loaded") > loads, 10, "the new settings")
    second = scene.send(place.address())
    assert scene.wait_told(second, "deferred")[0]["class"] == "unavailable"
    assert scene.cluster.baridctl("bounces", "450 4.7.1 computer says no").strip() == "unavailable"
    for letter in (first, second):
        released(scene, letter, rules)


@pytest.mark.parametrize("rules, said", [({"45x computer * no": "bad_luck"}, '"45x computer * no": "bad_luck" is no class'),
                                         ({"*": "policy"}, '"*": expected a host, code, enhanced code or words')])
def test_a_rule_that_cannot_be_read_is_named_at_the_start(scene, tmp_path, rules, said):
    conf = tmp_path / "barid.yaml"
    conf.write_text(json.dumps({"courier": {"bounce_rules": rules}}))
    for program in ([paths.program("barid-courier"), "--config", str(conf), "--check"], [CTL, "config", "check", str(conf)]):
        done = subprocess.run(program, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
        assert done.returncode in (1, 2) and f"{conf}:1: courier.bounce_rules: {said}" in done.stderr.decode(), done
