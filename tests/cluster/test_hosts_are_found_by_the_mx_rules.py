"""From a domain to the hosts that are tried, with a real authoritative server and a real resolver."""

import smtplib

import pytest
from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import ScriptedSink

SINK_HOSTS = [*(f"127.0.0.{n}" for n in range(1, 10)), "::1"]
DEAD = [f"127.0.5.{n}" for n in range(1, 10)]


def make_zone():
    zone = Zone(ttl=1).mx("origin.test", "mx.origin.test").a("mx.origin.test", "127.0.0.9")
    zone.cname("alias.test", "real.test").mx("real.test", "mx.real.test").a("mx.real.test", "127.0.0.2")
    zone.a("implicit.test", "127.0.0.3")
    zone.txt("nothing.test", "no MX and no address")
    zone.mx("noaddress.test", "mx.noaddress.test").txt("mx.noaddress.test", "no address").a("noaddress.test", "127.0.0.1")
    zone.null_mx("null.test").a("null.test", "127.0.0.1")
    zone.mx("numeric.test", "127.0.0.1").a("numeric.test", "127.0.0.1")
    zone.mx("target.test", "alias.target.test").cname("alias.target.test", "host.target.test").a("host.target.test", "127.0.0.4")
    zone.mx("equal.test", (10, "a.equal.test"), (10, "b.equal.test"), (10, "c.equal.test"), (20, "worse.equal.test"))
    for place, host in enumerate(("a", "b", "c", "worse")):
        zone.a(f"{host}.equal.test", f"127.0.0.{place + 1}")
    zone.mx("second.test", "dead.second.test", "alive.second.test").a("dead.second.test", DEAD[0]).a("alive.second.test", "127.0.0.5")
    zone.mx("both.test", "mx.both.test").a("mx.both.test", DEAD[0], "127.0.0.5")
    zone.mx("cap.test", *[f"mx{n}.cap.test" for n in range(6)], "alive.cap.test").a("alive.cap.test", "127.0.0.6")
    for number in range(6):
        zone.a(f"mx{number}.cap.test", DEAD[number])
    zone.mx("many.test", *[(1 if n == 150 else 50 + n, f"host-{n:03}.with-a-long-name.many.test") for n in range(200)])
    zone.a("host-150.with-a-long-name.many.test", "127.0.0.7")
    zone.mx("mixed.test", "MX.Mixed.TEST").a("mx.mixed.test", "127.0.0.8")
    zone.mx("self.test", "mx.relay.test").mx("named.test", "ingress1.relay.test").mx("address.test", "mx.address.test")
    zone.a("mx.relay.test", "127.0.0.1").a("ingress1.relay.test", "127.0.0.1").a("mx.address.test", "127.0.0.99")
    zone.mx("middle.test", "best.middle.test", "mx.relay.test", "worst.middle.test").a("best.middle.test", DEAD[0]).a("worst.middle.test", "127.0.0.1")
    zone.mx("nobest.test", "best.nobest.test", "mx.relay.test").txt("best.nobest.test", "no address")
    zone.mx("six.test", "mx.six.test").aaaa("mx.six.test", "::1")
    return zone


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink(SINK_HOSTS) as sink, Dns(make_zone(), cache_max_ttl=1) as dns:
        settings = {"courier": {"port": sink.port, "own_names": ["mx.relay.test"], "own_addresses": ["127.0.0.99"], "idle_time": "0s",
                                "allow_private": ["127.0.0.0/8", "::1/128"]}}
        with Cluster(dns_port=dns.port, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.dns = dns
            yield post
            post.assert_balanced()


# proves: I01
def test_an_alias_is_followed_and_the_recipient_stays_as_it_was(scene):
    arrived = scene.wait_delivered(scene.send("r@alias.test"))
    assert arrived.session.host == "127.0.0.2" and arrived.recipients == ["r@alias.test"]


# proves: I03
def test_without_mx_the_domain_itself_is_the_host(scene):
    assert scene.wait_delivered(scene.send("r@implicit.test")).session.host == "127.0.0.3"


# proves: I03 I04 I05 I11 K01 K07
@pytest.mark.parametrize("domain, status", [
    ("missing.test", "5.1.2"), ("nothing.test", "5.4.4"), ("noaddress.test", "5.4.4"), ("null.test", "5.1.10"), ("numeric.test", "5.4.4")])
def test_a_domain_without_any_host_is_reported_at_once(scene, domain, status):
    report = scene.wait_returned(scene.send(f"r@{domain}"))
    block = report.of(f"r@{domain}")
    assert block["Status"] == status and block["Action"] == "failed"
    assert block["Remote-MTA"] is None and block["Diagnostic-Code"] is None, "no host spoke"


# proves: I11
def test_a_host_that_is_an_alias_is_used(scene):
    assert scene.wait_delivered(scene.send("r@target.test")).session.host == "127.0.0.4"


# proves: I03
def test_a_host_with_an_ipv6_address_alone_is_used(scene):
    assert scene.wait_delivered(scene.send("r@six.test")).session.host == "::1"


# proves: I12
def test_an_address_literal_is_not_taken_and_no_mx_asked_for(scene):
    letter = scene.letter("r@[127.0.0.1]")
    with smtplib.SMTP(*scene.cluster.addresses[0]) as client:
        client.ehlo("client.test")
        client.mail(letter.sender)
        assert client.rcpt("r@[127.0.0.1]")[0] == 550
    scene.items.remove(letter)


# proves: I02
def test_equal_hosts_get_equal_shares_and_worse_ones_nothing(scene):
    letters = scene.send_many(["r@equal.test"] * 150)
    wait.until(lambda: all(scene.copies(letter) for letter in letters), 30, "150 messages")
    # A host is drawn for each connection.
    drawn = {id(session): session.host for letter in letters for session in [scene.copies(letter)[0].session]}
    shares = {host: list(drawn.values()).count(host) for host in drawn.values()}
    assert set(shares) == {"127.0.0.1", "127.0.0.2", "127.0.0.3"}
    expected = len(drawn) / 3
    assert expected >= 10 and sum((n - expected) ** 2 / expected for n in shares.values()) < 23, shares  # chance: one in 100,000


# proves: I09 I13
@pytest.mark.parametrize("domain", ["second.test", "both.test"])
def test_a_second_address_is_tried_before_it_is_put_off(scene, domain):
    for letter in scene.send_many([f"r@{domain}"] * 3):
        assert scene.wait_delivered(letter).session.host == "127.0.0.5"
        assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: I09
def test_no_more_addresses_are_tried_than_the_settings_say(scene):
    letter = scene.send("r@cap.test")
    scene.wait_told(letter, "deferred", 2)
    assert scene.copies(letter) == []
    scene.cluster.reload({"courier": {"max_addresses": 7}})
    try:
        assert scene.wait_delivered(letter, timeout=60).session.host == "127.0.0.6"
    finally:
        scene.cluster.reload({"courier": {"max_addresses": 5}})


# proves: I15 I06
def test_two_hundred_hosts_come_over_tcp_and_the_best_is_used(scene):
    assert scene.wait_delivered(scene.send("r@many.test")).session.host == "127.0.0.7"


# proves: I17 I01
def test_every_spelling_of_a_domain_is_one_queue(scene):
    letters = scene.send_many(["r@MiXeD.test", "r@mixed.TEST", "r@mixed.test"])
    for letter in letters:
        arrived = scene.wait_delivered(letter)
        assert arrived.session.host == "127.0.0.8" and arrived.recipients == letter.recipients
        assert scene.wait_told(letter, "delivered")[0]["queue"] == "mixed.test"


# proves: I17
def test_a_trailing_dot_is_refused_or_the_same_queue(scene):
    letter = scene.letter("r@mixed.test.")
    with smtplib.SMTP(*scene.cluster.addresses[0]) as client:
        client.ehlo("client.test")
        client.mail(letter.sender)
        code, _ = client.rcpt("r@mixed.test.")
    scene.items.remove(letter)
    if code == 250:
        letter = scene.send("r@mixed.test.")
        scene.wait_delivered(letter)
        assert scene.wait_told(letter, "delivered")[0]["queue"] == "mixed.test"
    else:
        assert code in (501, 553)


# proves: I08
@pytest.mark.parametrize("domain", ["self.test", "named.test", "address.test"])
def test_mail_that_would_come_back_here_is_reported_as_a_loop(scene, domain):
    assert scene.wait_returned(scene.send(f"r@{domain}")).of(f"r@{domain}")["Status"] == "5.4.6"


# proves: I08
def test_hosts_that_are_not_better_than_ours_are_not_used(scene):
    letter = scene.send("r@middle.test")
    assert scene.wait_told(letter, "deferred", 2)[0]["status"] == "4.4.1"
    assert scene.copies(letter) == []
    scene.dns.zone.remove("best.middle.test").a("best.middle.test", "127.0.0.2")
    scene.dns.reload()
    assert scene.wait_delivered(letter).session.host == "127.0.0.2"


# proves: I08
def test_a_better_host_without_address_before_ours_is_waited_for(scene):
    letter = scene.send("r@nobest.test")
    assert scene.wait_told(letter, "deferred", 2)[0]["status"] == "4.4.4"
    scene.dns.zone.remove("best.nobest.test").a("best.nobest.test", "127.0.0.2")
    scene.dns.reload()
    scene.wait_delivered(letter)
