"""
A cluster that validates, behind knot and unbound with a signed root; hosts of a sink with certificates of their own, handed out one by one.
"""

import contextlib
import os
import shutil

from post import Post

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.dns import Dns, Zone
from harness.sink import ScriptedSink

HOME = "127.0.0.9"


class Place:
    """A domain with one host, `mx.<domain>`, and its certificate. `.good(u, s, m)` is a TLSA record that fits, `.bad` one that does not."""

    def __init__(self, scene, name, address):
        self.scene, self.domain, self.host, self.address = scene, f"{name}.test", f"mx.{name}.test", address
        self.certificate = None

    def recipient(self, name="r"):
        return f"{name}@{self.domain}"

    def show(self, *names, authority=None, **more):
        """From now on its certificate is for these names (its own, if none is given)."""
        self.certificate = (authority or self.scene.authority).issue(*(names or [self.host]), with_ca=True, **more)
        self.scene.sink.secure(self.certificate, self.address)
        return self

    def hide(self):
        """It offers no STARTTLS."""
        self.scene.sink.secure(None, self.address)
        return self

    def good(self, usage=3, selector=1, matching=1):
        return self.scene.authority.association(self.certificate, usage, selector, matching)

    def bad(self, usage=3, selector=1, matching=1):
        return self.scene.stranger.association(self.scene.strange, usage, selector, matching)

    def publish(self, *records, ttl=None):
        """Its TLSA records are these; takes effect with the next reload of the zone."""
        port = self.scene.sink.port  # the records are those of the port that is connected to
        self.scene.zone.remove(f"_{port}._tcp.{self.host}").tlsa(self.host, *records, port=port, ttl=ttl)
        return self


class Scene:
    """.place("name") makes a domain; .publish() makes known what changed in the zone."""

    def __init__(self, sink, zone, folder):
        self.sink, self.zone, self.folder = sink, zone, folder
        self.authority, self.stranger = Authority(folder), Authority(folder, "stranger")
        self.strange = self.stranger.issue("mx.strange.test", with_ca=True)
        self._addresses = iter(sink.hosts[1:])
        self.settings = {}
        self.dns = self.cluster = self.post = None

    def place(self, name):
        """A domain whose MX is a host of its own."""
        place = Place(self, name, next(self._addresses))
        self.zone.mx(place.domain, place.host).a(place.host, place.address)
        return place.show()

    def publish(self):
        self.dns.reload()

    def reload(self, settings=None):
        """The couriers have read new settings when this returns."""
        couriers = self.cluster.of("courier")
        before = [node.log_text().count("event=config_loaded") for node in couriers]
        self.cluster.reload(settings)
        wait.until(lambda: all(node.log_text().count("event=config_loaded") > n for node, n in zip(couriers, before)), 10, "new settings are read")

    def send(self, place, **more):
        return self.post.send(place.recipient(), **more)

    # -- what became of it

    def assert_goes(self, letter, proof):
        """Delivered inside TLS, proven so; proof None: in plain."""
        session = self.post.wait_delivered(letter).session
        assert (session.tls is None) == (proof is None), session.tls
        assert self.post.wait_told(letter, "delivered")[0].get("proof") == proof
        return session

    def assert_waits(self, letter, status="4.7.5", words=""):
        """Deferred twice with this, and no copy anywhere."""
        for line in self.post.wait_told(letter, "deferred", 2):
            assert line["status"] == status and words in line["reply"], line
        assert self.post.copies(letter) == []
        assert not self.post.told(letter, "bounced")


@contextlib.contextmanager
def open_scene(count, others=None, prepare=None, couriers=1):
    """`count` places at most. prepare(scene) fills zone and settings before all starts. others: as Dns has them."""
    folder = paths.scratch("dane")
    zone = Zone(ttl=1, is_signed=True)
    zone.mx("origin.test", "mx.origin.test").a("mx.origin.test", HOME)
    with ScriptedSink([HOME, *(f"127.0.{3 + n // 200}.{1 + n % 200}" for n in range(count))]) as sink:
        scene = Scene(sink, zone, folder)
        if prepare:
            prepare(scene)
        with Dns(zone, others=others) as scene.dns:
            base = {"courier": {"port": sink.port, "idle_time": "0s"}, "dns": {"validates": True, "timeout": "1s", "tries": 1},
                    "tls_out": {"ca": scene.authority.ca, "mta_sts": False}, "retry": {"first": "100ms", "longest": "300ms"}}
            for section, rows in scene.settings.items():
                base.setdefault(section, {}).update(rows)
            with Cluster(dns_port=scene.dns.port, settings=base, couriers=couriers) as scene.cluster:
                scene.post = Post(scene.cluster, sink)
                yield scene
                scene.post.assert_balanced()
    shutil.rmtree(folder, ignore_errors=True)
    assert not os.path.exists(folder)
