"""
A cluster, and domains with MTA-STS: each place has two mail hosts, mx1 and mx2 below its name, with certificates of an authority that the
couriers know; a policy host and a DNS server that say of each domain what the test tells them.
"""

from contextlib import contextmanager

from post import Places, Post, parse_line

from harness import wait
from harness.authority import Authority
from harness.cluster import Cluster, merged
from harness.dns import ScriptedDns, Zone
from harness.policy_host import PolicyHost, policy
from harness.sink import ScriptedSink

SETTINGS = {"sts_retry": "300ms", "sts_wait": "10s", "sts_fetch_time": "2s", "sts_max_size": "4KiB", "sts_min_age": "1s"}


class StsPost(Post):
    """Mail to domains with policies."""

    def take(self):
        return next(self.places)

    def publish(self, place, answer=None, record="1", **more):
        """TXT record with this id, and a policy: by default enforce, for both hosts."""
        self.policy_host.serve(place.domain, answer if answer is not None else policy(f"mx1.{place.domain}", f"mx2.{place.domain}"), **more)
        self.announce(place, *([f"v=STSv1; id={record};"] if record else []))
        return place

    def announce(self, place, *texts):
        """These TXT records from now on; none: none."""
        name = f"_mta-sts.{place.domain}"
        self.dns.zone.remove(name, "TXT")
        for text in texts:
            self.dns.zone.txt(name, text)

    def strip(self, place):
        """Its hosts offer no TLS any more."""
        self.sink.secure(None, place.first, place.second)

    def lines(self, event, place):
        return [parse_line(line) for node in self.cluster.of("courier") for line in node.process.log_text(all_starts=True).splitlines()
                if f"event={event}" in line and f"domain={place.domain}" in line]

    def wait_line(self, event, place, count=1, timeout=20):
        """The last of `count` lines about its policy."""
        found = wait.until(lambda: (lambda all_of: all_of if len(all_of) >= count else None)(self.lines(event, place)), timeout,
                           f"{count} {event} of {place.domain}")
        return found[-1]

    def fetches(self, place):
        return self.policy_host.count(place.domain)

    def sessions(self, place):
        return [session for session in self.sink.sessions if session.host in (place.first, place.second)]

    def wait_closed(self, place):
        """No connection to its hosts is kept any more: the next mail opens one."""
        wait.until(lambda: all(session.closed_at for session in self.sessions(place)), 20, f"no session of {place.domain}")

    def wait_proven(self, letter):
        """It came by a connection that MTA-STS asked for."""
        arrived = self.wait_delivered(letter)
        assert arrived.session.tls
        assert self.wait_told(letter, "delivered")[0]["proof"] == "sts"
        return arrived

    def assert_kept(self, letter, deferrals=2):
        """It waits: not all of this domain's hosts are good enough, and no mail goes to one that is not."""
        told = self.wait_told(letter, "deferred", deferrals)[-1]
        assert told["status"] == "4.7.5" and self.copies(letter) == []
        return told


@contextmanager
def sts_scene(folder, count, tls_out=None, **cluster):
    """A StsPost with so many places."""
    authority, stranger = Authority(str(folder), "known"), Authority(str(folder), "stranger")
    places = Places(count)
    zone = Zone(ttl=1)
    for place in places.all:
        zone.mx(place.domain, f"mx1.{place.domain}", f"mx2.{place.domain}")
        zone.a(f"mx1.{place.domain}", place.first).a(f"mx2.{place.domain}", place.second).a(f"mta-sts.{place.domain}", "127.0.0.1")
    pem = authority.issue(*(f"mx{n}.{place.domain}" for place in places.all for n in (1, 2)))
    with ScriptedSink(places.hosts(), tls=pem) as sink, PolicyHost(authority) as host, ScriptedDns(zone) as dns:
        sink.secure(None, places.HOME)
        settings = {"courier": {"port": sink.port, "routes": {"origin.test": f"{places.HOME}:{sink.port}"}, "idle_time": "100ms"},
                    "tls_out": merged({**SETTINGS, "ca": authority.ca, "sts_ca": authority.ca, "sts_port": host.port}, tls_out),
                    "tlsrpt": {"https_ca": authority.ca}}
        with Cluster(dns_port=dns.port, settings=merged(settings, cluster.pop("settings", None)), **cluster) as running:
            post = StsPost(running, sink)
            post.places, post.policy_host, post.dns = iter(places.all), host, dns
            post.authority, post.stranger, post.pem = authority, stranger, pem
            yield post
            post.assert_balanced()
