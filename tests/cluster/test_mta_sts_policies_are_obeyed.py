"""MTA-STS: a policy that a domain publishes as RFC 8461 says is found and obeyed; what is not published so is no policy, and holds up no mail."""

import ssl
import threading

import pytest
from sts_scene import sts_scene

from harness import wait
from harness.policy_host import PATH, Answer, PolicyHost, policy


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with sts_scene(tmp_path_factory.mktemp("sts"), 64) as post:
        yield post


def text_for(place, **more):
    return policy(f"mx1.{place.domain}", f"mx2.{place.domain}", **more)


# proves: L09 L10
def test_mail_goes_by_proven_tls_to_a_host_of_the_policy(scene):
    place = scene.publish(scene.take())
    letter = scene.send(place.address())
    arrived = scene.wait_proven(letter)
    assert arrived.session.host == place.first and arrived.session.sni == f"mx1.{place.domain}"
    assert [(host, method, path) for _, host, method, path in scene.policy_host.requests if place.domain in host] == [
        (f"mta-sts.{place.domain}", "GET", PATH)]
    fetched = scene.wait_line("sts_fetched", place)
    assert fetched["id"] == "1" and fetched["max_age"] == "86400" and fetched["mx"] == "2"


GOOD = {
    "lines ended by LF": lambda place: text_for(place, end="\n"),
    "unknown keys": lambda place: text_for(place) + "future: thing\r\n",
    "a mode said twice": lambda place: text_for(place) + "mode: none\r\n",
    "a star": lambda place: policy(f"*.{place.domain}"),
    "a charset": lambda place: Answer(text_for(place), content_type='Text/Plain; charset="utf-8"'),
    "more than a year": lambda place: text_for(place, max_age=9999999999),
}


# proves: L09
@pytest.mark.parametrize("kind", GOOD)
def test_every_form_of_a_policy_is_understood(scene, kind):
    place = scene.take()
    scene.publish(place, GOOD[kind](place))
    scene.wait_proven(scene.send(place.address()))
    if kind == "more than a year":
        assert scene.wait_line("sts_fetched", place)["max_age"] == "31557600"
        life = scene.cluster.redis.client().pttl("barid:{c}:sts:" + place.domain)
        assert 31557600000 - 60000 < life <= 31557600000


# proves: L09
def test_names_that_are_aliases_are_followed(scene):
    place = scene.take()
    scene.publish(place)
    zone = scene.dns.zone
    for name, kind, other in ((f"_mta-sts.{place.domain}", "TXT", "policy.provider.test"), (f"mta-sts.{place.domain}", "A", "web.provider.test")):
        zone.remove(name, kind).cname(name, other)
    zone.txt("policy.provider.test", "v=STSv1; id=77;").a("web.provider.test", "127.0.0.1")
    scene.wait_proven(scene.send(place.address()))
    assert scene.wait_line("sts_fetched", place)["id"] == "77"


# proves: L10
def test_hosts_that_the_policy_does_not_name_are_passed_over(scene):
    place = scene.publish(scene.take())
    scene.policy_host.serve(place.domain, policy(f"mx2.{place.domain}", "*.mx1." + place.domain))
    arrived = scene.wait_proven(scene.send(place.address()))
    assert arrived.session.host == place.second
    assert all(session.host == place.second for session in scene.sessions(place))


# proves: L10 L11
def test_mail_waits_when_no_host_is_left_until_the_domain_has_a_new_policy(scene):
    place = scene.take()
    scene.publish(place, policy("mx.elsewhere.test"))
    letter = scene.send(place.address())
    scene.assert_kept(letter, 3)
    assert scene.sessions(place) == [] and scene.fetches(place) == 1
    scene.publish(place, record="2")
    scene.wait_proven(letter)
    assert scene.fetches(place) == 2


