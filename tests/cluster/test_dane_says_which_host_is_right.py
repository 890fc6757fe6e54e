"""DANE (RFC 7672): records of every kind, certificates of every kind, in signed zones behind a validating resolver."""

import itertools

import pytest
from dane_scene import open_scene

from harness.postfix import Postfix

KINDS = list(itertools.product((2, 3), (0, 1), (0, 1, 2)))
UNUSABLE = [*itertools.product((0, 1), (0, 1), (0, 1, 2))]


def prepare(scene):
    places = scene.places = {}
    for usage, selector, matching in KINDS:
        for word in ("good", "bad"):
            place = places[word, usage, selector, matching] = scene.place(f"{word}{usage}{selector}{matching}")
            place.publish(getattr(place, word)(usage, selector, matching))
    for usage, selector, matching in UNUSABLE:
        place = places["unusable", usage, selector, matching] = scene.place(f"unusable{usage}{selector}{matching}")
        place.publish(place.bad(usage, selector, matching))
    odd = [(3, 2, 1, "ab" * 32), (3, 1, 3, "ab" * 32), (3, 1, 1, "ab" * 31), (4, 1, 1, "ab" * 32), (3, 0, 0, "ab")]
    for word in ("odd", "oddplain"):
        places[word] = scene.place(word).publish(*odd)
    places["oddplain"].hide()

    places["expired3"] = scene.place("expired3").show("mx.expired3.test", days=-1)
    places["named3"] = scene.place("named3").show("mx.elsewhere.test")
    places["expired2"] = scene.place("expired2").show("mx.expired2.test", days=-1)
    places["named2"] = scene.place("named2").show("mx.elsewhere.test")
    for name in ("expired2", "named2", "expired3", "named3"):
        places[name].publish(places[name].good(int(name[-1]), 0, 1))
    places["domain2"] = scene.place("domain2").show("domain2.test")
    places["domain2"].publish(places["domain2"].good(2, 1, 1))
    places["plain"] = scene.place("plain").hide().publish((3, 1, 1, "ab" * 32))
    places["none"] = scene.place("none").hide()
    for name in ("rollover", "mixed", "large", "second", "relaxed"):
        places[name] = scene.place(name)
    places["mixed"].publish(places["mixed"].bad(), places["mixed"].good(2, 0, 2), (1, 1, 1, "ab" * 32))
    places["large"].publish(*[places["large"].bad(3, 0, 0)[:3] + (f"{n:04x}" * 200,) for n in range(5)], places["large"].good(3, 0, 0))
    places["relaxed"].publish(places["relaxed"].bad())
    # Two hosts, the better one of which is not what its records say.
    worse = scene.place("worse")
    worse.publish(worse.good())
    places["second"].publish(places["second"].bad())
    scene.zone.mx("second.test", (20, worse.host))
    places["worse"] = worse


@pytest.fixture(scope="module")
def scene():
    with open_scene(len(KINDS) * 2 + len(UNUSABLE) + 30, prepare=prepare) as opened:
        yield opened


# proves: L04 L06 L07
def test_records_of_every_kind_are_met(scene):
    letters = [(scene.send(scene.places["good", *kind]), kind) for kind in KINDS]
    for letter, kind in letters:
        session = scene.assert_goes(letter, "dane")
        assert session.sni == scene.places["good", *kind].host


# proves: L06 L07
def test_mail_waits_for_the_host_that_the_records_name(scene):
    letters = [(scene.send(scene.places["bad", *kind]), kind) for kind in KINDS]
    for letter, _ in letters:
        scene.assert_waits(letter)
    for _, kind in letters:
        place = scene.places["bad", *kind]
        place.publish(place.good(*kind))
    scene.publish()
    for letter, _ in letters:
        scene.assert_goes(letter, "dane")


# proves: L06 L07
def test_records_that_smtp_has_no_use_for_make_tls_a_must_and_no_more(scene):
    letters = [scene.send(scene.places["unusable", *kind]) for kind in UNUSABLE] + [scene.send(scene.places["odd"])]
    for letter in letters:
        scene.assert_goes(letter, "no")
    waiting = scene.send(scene.places["oddplain"])
    scene.assert_waits(waiting, "4.7.4")
    scene.places["oddplain"].show()
    scene.assert_goes(waiting, "no")


# proves: L07
def test_name_and_time_do_not_matter_where_the_key_is_named(scene):
    for name in ("expired3", "named3"):
        scene.assert_goes(scene.send(scene.places[name]), "dane")


# proves: L07
def test_name_and_time_matter_where_the_authority_is_named(scene):
    letters = {name: scene.send(scene.places[name]) for name in ("expired2", "named2")}
    for letter in letters.values():
        scene.assert_waits(letter)
    for name, letter in letters.items():
        scene.places[name].show()
        scene.assert_goes(letter, "dane")
    scene.assert_goes(scene.send(scene.places["domain2"]), "dane")


# proves: L03 L06
def test_a_host_with_records_is_never_spoken_to_in_plain(scene):
    letter = scene.send(scene.places["plain"])
    scene.assert_waits(letter, "4.7.4")
    place = scene.places["plain"].show()
    place.publish(place.good())
    scene.publish()
    scene.assert_goes(letter, "dane")


# proves: L06
def test_a_host_without_records_is_as_any_other(scene):
    scene.assert_goes(scene.send(scene.places["none"]), None)


# proves: L07
def test_keys_roll_over(scene):
    place = scene.places["rollover"]
    old = place.good()
    certificate = scene.authority.issue(place.host, with_ca=True)
    place.publish(old, scene.authority.association(certificate, 3, 1, 1))
    scene.publish()
    scene.assert_goes(scene.send(place), "dane")
    place.certificate = certificate
    scene.sink.secure(certificate, place.address)
    scene.assert_goes(scene.send(place), "dane")


# proves: L06
def test_one_record_that_fits_is_enough(scene):
    scene.assert_goes(scene.send(scene.places["mixed"]), "dane")


# proves: I06 L04
def test_records_too_large_for_a_datagram_are_read(scene):
    scene.assert_goes(scene.send(scene.places["large"]), "dane")


# proves: L06
def test_a_worse_host_is_taken_when_the_better_one_is_not_right(scene):
    letter = scene.send(scene.places["second"])
    session = scene.assert_goes(letter, "dane")
    assert session.host == scene.places["worse"].address
    assert scene.post.wait_told(letter, "delivered")[0]["attempt"] == "1"


# proves: L16
def test_mail_that_says_so_goes_all_the_same(scene):
    letter = scene.send(scene.places["relaxed"], header=b"TLS-Required: No\r\n")
    scene.assert_goes(letter, "no")


# proves: L04 L07
def test_postfix_is_met_by_its_records(scene):
    certificate = scene.authority.issue("mx.postfix.test", with_ca=True)
    host = "127.0.9.1"
    settings = {"inet_interfaces": "all", "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": certificate, "smtpd_tls_key_file": certificate}
    with Postfix.receiver(host=host, port=scene.sink.port, settings=settings) as postfix:
        scene.zone.mx("postfix.test", "mx.postfix.test").a("mx.postfix.test", host)
        scene.zone.tlsa("mx.postfix.test", scene.authority.association(certificate, 3, 1, 1), port=scene.sink.port)
        scene.publish()
        letter = scene.post.send("r@postfix.test")
        assert scene.post.wait_told(letter, "delivered")[0]["proof"] == "dane"
        assert postfix.wait_messages(1)
        scene.post.items.remove(letter)
