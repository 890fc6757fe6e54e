"""TLSRPT: what DANE makes of sessions, in the words of RFC 8460; the policy domain is the TLSA base domain."""

import pytest
from dane_scene import open_scene
from tls_report_scene import SETTINGS, Counts, Reports

RECORDS = {
    "good": lambda place: place.publish(place.good(3, 1, 1)),
    "wrong": lambda place: place.publish(place.bad(3, 1, 1)),
    "unusable": lambda place: place.publish((1, 1, 1, "00" * 32)),
    "bogus": lambda place: (place.publish(place.good(3, 1, 1)), place.scene.zone.bogus(f"_{place.scene.sink.port}._tcp.{place.host}")),
    "stripped": lambda place: (place.publish(place.good(3, 1, 1)), place.hide()),
}


@pytest.fixture(scope="module")
def scene():
    def prepare(scene):
        scene.settings.update(SETTINGS)
        scene.places = {}
        for name, act in RECORDS.items():
            place = scene.places[name] = scene.place(name)
            act(place)
            scene.zone.txt(f"_smtp._tls.{place.domain}", f"v=TLSRPTv1; rua=mailto:{Reports.address(place)}")

    with open_scene(len(RECORDS), prepare=prepare, couriers=2) as scene:
        scene.post.cluster, scene.post.sink = scene.cluster, scene.sink
        scene.reports = Reports(scene.post)
        yield scene


def told(scene, place):
    name = scene.reports.make_due(place)
    mail = scene.reports.wait_mail(place)
    scene.reports.wait_done(name)
    return Counts(mail.report)


# proves: L13
def test_proven_sessions_are_told_with_the_records(scene):
    place = scene.places["good"]
    scene.assert_goes(scene.send(place), "dane")
    scene.reports.wait_counted(place, 1)
    counts = told(scene, place)
    assert counts.of("tlsa") == (1, 0)
    told_policy = counts.report["policies"][0]["policy"]
    assert told_policy["policy-domain"] == place.host and [line.lower() for line in told_policy["policy-string"]] == [
        " ".join(str(part) for part in place.good(3, 1, 1)).lower()]


# proves: L13
def test_records_of_no_use_are_told_though_the_mail_went(scene):
    place = scene.places["unusable"]
    scene.assert_goes(scene.send(place), "no")
    scene.reports.wait_counted(place, 0, 1)
    counts = told(scene, place)
    assert counts.of("tlsa") == (0, 1) and counts.failures() == {"tlsa-invalid": 1}


FAILURES = {"wrong": "validation-failure", "bogus": "dnssec-invalid", "stripped": "starttls-not-supported"}


# proves: L13
@pytest.mark.parametrize("kind", FAILURES)
def test_what_keeps_mail_waiting_is_told(scene, kind):
    place = scene.places[kind]
    letter = scene.send(place)
    scene.post.wait_told(letter, "deferred", 2)
    scene.reports.name(place)
    scene.cluster.baridctl("msg", "delete", letter.message_id, "--yes")
    scene.post.dropped.update((letter.ledger_id, recipient) for recipient in letter.recipients)
    counts = told(scene, place)
    good, bad = counts.of("tlsa")
    assert good == 0 and bad >= 1 and counts.failures() == {FAILURES[kind]: bad}
    detail = counts.details(FAILURES[kind])[0]
    assert detail["receiving-mx-hostname"] == place.host
