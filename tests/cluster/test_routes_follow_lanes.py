"""Mail goes by the route of its domain and lane: smart hosts by sender and tenant, backups, hold, discard; and where it goes follows the settings."""

import json
import smtplib

import pytest
from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import Gate, ScriptedSink, reply, stall

HOSTS = [f"127.0.0.{n}" for n in range(1, 10)]
MX, SMART, EXACT, BACKUP, TENANT, NOTES, HOME = HOSTS[0], HOSTS[1], HOSTS[2], HOSTS[3], HOSTS[4], HOSTS[5], HOSTS[8]
DEAD = "127.0.5.1"
LISTENERS = {"open": {"role": "internal", "trusted_networks": ["127.0.0.0/8"]},
             "users": {"role": "submission", "tls": "off", "auth_without_tls": True}}


@pytest.fixture(scope="module")
def scene():
    zone = Zone(ttl=0)
    for domain in ("one.test", "two.test", "exact.test", "held.test", "moved.test", "gone.test", "late.test", "both.test", "plain.test", "unread.test"):
        zone.mx(domain, "mx.test")
    zone.a("mx.test", MX)
    with ScriptedSink(HOSTS) as sink, Dns(zone) as dns:
        def at(host):
            return f"{host}:{sink.port}"
        settings = {
            "lanes": {"bulk": {"senders": ["@news.test", "vip@origin.test"]}, "acme": {"tenants": ["acme"]},
                      "notes": {"senders": ["<>"]}, "sub": {"senders": ["@.news.test"]}},
            "transports": {"smart": {"hosts": [at(SMART)]}, "twice": {"hosts": [at(DEAD), at(BACKUP)]}, "tenant": {"hosts": [at(TENANT)]},
                           "plain": {}},
            "courier": {"port": sink.port, "idle_time": "0s", "routes": {
                "*/bulk": "smart", "exact.test/bulk": at(EXACT), "exact.test": "mx", "two.test": "mx", "*/sub": "twice", "*/notes": at(NOTES), "*/acme": "tenant",
                "held.test": "hold", "gone.test": "discard", "xn--bcher-kva.test": "discard", "origin.test": at(HOME), "paused.test": at(DEAD), "plain.test": "plain"}},
            "retry": {"first": "1s", "longest": "2s"},
        }
        with Cluster(dns_port=dns.port, settings=settings, listeners=LISTENERS) as cluster:
            cluster.add_user("ann@acme.test", "secret", "--tenant", "acme")
            post = Post(cluster, sink)
            post.at = at
            yield post
            post.assert_balanced()


def submit(scene, recipient):
    """As a user of the tenant."""
    letter = scene.letter(recipient, sender="ann@acme.test")
    with smtplib.SMTP(*scene.cluster.address("users"), timeout=30) as client:
        client.ehlo("client.test")
        client.login("ann@acme.test", "secret")
        scene.hand_over(client, letter)
    return letter


# proves: I16 H20
@pytest.mark.parametrize("sender, recipient, host", [
    ("s@origin.test", "r@one.test", MX), ("s@news.test", "r@one.test", SMART), ("S@NEWS.TEST", "r@one.test", SMART),
    ("vip@origin.test", "r@one.test", SMART), ("vip2@origin.test", "r@one.test", MX),
    ("s@news.test", "r@exact.test", EXACT), ("s@origin.test", "r@exact.test", MX),
    ("s@news.test", "r@two.test", MX), ("s@news.test", "r@plain.test", MX)])
def test_the_more_exact_domain_wins_then_the_lane(scene, sender, recipient, host):
    assert scene.wait_delivered(scene.send(recipient, sender=sender)).session.host == host


# proves: I16
def test_a_backup_host_takes_what_the_first_cannot(scene):
    letter = scene.send("r@one.test", sender="s@sub.news.test")
    assert scene.wait_delivered(letter).session.host == BACKUP
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: I16 H20
def test_a_tenants_mail_goes_by_the_tenants_smart_host(scene):
    assert scene.wait_delivered(submit(scene, "r@one.test")).session.host == TENANT


