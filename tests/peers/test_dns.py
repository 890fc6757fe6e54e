"""knot behind unbound answers what the zone says; the scripted server says what real ones would not."""

import dns.exception
import dns.flags
import dns.rcode
import pytest

from harness import dns as harness
from harness.dns import Dns, ScriptedDns, Zone, answers, query


def test_resolves_mx_through_unbound_and_knot():
    zone = Zone().mx("example.test", "mx1.example.test", (20, "mx2.example.test")).a("mx1.example.test",
                                                                                     "127.0.0.2", "127.0.0.3")
    zone.cname("alias.test", "example.test").null_mx("nomail.test").aaaa("mx2.example.test",
                                                                         "::1").txt("example.test", "a b")
    with Dns(zone) as resolver:
        assert answers(resolver.port, "example.test", "MX") == ["10 mx1.example.test.",
                                                                "20 mx2.example.test."]
        assert answers(resolver.port, "mx1.example.test", "A") == ["127.0.0.2", "127.0.0.3"]
        assert answers(resolver.port, "mx2.example.test", "AAAA") == ["::1"]
        assert answers(resolver.port, "nomail.test", "MX") == ["0 ."]
        assert answers(resolver.port, "alias.test", "MX") == ["10 mx1.example.test.", "20 mx2.example.test."]
        assert query(resolver.port, "nowhere.test", "MX").rcode() == dns.rcode.NXDOMAIN
        assert answers(resolver.authority_port, "example.test", "TXT") == ['"a b"']


def test_reload_shows_changes_at_once():
    with Dns(Zone().a("host.test", "127.0.0.2")) as resolver:
        assert answers(resolver.port, "host.test") == ["127.0.0.2"]
        resolver.zone.remove("host.test").a("host.test", "127.0.0.9")
        resolver.reload()
        assert answers(resolver.port, "host.test") == ["127.0.0.9"]


def test_scripted_answers():
    with ScriptedDns(Zone().mx("good.test", "mx.good.test")) as server:
        server.on("fail.test", "ANY", harness.rcode("SERVFAIL")).on("big.test", "MX", harness.truncated())
        server.on("quiet.test", "MX", harness.silence()).on("bad.test", "MX", harness.garbage(b"\x00"))
        server.zone.mx("big.test", "mx.big.test")
        assert answers(server.port, "good.test", "MX") == ["10 mx.good.test."]
        assert query(server.port, "fail.test", "MX").rcode() == dns.rcode.SERVFAIL
        assert query(server.port, "big.test", "MX").flags & dns.flags.TC
        assert len(query(server.port, "big.test", "MX", tcp=True).answer) == 1
        with pytest.raises(dns.exception.Timeout):
            query(server.port, "quiet.test", "MX", timeout=0.2)
        with pytest.raises(dns.exception.DNSException):
            query(server.port, "bad.test", "MX")
        assert server.count("quiet.test", "MX") == 1


def test_unbound_sends_a_name_to_the_scripted_server():
    with ScriptedDns(Zone().mx("broken.test", "mx.broken.test")) as server:
        with Dns(Zone().a("host.test", "127.0.0.2"), others={"broken.test": server.port}) as resolver:
            assert answers(resolver.port, "broken.test", "MX") == ["10 mx.broken.test."]
            assert answers(resolver.port, "host.test") == ["127.0.0.2"]


def is_secure(resolver, name, kind):
    return bool(query(resolver.port, name, kind).flags & dns.flags.AD)


def test_a_signed_zone_is_validated():
    zone = Zone(is_signed=True).mx("good.test", "mx.good.test").a("mx.good.test", "127.0.0.2").tlsa("mx.good.test", (3, 1, 1, "ab" * 32))
    zone.unsigned("plain.test").mx("plain.test", "mx.good.test").unsigned("below.good.test").a("mx.below.good.test", "127.0.0.3")
    zone.bogus("_tcp.mx.wrong.test").a("mx.wrong.test", "127.0.0.4").tlsa("mx.wrong.test", (3, 1, 1, "ab" * 32))
    with ScriptedDns() as tampering:
        tampering.zone = zone
        with Dns(zone, others={"_tcp.mx.torn.test": tampering.port}) as resolver:
            tampering.on("_25._tcp.mx.torn.test", "TLSA", harness.tampered(resolver.authority_port))
            zone.a("mx.torn.test", "127.0.0.5").tlsa("mx.torn.test", (3, 1, 1, "ab" * 32))
            resolver.reload()
            assert is_secure(resolver, "good.test", "MX") and is_secure(resolver, "_25._tcp.mx.good.test", "TLSA")
            assert is_secure(resolver, "no.good.test", "A"), "that there is none is signed, too"
            assert not is_secure(resolver, "plain.test", "MX") and answers(resolver.port, "plain.test", "MX")
            assert not is_secure(resolver, "mx.below.good.test", "A") and answers(resolver.port, "mx.below.good.test")
            assert is_secure(resolver, "mx.wrong.test", "A")
            assert query(resolver.port, "_25._tcp.mx.wrong.test", "TLSA").rcode() == dns.rcode.SERVFAIL
            assert is_secure(resolver, "mx.torn.test", "A")
            assert query(resolver.port, "_25._tcp.mx.torn.test", "TLSA").rcode() == dns.rcode.SERVFAIL
            resolver.unbound.kill()
            resolver.start_unbound()
            assert is_secure(resolver, "good.test", "MX")
