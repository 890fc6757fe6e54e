"""TLSRPT: one report per domain and day for the whole cluster, whatever counts, takes and dies (RFC 8460; BEHAVIOURS L14)."""

import json
import os
import struct
import threading

import pytest
from tls_report_scene import DUE, OF, Counts, Mail, ReportHost, check_json, report_scene

from harness import paths, wait
from harness.redis import RedisServer

SPARE = 24


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with report_scene(tmp_path_factory.mktemp("tlsrpt"), SPARE) as reports:
        yield reports


class Wall:
    """The wall clock of a Redis that is started anew."""

    def __init__(self, redis):
        self.path = os.path.join(redis.folder, "wall")
        self.set(0)
        redis.process.env.update({"LD_PRELOAD": paths.compiled("wall_clock.c", "wall_clock.so", "-shared", "-fPIC", "-ldl"), "BARID_WALL_CLOCK": self.path})

    def set(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("<q", seconds))


def couriers(scene):
    return scene.post.cluster.of("courier")


def counted_by(node):
    return sum(value for name, value in node.metrics().items() if name.startswith("barid_tlsrpt_sessions_total"))


@pytest.fixture(scope="module")
def web(scene):
    host = ReportHost(scene.post.authority, "reports.place1.test")
    scene.post.dns.zone.a("reports.place1.test", "127.0.0.1")
    yield host
    host.stop()


# proves: L14
def test_the_counts_of_all_couriers_make_one_report(scene):
    place = scene.want(scene.post.take())
    scene.one_by_one(place, 2)
    scene.wait_counted(place, 2)
    first = next(node for node in couriers(scene) if counted_by(node))
    fault = scene.post.cluster.kill(first)  # what it counted is in Redis
    scene.one_by_one(place, 3)
    scene.wait_counted(place, 5)
    scene.post.cluster.restart(fault, wait_ready=True)
    name = scene.make_due(place)
    assert Counts(scene.wait_mail(place).report).of("no-policy-found") == (5, 0)
    scene.wait_done(name)
    scene.post.cluster.wait_empty()
    assert len(scene.mails(place)) == 1


# proves: L14
def test_many_reports_that_are_due_at_once_are_each_sent_once(scene):
    places = [scene.want(scene.post.take()) for _ in range(8)]
    for place in places:
        scene.post.wait_delivered(scene.post.send(place.address()))
    names = [scene.name(place) for place in places]
    for place in places:
        scene.wait_counted(place, 1)
    scene.redis.zadd(DUE, {name: 1 for name in names}, xx=True)
    for place, name in zip(places, names):
        assert Counts(scene.wait_mail(place).report).of("no-policy-found") == (1, 0)
        scene.wait_done(name)
    scene.post.cluster.wait_empty()
    assert all(len(scene.mails(place)) == 1 for place in places)


# proves: L14
def test_a_courier_killed_between_mail_and_end_sends_no_second_mail(scene, web):
    """It hangs in its POST, the mail committed, when it is killed; another one takes the report, with the same mail, after its time is over."""
    place = scene.post.take()
    scene.want(place, f"mailto:{scene.address(place)},{web.url}")
    scene.one_by_one(place, 1)
    scene.wait_counted(place, 1)
    web.gate, web.asked = threading.Event(), 0
    name = scene.make_due(place)
    wait.until(lambda: web.asked, 20, "a POST")
    mail = scene.wait_mail(place)
    taker = scene.redis.hget(OF + name, ".token").split(".")[0]
    node = next(node for node in couriers(scene) if f"incarnation={taker}" in node.log_text())
    scene.post.cluster.kill(node)
    web.gate.set()
    web.gate = None
    scene.redis.hdel(OF + name, ".sent:mail")  # as if it had died even before it noted that
    scene.redis.zadd(DUE, {name: 1}, xx=True)  # ten minutes are over
    scene.wait_done(name)
    scene.post.cluster.restart(node, wait_ready=True)
    scene.post.cluster.wait_empty()
    assert len(scene.mails(place)) == 1
    posted = [one for one in web.posted if one[2]["report-id"] == mail.report["report-id"]]
    assert 1 <= len(posted) <= 2 and all(one == ("/in", "application/tlsrpt+gzip", mail.report) for one in posted)


# proves: L14
def test_a_courier_killed_before_the_mail_loses_no_report(scene):
    """It waits for the record of the domain, frozen and killed; another one sends the report."""
    place = scene.want(scene.post.take())
    scene.one_by_one(place, 2)
    scene.wait_counted(place, 2)
    name = scene.name(place)
    # As a courier leaves it that took it, and died.
    scene.redis.hset(OF + name, mapping={".token": "1.1", ".taken": str(scene.post.cluster.redis.client().time()[0] * 1000)})
    scene.redis.zadd(DUE, {name: 1}, xx=True)
    assert Counts(scene.wait_mail(place).report).of("no-policy-found") == (2, 0)
    scene.wait_done(name)


# proves: L14
def test_what_is_counted_after_the_report_was_taken_starts_no_second_one(scene):
    place = scene.want(scene.post.take())
    scene.one_by_one(place, 1)
    scene.wait_counted(place, 1)
    name = scene.make_due(place)
    scene.wait_mail(place)
    scene.wait_done(name)
    before = scene.post.cluster.metric("barid_tlsrpt_dropped_total", "courier")
    scene.one_by_one(place, 2)
    wait.until(lambda: scene.post.cluster.metric("barid_tlsrpt_dropped_total", "courier") == before + 2, 20, "both are dropped")
    assert scene.redis.zscore(DUE, name) is None and len(scene.mails(place)) == 1


