"""TLSRPT: a domain that asks for reports is told once a day, by the whole cluster, what became of the TLS sessions with its hosts (RFC 8460)."""

import pytest
from tls_report_scene import Counts, report_scene

from harness import wait
from harness.policy_host import Answer, policy
from harness.sink import garbage


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    with report_scene(tmp_path_factory.mktemp("tlsrpt"), 24) as reports:
        yield reports


def told(scene, place):
    """Its report, which it gets once."""
    name = scene.make_due(place)
    mail = scene.wait_mail(place)
    scene.wait_done(name)
    assert mail.domain == place.domain and name == f"{mail.day} {place.domain}"
    return Counts(mail.report)


# proves: L13
def test_sessions_that_went_well_are_counted(scene):
    place = scene.want(scene.post.take())
    scene.one_by_one(place, 3)
    scene.wait_counted(place, 3)
    counts = told(scene, place)
    assert counts.of("no-policy-found") == (3, 0) and len(counts.report["policies"]) == 1
    assert "failure-details" not in counts.report["policies"][0]


# proves: L13
def test_a_connection_counts_once_however_much_it_carries(scene):
    place = scene.want(scene.post.take())
    letters = scene.post.send_many([place.address(f"r{n}") for n in range(5)])
    for letter in letters:
        scene.post.wait_delivered(letter)
    scene.wait_counted(place, len(scene.post.sessions(place)))
    assert told(scene, place).of("no-policy-found") == (len(scene.post.sessions(place)), 0)


# proves: L13
def test_a_policy_is_told_with_its_lines_and_hosts(scene):
    place = scene.post.publish(scene.want(scene.post.take()))
    scene.one_by_one(place, 2)
    scene.wait_counted(place, 2)
    counts = told(scene, place)
    told_policy = counts.report["policies"][0]["policy"]
    assert counts.of("sts") == (2, 0) and told_policy["mx-host"] == [f"mx1.{place.domain}", f"mx2.{place.domain}"]
    assert told_policy["policy-string"] == ["version: STSv1", "mode: enforce", f"mx: mx1.{place.domain}", f"mx: mx2.{place.domain}", "max_age: 86400"]


def show(scene, place, certificate):
    """The first host's."""
    scene.sink.secure(certificate, place.first)


HURT = {
    "starttls-not-supported": lambda scene, place, name: show(scene, place, None),
    "certificate-expired": lambda scene, place, name: show(scene, place, scene.post.authority.issue(name, days=-1)),
    "certificate-host-mismatch": lambda scene, place, name: show(scene, place, scene.post.authority.issue("else.test")),
    "certificate-not-trusted": lambda scene, place, name: show(scene, place, scene.post.stranger.issue(name)),
    "validation-failure": lambda scene, place, name: scene.sink.rule("handshake", garbage(b"250 go on then\r\n"), host=place.first),
}


# proves: L13
@pytest.mark.parametrize("result", HURT)
def test_each_kind_of_failure_has_its_word(scene, result):
    place = scene.post.publish(scene.want(scene.post.take()))
    host = f"mx1.{place.domain}"
    HURT[result](scene, place, host)
    scene.post.wait_delivered(scene.post.send(place.address()))  # by the second host
    scene.wait_counted(place, 1, 1)
    counts = told(scene, place)
    assert counts.of("sts") == (1, 1) and counts.failures() == {result: 1}
    detail = counts.details(result)[0]
    assert detail["receiving-mx-hostname"] == host and detail["receiving-ip"] == place.first and detail["sending-mta-ip"].startswith("127.")
    assert result in ("starttls-not-supported",) or detail["failure-reason-code"]


# proves: L13
def test_a_host_that_is_not_in_the_policy_is_a_failure_though_nobody_spoke_to_it(scene):
    place = scene.post.take()
    scene.post.publish(scene.want(place), policy(f"mx2.{place.domain}"))
    scene.post.wait_delivered(scene.post.send(place.address()))
    scene.wait_counted(place, 1, 1)
    counts = told(scene, place)
    assert counts.of("sts") == (1, 1) and counts.failures() == {"validation-failure": 1}
    detail = counts.details("validation-failure")[0]
    assert detail["receiving-mx-hostname"] == f"mx1.{place.domain}" and "policy" in detail["failure-reason-code"]


TROUBLES = {
    "sts-policy-fetch-error": lambda scene, place: scene.post.publish(place, Answer("nothing", "404 Not Found")),
    "sts-policy-invalid": lambda scene, place: scene.post.publish(place, "version: STSv2\r\n"),
    "sts-webpki-invalid": lambda scene, place: scene.post.publish(place, certificate=scene.post.stranger.issue(f"mta-sts.{place.domain}")),
}


# proves: L13
@pytest.mark.parametrize("result", TROUBLES)
def test_a_policy_that_cannot_be_fetched_is_a_failure_beside_the_session(scene, result):
    place = scene.want(scene.post.take())
    TROUBLES[result](scene, place)
    scene.post.wait_delivered(scene.post.send(place.address()))
    scene.wait_counted(place, 1, 1)
    counts = told(scene, place)
    assert counts.of("no-policy-found") == (1, 0) and counts.of("sts") == (0, 1) and counts.failures() == {result: 1}


# proves: L13
def test_a_policy_under_test_is_told_what_it_would_have_stopped(scene):
    place = scene.post.take()
    scene.post.publish(scene.want(place), policy(f"mx1.{place.domain}", mode="testing"))
    show(scene, place, scene.post.authority.issue("else.test"))
    scene.post.wait_delivered(scene.post.send(place.address()))
    scene.wait_counted(place, 0, 1)
    counts = told(scene, place)
    assert counts.of("sts") == (0, 1) and counts.failures() == {"certificate-host-mismatch": 1}


def refuse(scene, place, text):
    name = f"_smtp._tls.{place.domain}"
    scene.post.dns.zone.remove(name, "TXT")
    for one in text:
        scene.post.dns.zone.txt(name, one)


# proves: L13
@pytest.mark.parametrize("texts", [[], ["v=TLSRPTv2; rua=mailto:a@origin.test"], ["v=TLSRPTv1; rua=mailto:a@origin.test"] * 2], ids=["none", "other", "two"])
def test_who_does_not_ask_is_not_counted(scene, texts):
    place, witness = scene.post.take(), scene.want(scene.post.take())
    refuse(scene, place, texts)
    if len(texts) == 2:
        refuse(scene, place, [texts[0], texts[1] + ";"])
    scene.one_by_one(place, 1)
    wait.until(lambda: scene.post.dns.count(f"_smtp._tls.{place.domain}", "TXT"), 20, "its record is asked for")
    scene.one_by_one(witness, 1)
    scene.wait_counted(witness, 1)
    assert not [key for key in scene.redis.keys("barid:*") if key.endswith(place.domain) and "tlsrpt" in key]
