"""MTA-STS: a policy once found is one for all couriers, and stays in force for its time, whatever DNS, web servers and Redis do meanwhile."""

import pytest
from sts_scene import sts_scene

from harness import wait
from harness.dns import rcode, silence
from harness.policy_host import Answer, policy


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with sts_scene(tmp_path_factory.mktemp("sts"), 40, couriers=2) as post:
        yield post


GONE = Answer("gone\n", "404 Not Found")


def record(place):
    return "barid:{c}:sts:" + place.domain


def claim(place):
    return "barid:{c}:sts-fetch:" + place.domain


def forget_routes(scene, tls_out=None):
    """New settings; hosts and policies are asked for again by the next mail, over new connections."""
    couriers = scene.cluster.of("courier")
    before = [node.log_text().count("event=config_loaded") for node in couriers]
    scene.cluster.reload({"tls_out": tls_out or {}})
    wait.until(lambda: all(node.log_text().count("event=config_loaded") > count for node, count in zip(couriers, before)), 20, "settings read")
    wait.until(lambda: all(session.closed_at for session in scene.sink.sessions), 20, "all connections closed")


def assert_in_force(scene, place):
    """Mail waits while its hosts have no TLS, and goes by proven TLS when they have."""
    scene.strip(place)
    letter = scene.send(place.address())
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.4" and scene.copies(letter) == []
    scene.sink.secure(scene.pem, place.first, place.second)
    scene.wait_proven(letter)


def settle_in(scene):
    """A place whose policy has been fetched."""
    place = scene.publish(scene.take())
    scene.wait_proven(scene.send(place.address()))
    assert scene.fetches(place) == 1
    return place


OUTAGES = {
    "no record": lambda scene, name, place: scene.announce(place),
    "two records": lambda scene, name, place: scene.announce(place, "v=STSv1; id=1;", "v=STSv1; id=2;"),
    "SERVFAIL": lambda scene, name, place: scene.dns.on(name, "TXT", rcode("SERVFAIL")),
    "NXDOMAIN": lambda scene, name, place: scene.dns.on(name, "TXT", rcode("NXDOMAIN")),
    "no answer": lambda scene, name, place: scene.dns.on(name, "TXT", silence()),
    "no policy host": lambda scene, name, place: scene.dns.zone.remove(f"mta-sts.{place.domain}"),
}


# proves: L11
@pytest.mark.parametrize("outage", OUTAGES)
def test_a_policy_in_force_outlives(scene, outage):
    place = settle_in(scene)
    scene.policy_host.serve(place.domain, GONE)
    OUTAGES[outage](scene, f"_mta-sts.{place.domain}", place)
    forget_routes(scene)
    assert_in_force(scene, place)
    assert scene.fetches(place) == 1


# proves: L11
def test_a_courier_that_starts_anew_finds_what_was_known(scene):
    place = settle_in(scene)
    scene.policy_host.serve(place.domain, GONE)
    scene.announce(place)
    for node in scene.cluster.of("courier"):
        scene.cluster.restart(scene.cluster.kill(node), wait_ready=True)
    assert_in_force(scene, place)
    assert scene.fetches(place) == 1


# proves: L11
def test_what_one_courier_has_fetched_all_have(scene):
    place = scene.publish(scene.take())
    letter = scene.send(place.address())
    scene.wait_proven(letter)
    first = scene.wait_told(letter, "delivered")[0]["node"].partition(".")[0]
    killed = scene.cluster.kill(first)
    letter = scene.send(place.address())
    scene.wait_proven(letter)
    assert scene.wait_told(letter, "delivered")[0]["node"].partition(".")[0] != first
    assert scene.fetches(place) == 1
    scene.cluster.restart(killed, wait_ready=True)


# proves: L11
def test_a_policy_outlives_a_redis_that_loses_power(scene):
    place = settle_in(scene)
    scene.announce(place)
    scene.cluster.cut_redis()
    scene.cluster.wait_ready()
    forget_routes(scene)
    assert_in_force(scene, place)
    assert scene.fetches(place) == 1


# proves: L11
def test_a_policy_in_memory_outlives_a_redis_that_has_lost_it(scene):
    place = scene.publish(scene.take())
    letter = scene.send(place.address())
    scene.wait_proven(letter)
    knows = scene.wait_told(letter, "delivered")[0]["node"].partition(".")[0]
    other = scene.cluster.kill(next(node for node in scene.cluster.of("courier") if node.name != knows))
    scene.announce(place)
    assert scene.cluster.redis.client().delete(record(place)) == 1
    wait.until(lambda: all(session.closed_at for session in scene.sessions(place)), 20, "all connections closed")
    scene.strip(place)
    scene.cluster.reload()
    letter = scene.send(place.address())
    scene.wait_told(letter, "deferred", 2)
    assert scene.copies(letter) == []
    scene.sink.secure(scene.pem, place.first, place.second)
    scene.wait_proven(letter)
    assert scene.fetches(place) == 1
    scene.cluster.restart(other, wait_ready=True)


# proves: L11
def test_a_new_id_brings_the_new_policy_and_nothing_else_does(scene):
    place = settle_in(scene)
    scene.policy_host.serve(place.domain, policy(f"mx2.{place.domain}"))
    forget_routes(scene)
    assert scene.wait_proven(scene.send(place.address())).session.host == place.first
    assert scene.fetches(place) == 1
    scene.announce(place, "v=STSv1; id=2;")
    wait.until(lambda: scene.fetches(place) == 2 or (forget_routes(scene), scene.wait_delivered(scene.send(place.address()))) and None, 30,
               "the new policy")
    forget_routes(scene)
    assert scene.wait_proven(scene.send(place.address())).session.host == place.second
    scene.publish(place, policy(mode="none"), record="3")
    wait.until(lambda: scene.fetches(place) == 3 or (forget_routes(scene), scene.wait_delivered(scene.send(place.address()))) and None, 30,
               "the end of the policy")
    scene.strip(place)
    forget_routes(scene)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None