# proves: L13
def test_a_place_that_is_away_gets_it_later_and_once(scene, web):
    place = scene.post.take()
    scene.want(place, web.url)
    scene.one_by_one(place, 1)
    scene.wait_counted(place, 1)
    web.refuse, posted = 2, len(web.posted)
    name = scene.make_due(place)
    scene.wait_done(name)
    assert len(web.posted) == posted + 1 and web.refuse == -1
    check_json(web.posted[-1][2], place.domain, name[:10])
    assert not scene.mails(place)


# proves: L14
def test_the_operator_sees_what_is_to_be_sent_and_hurries_it(scene):
    place = scene.want(scene.post.take())
    scene.one_by_one(place, 1)
    scene.wait_counted(place, 1)
    name, baridctl = scene.name(place), scene.post.cluster.baridctl
    listed = json.loads(baridctl("tlsrpt", "list", "--json", "--limit", "0"))
    row = next(row for row in listed["reports"] if row["domain"] == place.domain)
    assert f"{row['day']} {row['domain']}" == name and row["due_ms"] == scene.redis.zscore(DUE, name) and listed["total"] == len(listed["reports"])
    assert place.domain in baridctl("tlsrpt", "list")
    for day, status in [("2001-01-01", 1), ("yesterday", 2)]:
        with pytest.raises(AssertionError, match=f"ended with {status}"):
            baridctl("tlsrpt", "send", place.domain, "--day", day)
    assert baridctl("tlsrpt", "send", place.domain).startswith("1 to be sent")
    assert scene.wait_mail(place).domain == place.domain
    scene.wait_done(name)
    with pytest.raises(AssertionError, match="no report about"):
        baridctl("tlsrpt", "send", place.domain)


# proves: L13
def test_no_web_server_of_ours_is_written_to(scene, tmp_path_factory):
    """Addresses that mail may not go to are none for reports."""
    with report_scene(tmp_path_factory.mktemp("private"), 1, couriers=1, settings={"courier": {"allow_private": ["127.0.1.0/24", "127.0.2.0/24", "127.0.0.9"]}}) as other:
        host = ReportHost(other.post.authority, "reports.place1.test")
        other.post.dns.zone.a("reports.place1.test", "127.0.0.1")
        place = other.want(other.post.take(), host.url)
        other.one_by_one(place, 1)
        other.wait_counted(place, 1)
        name = other.make_due(place)
        other.post.cluster.wait_log("courier", "event=tlsrpt_failed .*none to connect to")
        assert not host.asked and other.redis.zscore(DUE, name)
        host.stop()


# proves: L13
def test_a_report_makes_no_report(scene):
    """Reports to a domain that asks for reports itself."""
    place, about = scene.want(scene.post.take()), scene.post.take()
    scene.want(about, f"mailto:{place.address('tls')}")
    scene.one_by_one(about, 1)
    scene.wait_counted(about, 1)
    scene.wait_done(scene.make_due(about))
    wait.until(lambda: [t for t in scene.sink.taken() if place.address("tls") in t.recipients], 20, "the report")
    scene.post.wait_closed(place)
    scene.one_by_one(place, 1)
    scene.wait_counted(place, 1)


# proves: L13
def test_reports_go_to_hosts_whose_tls_is_broken(scene):
    place = scene.post.publish(scene.post.take())
    scene.want(place, f"mailto:{place.address('tls')}")
    scene.post.strip(place)
    letter = scene.post.send(place.address())
    scene.post.wait_told(letter, "deferred")
    wait.until(lambda: scene.counted(place)[1] >= 2, 20, "failures at both hosts")
    scene.make_due(place)
    arrived = wait.until(lambda: next((t for t in scene.sink.taken() if place.address("tls") in t.recipients), None), 20, "the report")
    assert not arrived.session.tls
    assert set(Counts(Mail(arrived).report).failures()) == {"starttls-not-supported"}
    scene.sink.secure(scene.post.pem, place.first, place.second)
    scene.post.cluster.baridctl("queue", "retry", place.domain, "--yes")
    scene.post.wait_delivered(letter)


# proves: L14
def test_a_courier_that_ends_in_order_loses_no_count(tmp_path_factory):
    with report_scene(tmp_path_factory.mktemp("orderly"), 1, couriers=1, settings={"tlsrpt": {"interval": "5min"}}) as other:
        place = other.want(other.post.take())
        other.one_by_one(place, 2)
        node = couriers(other)[0]
        node.process.terminate()
        assert other.counted(place) == (2, 0)
        node.process.start()


# proves: L14
def test_midnight_makes_reports_due(tmp_path_factory):
    """Redis' clock is the cluster's; it comes to five past midnight."""
    with RedisServer(witness=False, name="wall") as redis:
        wall = Wall(redis)
        redis.stop()
        redis.process.start()
        redis.process.wait_until(redis._is_ready, 20, "redis")
        with report_scene(tmp_path_factory.mktemp("midnight"), 1, redis=redis, settings={"tlsrpt": {"spread": "0s"}}) as other:
            place = other.want(other.post.take())
            other.one_by_one(place, 2)
            other.wait_counted(place, 2)
            name, now = other.name(place), other.redis.time()[0]
            midnight = now - now % 86400 + 86400
            assert other.redis.zscore(DUE, name) == (midnight + 300) * 1000 and not other.mails(place)
            wall.set(midnight + 301 - now)
            mail = other.wait_mail(place)
            assert mail.day == name[:10] and Counts(mail.report).of("no-policy-found") == (2, 0)
            other.wait_done(name)
            other.one_by_one(place, 1)  # belongs to the next day
            tomorrow = wait.until(lambda: next((found for found in other.redis.zrange(DUE, 0, -1)), None), 20, "counts of the next day")
            assert tomorrow[:10] > mail.day and len(other.mails(place)) == 1
