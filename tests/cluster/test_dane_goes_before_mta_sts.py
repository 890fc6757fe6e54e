"""A destination with both: what DANE says is not overruled by MTA-STS (RFC 8461 section 2), and DANE without usable records leaves room for it."""

import pytest
from dane_scene import open_scene

from harness.policy_host import PolicyHost, policy

NAMES = ("both", "records", "away", "elsewhere", "unusable", "strange", "policy")


def prepare(scene):
    scene.web = PolicyHost(scene.authority).start()
    scene.settings = {"tls_out": {"mta_sts": True, "sts_ca": scene.authority.ca, "sts_port": scene.web.port}}
    scene.places = places = {name: scene.place(name) for name in NAMES}
    for name, place in places.items():
        scene.zone.txt(f"_mta-sts.{place.domain}", "v=STSv1; id=1;").a(f"mta-sts.{place.domain}", "127.0.0.1")
        scene.web.serve(place.domain, policy("mx.other.test" if name == "elsewhere" else place.host))
    for name in ("both", "elsewhere", "away"):
        places[name].publish(places[name].good())
    scene.zone.bogus("_tcp.mx.away.test")
    places["records"].publish(places["records"].bad())
    places["strange"].show("mx.strange.test", authority=scene.stranger)
    for name in ("unusable", "strange"):
        places[name].publish(places[name].good(1, 1, 1))


@pytest.fixture(scope="module")
def scene():
    with open_scene(len(NAMES), prepare=prepare) as opened:
        yield opened
    opened.web.stop()


# proves: L12
@pytest.mark.parametrize("name, proof", [("both", "dane"), ("elsewhere", "dane"), ("unusable", "sts"), ("policy", "sts")])
def test_the_one_that_says_more_is_obeyed(scene, name, proof):
    scene.assert_goes(scene.send(scene.places[name]), proof)


# proves: L12 L05
@pytest.mark.parametrize("name, words", [("records", "DANE"), ("away", "TLSA"), ("strange", "certificate")])
def test_a_host_that_mta_sts_would_take_is_not_right_for_dane(scene, name, words):
    """And the other way round, where the records name nobody."""
    letter = scene.send(scene.places[name])
    scene.assert_waits(letter, words=words)
    place = scene.places[name]
    if name == "records":
        place.publish(place.good())
        scene.publish()
    elif name == "away":
        scene.zone.cuts["_tcp.mx.away.test."] = False
        scene.dns.restart()
    else:
        place.show()
    scene.assert_goes(letter, "dane" if name == "records" else "sts")