# proves: L10
@pytest.mark.parametrize("kind", ["stranger", "other name", "expired", "no TLS"])
def test_a_host_that_cannot_prove_its_name_gets_no_mail(scene, kind):
    place = scene.publish(scene.take())
    names = (f"mx1.{place.domain}", f"mx2.{place.domain}")
    pem = {"stranger": lambda: scene.stranger.issue(*names), "other name": lambda: scene.authority.issue(place.domain),
           "expired": lambda: scene.authority.issue(*names, days=-1), "no TLS": lambda: None}[kind]()
    scene.sink.secure(pem, place.first)
    arrived = scene.wait_proven(scene.send(place.address()))
    assert arrived.session.host == place.second
    scene.wait_closed(place)
    scene.sink.secure(pem, place.second)
    letter = scene.send(place.address())
    told = scene.wait_told(letter, "deferred", 2)[-1]
    assert told["status"] in ("4.7.4", "4.7.5") and scene.copies(letter) == []
    scene.sink.secure(scene.pem, place.first)
    scene.wait_proven(letter)


# proves: L10
def test_a_policy_under_test_stops_no_mail(scene):
    place = scene.take()
    scene.publish(place, policy("mx.elsewhere.test", mode="testing"))
    scene.sink.secure(scene.stranger.issue("mx.elsewhere.test"), place.first)
    assert scene.wait_delivered(scene.send(place.address())).session.host == place.first
    other = scene.take()
    scene.publish(other, text_for(other, mode="testing"))
    scene.strip(other)
    assert scene.wait_delivered(scene.send(other.address())).session.tls is None
    assert scene.fetches(place) == scene.fetches(other) == 1


# proves: L10
def test_mode_none_is_none(scene):
    place = scene.take()
    scene.publish(place, policy(mode="none"))
    scene.strip(place)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None
    assert scene.fetches(place) == 1


# What comes instead of a policy, and what is logged. Each would be a good policy but for this.
BAD_ANSWERS = {
    "not found": (lambda text: Answer(text, "404 Not Found"), "HTTP status 404"),
    "a redirect": (lambda text: Answer(text, "301 Moved Permanently", headers=[f"Location: {PATH}?again"]), "HTTP status 301"),
    "another redirect": (lambda text: Answer(text, "307 Temporary Redirect", headers=[f"Location: {PATH}"]), "HTTP status 307"),
    "a part": (lambda text: Answer(text, "206 Partial Content"), "HTTP status 206"),
    "an error": (lambda text: Answer(text, "500 Oh"), "HTTP status 500"),
    "HTML": (lambda text: Answer(text, content_type="text/html"), "it is not text/plain"),
    "no type": (lambda text: Answer(text, content_type=None), "it is not text/plain"),
    "too much": (lambda text: Answer(text + "x: y\n" * 1000), "the answer is too long"),
    "no end": (lambda text: Answer(pieces=b"x: y\r\n" * 100), "the answer is too long"),
    "no answer": (lambda text: Answer(drop=True), None),
    "too old": (lambda text: Answer(text.replace("STSv1", "STSv0")), "not of version STSv1"),
    "a page": (lambda text: Answer("<html>It works!</html>\n"), 'a line is not "name: value"'),
    "no host": (lambda text: Answer("version: STSv1\nmode: enforce\nmax_age: 9\n"), "no mx"),
    "NUL": (lambda text: Answer(text + "x: \0\n"), "a line is no text"),
}
BAD_SERVERS = {
    "a stranger's certificate": lambda scene, place: {"certificate": scene.stranger.issue(f"mta-sts.{place.domain}")},
    "the domain's own certificate": lambda scene, place: {"certificate": scene.authority.issue(place.domain)},
    "an expired certificate": lambda scene, place: {"certificate": scene.authority.issue(f"mta-sts.{place.domain}", days=-1)},
}


def assert_no_policy(scene, place):
    """Its mail goes in plain at once, to a host that the policy would forbid; returns the line that says why."""
    scene.strip(place)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None
    return scene.wait_line("sts_failed", place)


# proves: L09 L11
@pytest.mark.parametrize("kind", BAD_ANSWERS)
def test_an_answer_that_is_no_policy_is_as_none(scene, kind):
    place = scene.take()
    make, why = BAD_ANSWERS[kind]
    scene.publish(place, make(text_for(place)))
    line = assert_no_policy(scene, place)
    assert why is None or line["why"] == why
    assert scene.fetches(place) == 1