# proves: L11
def test_a_failed_fetch_is_not_repeated_at_once_by_any_courier(scene):
    forget_routes(scene, {"sts_retry": "5min"})
    try:
        place = scene.publish(scene.take(), GONE)
        scene.strip(place)
        letter = scene.send(place.address())
        scene.wait_delivered(letter)
        assert scene.cluster.redis.client().get(claim(place)) == b"failed 1"
        assert 240000 < scene.cluster.redis.client().pttl(claim(place)) <= 300000
        forget_routes(scene)
        scene.wait_delivered(scene.send(place.address()))
        killed = scene.cluster.kill(scene.wait_told(letter, "delivered")[0]["node"].partition(".")[0])
        scene.wait_delivered(scene.send(place.address()))
        scene.cluster.restart(killed, wait_ready=True)
        assert scene.fetches(place) == 1
    finally:
        forget_routes(scene, {"sts_retry": "300ms"})


# proves: L11
def test_one_courier_fetches_and_the_others_wait_for_it(scene):
    place, redis = scene.publish(scene.take()), scene.cluster.redis.client()
    redis.set(claim(place), "by somebody else", px=60000)
    letter = scene.send(place.address())
    wait.until(lambda: scene.dns.count(f"_mta-sts.{place.domain}") > 0, 20, "the TXT question")
    assert scene.copies(letter) == [] and scene.fetches(place) == 0
    redis.delete(claim(place))
    scene.wait_proven(letter)
    assert scene.fetches(place) == 1 and redis.exists(claim(place)) == 0
    other = scene.publish(scene.take())
    forget_routes(scene, {"sts_wait": "300ms"})
    try:
        redis.set(claim(other), "by somebody else", px=60000)
        scene.strip(other)
        assert scene.wait_delivered(scene.send(other.address())).session.tls is None, "nobody waits for ever"
        assert scene.fetches(other) == 0
    finally:
        redis.delete(claim(other))
        forget_routes(scene, {"sts_wait": "10s"})


# proves: L11
def test_a_policy_in_use_is_renewed_before_it_ends(scene):
    place = scene.take()
    scene.publish(place, policy(f"mx1.{place.domain}", max_age=6))
    scene.wait_proven(scene.send(place.address()))
    wait.until(lambda: scene.fetches(place) == 2, 20, "a second fetch without any mail")
    first, second = [at for at, host, *_ in scene.policy_host.requests if place.domain in host][:2]
    assert second - first < 6, "that is before it ended"
    daily = scene.publish(scene.take())
    forget_routes(scene, {"sts_refresh": "500ms"})
    try:
        scene.wait_proven(scene.send(daily.address()))
        wait.until(lambda: scene.fetches(daily) >= 4, 20, "renewals, however far its end is")
        scene.announce(daily)
        count = scene.fetches(daily)
        wait.until(lambda: scene.fetches(daily) >= count + 3, 20, "renewals without a TXT record")
        scene.policy_host.serve(daily.domain, GONE)
        line = scene.wait_line("sts_not_renewed", daily, 2)
        assert line["why"] == "HTTP status 404" and int(line["expires_in"]) > 80000
        assert_in_force(scene, daily)
    finally:
        forget_routes(scene, {"sts_refresh": "1d"})


# proves: L11
def test_a_policy_ends_when_its_time_is_over(scene):
    place = scene.take()
    scene.publish(place, policy(f"mx1.{place.domain}", max_age=2))
    scene.wait_proven(scene.send(place.address()))
    scene.policy_host.serve(place.domain, GONE)
    scene.announce(place)
    assert 0 < scene.cluster.redis.client().pttl(record(place)) <= 2000
    wait.until(lambda: not scene.cluster.redis.client().exists(record(place)), 20, "the end of its time")
    scene.strip(place)
    forget_routes(scene)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None


# proves: L11
@pytest.mark.parametrize("kind", ["garbage", "another domain's", "another type"])
def test_what_redis_should_not_have_is_no_policy(scene, kind):
    place, redis = scene.take(), scene.cluster.redis.client()
    if kind == "garbage":
        redis.set(record(place), b"\x01garbage")
    elif kind == "another type":
        redis.hset(record(place), "a", "b")
        redis.hset(claim(place), "a", "b")
    else:
        redis.set(record(place), redis.get(record(settle_in(scene))))
    scene.strip(place)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None
    assert scene.fetches(place) == 0


def test_a_domain_without_a_policy_costs_redis_one_question_for_minutes(scene):
    place, redis = scene.take(), scene.cluster.redis.client()
    with redis.monitor() as monitor:
        for _ in range(3):
            scene.wait_delivered(scene.send(place.address()))
            forget_routes(scene)
        redis.echo("the end")
        commands = []
        while not commands or "the end" not in commands[-1]:
            commands.append(monitor.next_command()["command"])
    assert len([command for command in commands if place.domain in command and "sts" in command]) == 1
    assert scene.dns.count(f"_mta-sts.{place.domain}", "TXT") == 3, "the DNS of this test keeps no negative answers"