# proves: I16
def test_notifications_have_the_lane_of_the_null_sender(scene):
    rule = scene.sink.rule("rcpt", reply("550 5.1.1 nobody"), recipient="nobody@one.test")
    letter = scene.send("nobody@one.test", sender="s@news.test")
    assert scene.wait_returned(letter).transaction.session.host == NOTES
    scene.sink.clear(rule)


# proves: I16 H17
def test_a_tenants_dead_smart_host_delays_nobody_else(scene):
    gate = Gate()
    rule = scene.sink.rule("connect", stall(gate=gate), host=TENANT)
    try:
        waiting = submit(scene, "r@one.test")
        gate.wait_held()
        letters = [scene.send("r@one.test", sender=sender) for sender in ("s@origin.test", "s@news.test")]
        assert [scene.wait_delivered(letter).session.host for letter in letters] == [MX, SMART]
        assert not scene.copies(waiting)
    finally:
        scene.sink.clear(rule)
        gate.open()
    assert scene.wait_delivered(waiting).session.host == TENANT


# proves: I16
def test_one_message_to_many_domains_takes_each_domains_route(scene):
    letter = scene.send(["r@exact.test", "r@one.test", "r@two.test"], sender="s@news.test")
    hosts = {recipient: scene.wait_delivered(letter, recipient).session.host for recipient in letter.recipients}
    assert hosts == {"r@exact.test": EXACT, "r@one.test": SMART, "r@two.test": MX}


# proves: I16
def test_what_a_route_holds_goes_on_when_it_is_released(scene):
    letter = scene.send("r@held.test")
    scene.cluster.wait_empty(held=1)
    assert "held by the route" in scene.cluster.baridctl("why", letter.message_id)
    assert not scene.copies(letter)
    scene.cluster.baridctl("queue", "release", "held.test", "--yes")
    assert scene.wait_delivered(letter).session.host == MX
    scene.cluster.wait_empty()


# proves: I16
def test_what_a_route_discards_is_told_and_counted(scene):
    before = scene.cluster.metric("barid_discarded_total")
    letter = scene.send(["a@gone.test", "b@gone.test"])
    scene.cluster.wait_empty()
    assert scene.cluster.metric("barid_discarded_total") == before + 2
    assert {line["to"] for line in scene.told(letter, "discarded")} == {"a@gone.test", "b@gone.test"}
    assert "discarded" in scene.cluster.baridctl("trace", letter.message_id)
    scene.dropped |= {(letter.ledger_id, recipient) for recipient in letter.recipients}


# proves: I16
def test_queued_mail_follows_a_changed_route(scene):
    rule = scene.sink.rule("rcpt", reply("450 4.2.0 later"), domain="late.test", host=MX)
    letter = scene.send("r@late.test")
    scene.wait_told(letter, "deferred")
    scene.cluster.reload({"courier": {"routes": {"late.test": scene.at(EXACT)}}})
    assert scene.wait_delivered(letter).session.host == EXACT
    scene.sink.clear(rule)


# proves: I16 A06
def test_queued_mail_follows_a_changed_lane(scene):
    rule = scene.sink.rule("rcpt", reply("450 4.2.0 later"), domain="moved.test", host=MX)
    letter = scene.send("r@moved.test", sender="later@origin.test")
    scene.wait_told(letter, "deferred")
    before = scene.cluster.metric("barid_moved_total")
    scene.cluster.reload({"lanes": {"moving": {"senders": ["later@origin.test"]}}, "courier": {"routes": {"*/moving": scene.at(EXACT)}}})
    assert scene.wait_delivered(letter).session.host == EXACT
    assert scene.cluster.metric("barid_moved_total") == before + 1
    assert "from moved.test to moved.test/moving" in scene.cluster.baridctl("trace", letter.message_id)
    second = scene.send("r@moved.test", sender="later@origin.test")
    assert scene.wait_delivered(second).session.host == EXACT
    scene.sink.clear(rule)