# proves: L09 L11
@pytest.mark.parametrize("kind", BAD_SERVERS)
def test_a_server_that_is_not_the_policy_host_is_not_believed(scene, kind):
    place = scene.take()
    scene.publish(place, **BAD_SERVERS[kind](scene, place))
    assert_no_policy(scene, place)
    assert scene.fetches(place) == 0


# proves: L09
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("newest, is_believed", [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)])
def test_a_policy_host_speaks_no_tls_older_than_1_2(scene, newest, is_believed):
    place = scene.publish(scene.take())
    scene.dns.zone.remove(f"mta-sts.{place.domain}").a(f"mta-sts.{place.domain}", "127.0.0.2")
    with PolicyHost(scene.authority, "127.0.0.2", scene.policy_host.port, newest) as host:
        host.serve(place.domain, text_for(place))
        if is_believed:
            scene.wait_proven(scene.send(place.address()))
        else:
            assert_no_policy(scene, place)
        assert host.count(place.domain) == is_believed


# proves: L09 L11
def test_a_slow_policy_host_holds_up_its_own_mail_only_and_not_for_long(scene):
    gate = threading.Event()
    slow, quick, slower = scene.take(), scene.publish(scene.take()), scene.take()
    scene.publish(slow, Answer(text_for(slow), gate=gate))
    scene.strip(slow)
    waiting = scene.send(slow.address())
    wait.until(lambda: scene.fetches(slow) == 1, 20, "the slow fetch")
    scene.wait_proven(scene.send(quick.address()))
    assert scene.copies(waiting) == []
    assert scene.wait_delivered(waiting).session.tls is None, "the fetch took longer than it may"
    assert scene.wait_line("sts_failed", slow)["why"] == "no answer in time"
    gate.set()
    scene.cluster.reload({"tls_out": {"sts_wait": "200ms", "sts_fetch_time": "1min"}})
    try:
        gate = threading.Event()
        scene.publish(slower, Answer(text_for(slower), gate=gate))
        scene.strip(slower)
        scene.wait_delivered(scene.send(slower.address()))
        assert scene.fetches(slower) == 1 and scene.lines("sts_failed", slower) == []
        gate.set()
        scene.wait_line("sts_fetched", slower)
    finally:
        gate.set()
        scene.cluster.reload({"tls_out": {"sts_wait": "10s", "sts_fetch_time": "2s"}})


# proves: L09 H23
@pytest.mark.parametrize("addresses, why", [
    (["169.254.169.254", "0.0.0.0", "224.0.0.1"], "its host's address is none to connect to"), ([], "its host has no address")])
def test_a_policy_host_is_never_where_mail_could_not_be(scene, addresses, why):
    place = scene.publish(scene.take())
    scene.dns.zone.remove(f"mta-sts.{place.domain}").a(f"mta-sts.{place.domain}", *addresses)
    assert assert_no_policy(scene, place)["why"] == why
    assert scene.fetches(place) == 0


# proves: L09
@pytest.mark.parametrize("records", [
    (), ("v=STSv1; id=1;", "v=STSv1; id=2;"), ("v=STSv1; id=;",), ("v=STSv1",), ("v=spf1 -all",), ("V=stsv1; id=1;",)])
def test_a_domain_without_exactly_one_record_is_not_asked_for_a_policy(scene, records):
    place = scene.publish(scene.take())
    scene.announce(place, *records)
    scene.strip(place)
    assert scene.wait_delivered(scene.send(place.address())).session.tls is None
    assert scene.fetches(place) == 0 and scene.dns.count(f"_mta-sts.{place.domain}", "TXT") >= 1


# proves: L09
def test_one_record_among_others_is_enough(scene):
    place = scene.publish(scene.take())
    scene.announce(place, "v=spf1 -all", "v=STSv1; id=9; more=1;", "v=STSv2; id=3;")
    scene.wait_proven(scene.send(place.address()))


def test_hosts_that_the_settings_name_have_no_policy(scene):
    letter = scene.send("r@origin.test")
    scene.wait_delivered(letter)
    assert scene.dns.count("_mta-sts.origin.test") == 0
