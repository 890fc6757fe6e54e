"""What DNS says under DANE (RFC 7672) and what it does not: an answer that did not come, or is not to be believed, is never "no records"."""

import pytest
from dane_scene import open_scene

from harness import dns as answers
from harness import wait
from harness.dns import ScriptedDns

HURT = {"servfail": answers.rcode("SERVFAIL"), "refused": answers.rcode("REFUSED"), "silent": answers.silence(), "torn": None, "spare": None}
MANY = 200


def prepare(scene):
    zone, places = scene.zone, {}
    scene.places = places

    def place(name):
        places[name] = scene.place(name)
        return places[name]

    for name in HURT:
        place(name).publish(places[name].good())
    worse = place("worse").publish(places["worse"].good())
    zone.mx("spare.test", (20, worse.host))
    place("cut").publish(places["cut"].good())
    place("wrong").publish(places["wrong"].good())
    zone.bogus("_tcp.mx.wrong.test")
    place("wrongmx").publish(places["wrongmx"].good())
    zone.bogus("wrongmx.test")
    place("wronghost").publish(places["wronghost"].good())
    zone.bogus("mx.wronghost.test")

    # Not signed: the MX, the host, the records; each with records that do not fit, to see that nobody minds them.
    place("plainmx").publish(places["plainmx"].bad())
    zone.remove("plainmx.test").unsigned("plain.test").mx("of.plain.test", "mx.plainmx.test")
    place("plainhost").publish(places["plainhost"].bad())
    zone.unsigned("mx.plainhost.test")
    place("plainrecords").publish(places["plainrecords"].bad())
    zone.unsigned("_tcp.mx.plainrecords.test")

    # Aliases: the host's own name is mx.<name>.test, what it leads to end.<name>.test.
    port = scene.sink.port
    for name in ("aliasend", "aliasown", "aliasplain", "aliasdeaf"):
        alias = place(name)
        alias.show("end.aliasend.test") if name == "aliasend" else alias.show()
        end = f"end.{name}.test"
        zone.remove(alias.host, "A").cname(alias.host, end).a(end, alias.address)
    zone.tlsa("end.aliasend.test", places["aliasend"].good(2, 0, 1), port=port).tlsa("mx.aliasend.test", places["aliasend"].bad(), port=port)
    zone.tlsa("mx.aliasown.test", places["aliasown"].good(2, 0, 1), port=port)
    zone.unsigned("end.aliasplain.test").tlsa("end.aliasplain.test", places["aliasplain"].bad(), port=port)
    zone.tlsa("mx.aliasplain.test", places["aliasplain"].good(), port=port)
    zone.bogus("_tcp.end.aliasdeaf.test").tlsa("mx.aliasdeaf.test", places["aliasdeaf"].good(), port=port)

    # What the rules of MX say holds in a signed zone, too.
    zone.null_mx("null.test").mx("nohost.test", "mx.nohost.test").txt("mx.nohost.test", "no address")
    implicit = place("implicit")
    zone.remove("implicit.test").a("implicit.test", implicit.address)
    implicit.show("implicit.test")
    zone.tlsa("implicit.test", implicit.good(2, 1, 1), port=port)
    many = place("many").publish(places["many"].good())
    zone.remove("many.test").mx("many.test", *[(5, many.host) if n == 150 else (50 + n, f"host-{n:03}.with-a-long-name.many.test") for n in range(MANY)])

    for name in ("kept", "flow"):
        place(name).publish(places[name].good(), ttl=0)
    zone.remove("kept.test").record("kept.test", "MX", "10 mx.kept.test.", ttl=3600)
    zone.remove("mx.kept.test", "A").record("mx.kept.test", "A", places["kept"].address, ttl=3600)


@pytest.fixture(scope="module")
def scene():
    with ScriptedDns() as scripted:
        others = {f"_tcp.mx.{name}.test": scripted.port for name in [*HURT, "cut"]}
        with open_scene(40, others=others, prepare=prepare) as opened:
            opened.scripted = scripted
            for name in [*HURT, "cut"]:
                say(opened, name, answers.forwarded(opened.dns.authority_port))
            yield opened


def say(scene, name, action):
    scene.scripted.on(f"_{scene.sink.port}._tcp.mx.{name}.test", "ANY", action)