# proves: I16
def test_a_move_reads_no_content(scene):
    """A changed lane may move a million jobs: none of their content is fetched for it. Here it is lost, which nobody notices before the new queue."""
    rule = scene.sink.rule("rcpt", reply("450 4.2.0 later"), domain="unread.test", host=MX)
    letter = scene.send("r@unread.test", sender="unread@origin.test")
    job = scene.wait_told(letter, "deferred")[0]["job"]
    redis = scene.cluster.redis.client()
    keys = [key for key in redis.scan_iter("b:*", 1000) if job.encode() in key]
    assert redis.delete(*keys) == 1
    scene.cluster.reload({"lanes": {"unread": {"senders": ["unread@origin.test"]}}})
    _, held = scene.cluster.wait_log("courier", rf"event=held [^\n]*job={job} [^\n]*")
    assert "queue=unread.test/unread " in held.group(0)
    scene.cluster.baridctl("queue", "delete", "unread.test/unread", "--yes")
    scene.dropped.add((letter.ledger_id, letter.recipients[0]))
    scene.sink.clear(rule)


# proves: I16
def test_queued_mail_follows_the_end_of_its_lane(scene):
    rule = scene.sink.rule("rcpt", reply("450 4.2.0 later"), domain="both.test", host=SMART)
    letter = scene.send("r@both.test", sender="s@news.test")
    scene.wait_told(letter, "deferred")
    scene.cluster.reload({"lanes": {"bulk": {"senders": ["vip@origin.test"]}}})
    assert scene.wait_delivered(letter).session.host == MX
    scene.cluster.reload({"lanes": {"bulk": {"senders": ["@news.test", "vip@origin.test"]}}})
    scene.sink.clear(rule)


# proves: I16
def test_settings_that_contradict_each_other_change_nothing(scene):
    scene.cluster.wait_empty()
    scene.cluster.reload({"courier": {"routes": {"one.test": "nosuch"}}})
    try:
        _, match = scene.cluster.wait_log("courier", r'event=config_refused .*barid.yaml:\d+: courier.routes: [^\n]*')
        assert "add it to transports" in match.group(0)
        assert scene.wait_delivered(scene.send("r@one.test")).session.host == MX
    finally:
        del scene.cluster.settings["courier"]["routes"]["one.test"]
        scene.cluster.reload()


# proves: I17
def test_one_destination_has_one_queue_however_it_is_written(scene):
    letters = [scene.send(f"r@{domain}", options=options) for domain, options in
               (("b\u00fccher.test", ("SMTPUTF8",)), ("B\u00dcCHER.Test", ("SMTPUTF8",)), ("XN--BCHER-KVA.test", ()), ("xn--bcher-kva.test", ()))]
    queues = {scene.wait_told(letter, "discarded")[0]["queue"] for letter in letters}
    scene.dropped |= {(letter.ledger_id, recipient) for letter in letters for recipient in letter.recipients}
    assert queues == {"xn--bcher-kva.test"}


# proves: I16
@pytest.mark.parametrize("asked, queue, transport", [
    (["r@one.test"], "one.test", "mx"), (["one.test", "--sender", "s@news.test"], "one.test/bulk", "smart"),
    (["one.test", "--tenant", "acme"], "one.test/acme", "tenant"), (["R@Held.TEST"], "held.test", "hold"),
    (["exact.test", "--sender", "s@news.test"], "exact.test/bulk", "static"), (["r@[192.0.2.1]"], "[192.0.2.1]", "mx")])
def test_baridctl_tells_which_way_mail_takes(scene, asked, queue, transport):
    told = json.loads(scene.cluster.baridctl("route", *asked, "--json"))
    assert (told["queue"], told["transport"]) == (queue, transport)


# proves: I16
def test_a_paused_queue_is_tried_at_once_when_its_route_changes(scene):
    def loaded():
        return [node.log_text().count("event=config_loaded") for node in scene.cluster.nodes]

    before = loaded()
    scene.cluster.reload({"dispatcher": {"pause_first": "5min", "pause_longest": "5min"}})
    wait.until(lambda: all(now > was for now, was in zip(loaded(), before)), 20, "the new settings everywhere")
    letter = scene.send("r@paused.test")
    scene.cluster.wait_log("dispatcher", r"event=queue_paused .*queue=paused.test")
    scene.cluster.reload({"courier": {"routes": {"paused.test": scene.at(EXACT)}}, "dispatcher": {"pause_first": "200ms", "pause_longest": "2s"}})
    assert scene.wait_delivered(letter).session.host == EXACT
