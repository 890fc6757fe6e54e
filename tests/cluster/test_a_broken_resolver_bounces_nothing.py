"""What DNS did not answer is not an answer: mail waits, other hosts are tried, and nothing is guessed."""

import struct

import pytest
from post import Post

from harness import dns as answers
from harness import wait
from harness.cluster import Cluster
from harness.dns import ScriptedDns, Zone
from harness.sink import ScriptedSink

HOSTS = [f"127.0.0.{n}" for n in range(1, 10)]


def make_zone():
    zone = Zone(ttl=0).mx("origin.test", "mx.origin.test").a("mx.origin.test", "127.0.0.9")
    for domain in ("broken.test", "silent.test", "refused.test", "form.test", "wrongid.test", "short.test", "garbage.test", "late.test"):
        zone.mx(domain, f"mx.{domain}").a(f"mx.{domain}", "127.0.0.2").a(domain, "127.0.0.3")
    zone.mx("cut.test", "mx.cut.test").a("mx.cut.test", "127.0.0.2")
    for domain in ("best.test", "nobody.test"):
        zone.mx(domain, f"one.{domain}", f"two.{domain}").a(f"one.{domain}", "127.0.0.4").a(f"two.{domain}", "127.0.0.5")
    zone.mx("dotted.test", (0, "."), (10, "mx.dotted.test")).a("mx.dotted.test", "127.0.0.6").a("dotted.test", "127.0.0.3")
    zone.cname("loop.test", "loop2.test").cname("loop2.test", "loop.test")
    zone.null_mx("null.test").a("null.test", "127.0.0.3")
    zone.mx("shared.test", "mx.shared.test").a("mx.shared.test", "127.0.0.7")
    zone.mx("kept.test", "mx.kept.test").a("mx.kept.test", "127.0.0.7")
    return zone


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink(HOSTS) as sink, ScriptedDns(make_zone()) as dns:
        settings = {"courier": {"port": sink.port, "idle_time": "0s"}, "dns": {"timeout": "300ms", "tries": 2},
                    "retry": {"first": "100ms", "longest": "300ms"}}
        with Cluster(dns_port=dns.port, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.dns = dns
            yield post
            post.assert_balanced()


# proves: I06
@pytest.mark.parametrize("domain, action", [
    ("broken.test", answers.rcode("SERVFAIL")), ("silent.test", answers.silence()), ("refused.test", answers.rcode("REFUSED")),
    ("form.test", answers.rcode("FORMERR")), ("wrongid.test", answers.wrong_id()), ("short.test", answers.garbage(b"\x00")),
    ("garbage.test", answers.raw(lambda question: b"\xff" * 40))])
def test_mail_waits_until_the_mx_question_is_answered(scene, domain, action):
    scene.dns.on(domain, "MX", action)
    letter = scene.send(f"r@{domain}")
    first, *_ = scene.wait_told(letter, "deferred", 2)
    assert first["status"] == "4.4.3"
    assert scene.dns.count(domain, "A") == 0, "the domain's own address is no substitute"
    scene.dns.clear(domain, "MX")
    assert scene.wait_delivered(letter).session.host == "127.0.0.2"
    assert scene.reports(letter) == []


# proves: I06
def test_a_truncated_answer_is_asked_for_over_tcp(scene):
    scene.dns.on("cut.test", "MX", answers.truncated())
    assert scene.wait_delivered(scene.send("r@cut.test")).session.host == "127.0.0.2"
    assert any(transport == "tcp" and name == "cut.test." for _, transport, name, _ in scene.dns.queries)


# proves: I07
def test_the_next_host_is_used_when_the_best_ones_address_is_unknown(scene):
    scene.dns.on("one.best.test", "ANY", answers.rcode("SERVFAIL"))
    letter = scene.send("r@best.test")
    assert scene.wait_delivered(letter).session.host == "127.0.0.5"
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: I07
def test_mail_waits_when_no_hosts_address_is_known(scene):
    for host in ("one", "two"):
        scene.dns.on(f"{host}.nobody.test", "ANY", answers.rcode("SERVFAIL"))
    letter = scene.send("r@nobody.test")
    assert scene.wait_told(letter, "deferred", 2)[0]["status"] == "4.4.3"
    scene.dns.clear("one.nobody.test", "ANY")
    assert scene.wait_delivered(letter).session.host == "127.0.0.4"


# proves: I05
def test_null_mx_asks_for_no_address(scene):
    assert scene.wait_returned(scene.send("r@null.test")).of("r@null.test")["Status"] == "5.1.10"
    assert scene.dns.count("null.test", "A") == scene.dns.count("null.test", "AAAA") == 0


# proves: I05
def test_a_dot_beside_other_hosts_is_left_out(scene):
    assert scene.wait_delivered(scene.send("r@dotted.test")).session.host == "127.0.0.6"


# proves: I01 I11
def test_aliases_in_a_circle_are_no_answer(scene):
    letter = scene.send("r@loop.test")
    assert scene.wait_told(letter, "deferred", 2)[0]["status"] == "4.4.3"
    scene.dns.zone.remove("loop2.test").mx("loop2.test", "mx.cut.test")
    scene.wait_delivered(letter)


# proves: I15 I06
@pytest.mark.parametrize("number, rdata", enumerate([
    b"", b"\x00", b"\x00\x0a", b"\x00\x0a\xc0", b"\x00\x0a\xc0\xff", b"\x00\x0a\x3fabc\x00", b"\x00\x0a\x05a b;c\x00", b"\x00\x0a\x03a\x00b\x00",
    struct.pack("!H", 10) + b"\xc0\x0c" + b"\x01", b"\x00\x0a" + b"\x3f" + b"a" * 63 + b"\x00" * 9]))
def test_records_that_are_no_mx_do_no_harm(scene, number, rdata):
    domain = f"odd{number}.test"
    scene.dns.zone.mx(domain, "mx.cut.test")
    scene.dns.on(domain, "MX", answers.garbage(rdata, count=3))
    letter = scene.send(f"r@{domain}")
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.4.3"
    scene.dns.clear(domain, "MX")
    scene.wait_delivered(letter)


# proves: I15
def test_an_answer_is_kept_for_its_time_and_asked_for_once(scene):
    scene.dns.zone.remove("kept.test").record("kept.test", "MX", "10 mx.kept.test.", ttl=3600)
    scene.dns.zone.remove("mx.kept.test").record("mx.kept.test", "A", "127.0.0.7", ttl=3600)
    for letter in scene.send_many(["r@kept.test"] * 5):
        scene.wait_delivered(letter)
    wait.until(lambda: scene.dns.count("kept.test", "MX") >= 1, 5, "a question")
    assert scene.dns.count("kept.test", "MX") == 1
    assert scene.dns.count("mx.kept.test", "A") == 1


# proves: A13 I06
def test_other_domains_flow_while_one_is_not_answered(scene):
    scene.dns.on("late.test", "MX", answers.silence())
    slow = scene.send("r@late.test")
    for letter in scene.send_many(["r@shared.test"] * 5):
        scene.wait_delivered(letter)
    assert scene.copies(slow) == []
    scene.dns.clear("late.test", "MX")
    scene.wait_delivered(slow)