# proves: L05
@pytest.mark.parametrize("name", ["servfail", "refused", "silent", "torn"])
def test_a_host_whose_records_cannot_be_read_is_not_used(scene, name):
    say(scene, name, HURT[name] or answers.tampered(scene.dns.authority_port))
    scene.publish()
    letter = scene.send(scene.places[name])
    scene.assert_waits(letter, words="TLSA")
    say(scene, name, answers.forwarded(scene.dns.authority_port))
    scene.publish()
    scene.assert_goes(letter, "dane")


# proves: L05 K01
def test_a_signature_by_the_wrong_key_is_none(scene):
    waiting = {"wrong": "4.7.5", "wrongmx": "4.4.3", "wronghost": "4.4.3"}
    letters = {name: scene.send(scene.places[name]) for name in waiting}
    for name, letter in letters.items():
        scene.assert_waits(letter, waiting[name])
    for name in ("_tcp.mx.wrong.test.", "wrongmx.test.", "mx.wronghost.test."):
        scene.zone.cuts[name] = False  # its parent says now that it is not signed
    scene.dns.restart()
    for name, letter in letters.items():
        scene.assert_goes(letter, "no" if name == "wrongmx" else "name")


# proves: L05 I09
def test_the_next_host_is_used_when_the_best_ones_records_cannot_be_read(scene):
    say(scene, "spare", answers.rcode("SERVFAIL"))
    scene.publish()
    letter = scene.send(scene.places["spare"])
    session = scene.assert_goes(letter, "dane")
    assert session.host == scene.places["worse"].address
    assert scene.post.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: I06 L04
def test_truncated_records_are_asked_for_again(scene):
    say(scene, "cut", answers.truncated(answers.forwarded(scene.dns.authority_port)))
    scene.publish()
    scene.assert_goes(scene.send(scene.places["cut"]), "dane")


# proves: L04 L08
@pytest.mark.parametrize("domain, proof", [("of.plain.test", "no"), ("plainhost.test", "name"), ("plainrecords.test", "name")])
def test_without_dnssec_all_the_way_there_is_no_dane(scene, domain, proof):
    """Where the MX is secure the host's certificate is looked at, and nothing depends on it."""
    scene.assert_goes(scene.post.send(f"r@{domain}"), proof)


# proves: L04
def test_the_name_at_the_end_of_aliases_is_asked_first(scene):
    session = scene.assert_goes(scene.send(scene.places["aliasend"]), "dane")
    assert session.sni == "end.aliasend.test"


# proves: L04
@pytest.mark.parametrize("name", ["aliasown", "aliasplain"])
def test_then_the_hosts_own_name(scene, name):
    session = scene.assert_goes(scene.send(scene.places[name]), "dane")
    assert session.sni == f"mx.{name}.test"


# proves: L05
def test_the_second_name_is_no_way_round_an_answer_that_did_not_come(scene):
    letter = scene.send(scene.places["aliasdeaf"])
    scene.assert_waits(letter, words="TLSA")
    scene.zone.cuts["_tcp.end.aliasdeaf.test."] = False
    scene.dns.restart()
    scene.assert_goes(letter, "dane")


# proves: I03 I05 L04
def test_the_rules_of_mx_hold_in_signed_zones(scene):
    for domain, status in {"null.test": "5.1.10", "nohost.test": "5.4.4", "missing.test": "5.1.2"}.items():
        assert scene.post.wait_returned(scene.post.send(f"r@{domain}")).of(f"r@{domain}")["Status"] == status
    scene.assert_goes(scene.send(scene.places["implicit"]), "dane")
    scene.assert_goes(scene.send(scene.places["many"]), "dane")


# proves: L05 I06
def test_mail_waits_while_the_resolver_is_dead_and_goes_when_it_is_back(scene):
    kept, flow = scene.places["kept"], scene.places["flow"]
    scene.assert_goes(scene.send(kept), "dane")
    scene.dns.unbound.kill()
    scene.reload()  # routes are looked for anew; the MX and address of one are in the courier's memory, its records are not
    letters = {"kept": scene.send(kept), "flow": scene.send(flow)}
    scene.assert_waits(letters["kept"], "4.7.5", words="TLSA")
    scene.assert_waits(letters["flow"], "4.4.3")
    many = [scene.send(place) for place in (kept, flow) * 3]
    wait.until(lambda: all(scene.post.told(letter, "deferred") for letter in many), 30, "all are deferred")
    scene.dns.start_unbound()
    for letter in [*letters.values(), *many]:
        scene.assert_goes(letter, "dane")
        assert not scene.post.told(letter, "bounced") and scene.post.reports(letter) == []
