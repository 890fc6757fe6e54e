"""Static routes come before MX, the closest pattern wins, and fallback hosts are the last resort."""

import pytest
from post import Post

from harness.cluster import Cluster
from harness.dns import ScriptedDns, Zone, rcode
from harness.sink import ScriptedSink

HOSTS = [f"127.0.0.{n}" for n in range(1, 10)]
DEAD = "127.0.5.1"


@pytest.fixture(scope="module")
def scene():
    zone = Zone(ttl=0)
    for domain in ("exact.test", "sub.suffix.test", "suffix.test", "deep.sub.suffix.test"):
        zone.mx(domain, "mx.wrong.test")
    zone.a("mx.wrong.test", "127.0.0.1").a("byname.hosts.test", "127.0.0.4")
    zone.mx("alive.mx.test", "mx.alive.test").a("mx.alive.test", "127.0.0.2")
    zone.mx("dead.mx.test", "mx.dead.test").a("mx.dead.test", DEAD)
    zone.mx("noaddress.mx.test", "mx.noaddress.test").txt("mx.noaddress.test", "none")
    zone.null_mx("null.mx.test")
    with ScriptedSink(HOSTS) as sink, ScriptedDns(zone) as dns:
        def at(host):
            return f"{host}:{sink.port}"
        routes = {"exact.test": at("127.0.0.3"), ".suffix.test": at("127.0.0.5"), ".sub.suffix.test": at("127.0.0.6"), "sub.suffix.test": at("127.0.0.7"),
                  "byname.test": at("byname.hosts.test"), "literal.test": f"[127.0.0.4]:{sink.port}", "list.test": f"{at(DEAD)}, {at('127.0.0.8')}",
                  "deadend.test": at(DEAD), "origin.test": at("127.0.0.9")}
        settings = {"courier": {"port": sink.port, "routes": routes, "fallback_hosts": [at("127.0.0.1")], "idle_time": "0s"}}
        with Cluster(dns_port=dns.port, settings=settings) as cluster:
            post = Post(cluster, sink)
            post.dns, post.at = dns, at
            yield post
            post.assert_balanced()


# proves: I16
@pytest.mark.parametrize("domain, host", [
    ("exact.test", "127.0.0.3"), ("a.suffix.test", "127.0.0.5"), ("sub.suffix.test", "127.0.0.7"), ("deep.sub.suffix.test", "127.0.0.6"),
    ("byname.test", "127.0.0.4"), ("literal.test", "127.0.0.4"), ("list.test", "127.0.0.8")])
def test_the_closest_static_route_is_used_and_no_mx_asked_for(scene, domain, host):
    letter = scene.send(f"r@{domain}")
    assert scene.wait_delivered(letter).session.host == host
    assert scene.dns.count(domain) == 0


# proves: I16
def test_a_suffix_is_not_the_domain_itself(scene):
    letter = scene.send("r@suffix.test")
    assert scene.wait_delivered(letter).session.host == "127.0.0.1"
    assert scene.dns.count("suffix.test", "MX") == 1


# proves: I13
@pytest.mark.parametrize("domain", ["dead.mx.test", "deadend.test", "noaddress.mx.test"])
def test_fallback_hosts_take_what_no_other_host_takes(scene, domain):
    letter = scene.send(f"r@{domain}")
    assert scene.wait_delivered(letter).session.host == "127.0.0.1"
    assert scene.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: I13
def test_fallback_hosts_get_nothing_that_another_host_takes(scene):
    assert scene.wait_delivered(scene.send("r@alive.mx.test")).session.host == "127.0.0.2"


# proves: I05
def test_fallback_hosts_get_nothing_for_a_domain_that_takes_no_mail(scene):
    assert scene.wait_returned(scene.send("r@null.mx.test")).of("r@null.mx.test")["Status"] == "5.1.10"


# proves: I06
def test_a_resolver_that_does_not_answer_is_no_reason_for_fallback_hosts(scene):
    scene.dns.on("broken.mx.test", "MX", rcode("SERVFAIL"))
    letter = scene.send("r@broken.mx.test")
    assert scene.wait_told(letter, "deferred", 2)[0]["status"] == "4.4.3"
    scene.dns.zone.mx("broken.mx.test", "mx.alive.test")
    scene.dns.clear("broken.mx.test", "MX")
    assert scene.wait_delivered(letter).session.host == "127.0.0.2"


# proves: I16
def test_new_routes_hold_after_a_reload_and_the_star_is_for_all_others(scene):
    scene.cluster.reload({"courier": {"routes": {"*": scene.at("127.0.0.2"), "exact.test": scene.at("127.0.0.5")}}})
    for node in scene.cluster.of("courier"):
        node.process.wait_log(r"event=config_loaded")
    letters = scene.send_many(["r@exact.test", "r@anything.test", "r@suffix.test", "r@a.suffix.test"])
    assert [scene.wait_delivered(letter).session.host for letter in letters] == ["127.0.0.5", "127.0.0.2", "127.0.0.2", "127.0.0.5"]
