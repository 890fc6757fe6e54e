"""A listener may ask DNS about the domains of senders and recipients; what cannot be looked up now is put off, or let pass: as it is set."""

import contextlib
import smtplib

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.dns import ScriptedDns, Zone, rcode, silence


def answer(address, sender="s@mx.test", recipient=None):
    """Code and status of MAIL, or of RCPT."""
    with contextlib.closing(smtplib.SMTP(*address, timeout=60)) as client:
        client.ehlo("client.test")
        code, text = client.mail(sender)
        if recipient:
            assert code == 250
            code, text = client.rcpt(recipient)
        return code, text.decode().split()[0]


@pytest.fixture(scope="module")
def dns():
    zone = Zone(ttl=0).mx("mx.test", "host.mx.test").null_mx("null.test").a("a.test", "127.0.0.1").aaaa("aaaa.test", "::1").txt("txt.test", "x")
    zone.null_mx("routed.test")
    with ScriptedDns(zone) as running:
        running.on("servfail.test", "MX", rcode("SERVFAIL"))
        running.on("silent.test", "MX", silence())
        zone.txt("half.test", "x")
        running.on("half.test", "AAAA", rcode("SERVFAIL"))
        yield running


@pytest.fixture(scope="module")
def cluster(dns):
    settings = {"dns": {"timeout": "300ms", "tries": 2}, "courier": {"routes": {"routed.test": "127.0.0.1:1"}}}
    listeners = {"strict": {"check_sender_domain": True, "check_recipient_domain": True, "relay_domains": ["ours.test"]}, "usual": {}}
    with Cluster(dispatchers=0, couriers=0, dns_port=dns.port, settings=settings, listeners=listeners) as running:
        yield running


# proves: E09 E11
@pytest.mark.parametrize("domain, said", [
    ("mx.test", (250, "2.1.0")), ("MX.Test", (250, "2.1.0")), ("a.test", (250, "2.1.0")), ("aaaa.test", (250, "2.1.0")),
    ("txt.test", (550, "5.1.8")), ("nowhere.test", (550, "5.1.8")), ("null.test", (550, "5.7.27")),
    ("servfail.test", (451, "4.1.8")), ("silent.test", (451, "4.1.8")), ("half.test", (451, "4.1.8"))])
def test_senders_need_a_domain_that_takes_mail(cluster, domain, said):
    assert answer(cluster.address("strict"), f"s@{domain}") == said
    assert answer(cluster.address("usual"), f"s@{domain}")[0] == 250


def test_the_null_sender_has_no_domain(cluster):
    assert answer(cluster.address("strict"), "")[0] == 250


# proves: E10 E11 E13
@pytest.mark.parametrize("domain, said", [
    ("mx.test", (250, "2.1.5")), ("a.test", (250, "2.1.5")), ("nowhere.test", (550, "5.1.2")), ("null.test", (556, "5.1.10")),
    ("servfail.test", (451, "4.4.3")), ("silent.test", (451, "4.4.3"))])
def test_recipients_need_a_domain_that_takes_mail(cluster, domain, said):
    assert answer(cluster.address("strict"), recipient=f"r@{domain}") == said
    assert answer(cluster.address("usual"), recipient=f"r@{domain}")[0] == 250


def test_our_own_domains_and_those_with_a_route_are_not_asked_for(cluster, dns):
    assert answer(cluster.address("strict"), recipient="r@ours.test")[0] == 250
    assert answer(cluster.address("strict"), recipient="r@routed.test")[0] == 250
    assert dns.count("ours.test") == dns.count("routed.test") == 0


# proves: E11
def test_what_cannot_be_looked_up_passes_if_it_is_set_so(cluster):
    cluster.reload({"ingress": {"dns_unknown": "pass"}})
    wait.until(lambda: answer(cluster.address("strict"), "s@servfail.test") == (250, "2.1.0"), 10, "it passes")
    assert answer(cluster.address("strict"), "s@nowhere.test") == (550, "5.1.8")
