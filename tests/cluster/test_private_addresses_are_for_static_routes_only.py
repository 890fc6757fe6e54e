"""What a stranger's DNS says leads nowhere inside: loopback, link-local and the like are never connected to, unless a static route says so."""

import pytest
from post import Post

from harness.cluster import Cluster
from harness.dns import ScriptedDns, Zone
from harness.sink import ScriptedSink

HOSTS = [f"127.0.0.{n}" for n in range(1, 10)]
INSIDE = {"loopback": "127.0.0.1", "metadata": "169.254.169.254", "any": "0.0.0.0", "multicast": "224.0.0.1", "private": "10.99.99.99",
          "broadcast": "255.255.255.255", "reserved": "240.0.0.1"}


@pytest.fixture(scope="module")
def scene():
    zone = Zone(ttl=0)
    for name, address in INSIDE.items():
        zone.mx(f"{name}.test", f"mx.{name}.test").a(f"mx.{name}.test", address)
    zone.mx("six.test", "mx.six.test").aaaa("mx.six.test", "::1", "fe80::1", "::ffff:127.0.0.1", "::")
    zone.a("implicit.test", "127.0.0.1")
    zone.a("static-host.test", "127.0.0.5")
    with ScriptedSink(HOSTS) as sink, ScriptedDns(zone) as dns:
        routes = {"origin.test": f"127.0.0.9:{sink.port}", "inside.test": f"127.0.0.2:{sink.port}", "named.test": f"static-host.test:{sink.port}"}
        settings = {"courier": {"port": sink.port, "allow_private": [], "refuse_private": True, "routes": routes}}
        with Cluster(dns_port=dns.port, settings=settings) as cluster:
            post = Post(cluster, sink)
            yield post
            post.assert_balanced()


# proves: H23
@pytest.mark.parametrize("domain", [*(f"{name}.test" for name in INSIDE), "six.test", "implicit.test"])
def test_an_address_inside_is_refused_when_mx_names_it(scene, domain):
    before = len([s for s in scene.sink.sessions if s.host != "127.0.0.9"])
    report = scene.wait_returned(scene.send(f"r@{domain}"))
    assert report.of(f"r@{domain}")["Status"] == "5.4.4"
    assert len([s for s in scene.sink.sessions if s.host != "127.0.0.9"]) == before


# proves: H23 I16
@pytest.mark.parametrize("domain, host", [("inside.test", "127.0.0.2"), ("named.test", "127.0.0.5")])
def test_a_static_route_may_lead_inside(scene, domain, host):
    assert scene.wait_delivered(scene.send(f"r@{domain}")).session.host == host
