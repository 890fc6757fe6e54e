"""What TLS must prove by the settings tls_out.policy, tls_out.policies and transports.NAME.tls; changed while mail waits."""

import pytest
from dane_scene import open_scene

NAMES = ("none", "may", "encrypt", "encryptplain", "verify", "verifybad", "verifyname", "verifydomain", "fingerprint", "fingerprintbad", "dane", "danemissing",
         "sts", "suffix", "letters", "live", "loose", "idle", "smart", "smartbad", "named", "refused", "barred", "stricter")


def prepare(scene):
    places = scene.places = {name: scene.place(name) for name in NAMES}
    for name in ("encryptplain", "live"):
        places[name].hide()
    for name in ("none", "may", "encrypt", "verifybad", "fingerprint", "fingerprintbad", "smartbad", "stricter"):
        places[name].show("mx.elsewhere.test", authority=scene.stranger)
    places["verifyname"].show("mx.provider.test")
    places["verifydomain"].show("verifydomain.test")
    places["dane"].publish(places["dane"].good())
    # xn--bcher-kva.test is bücher.test; one name below a domain that has a row for all of them.
    scene.zone.mx("xn--bcher-kva.test", places["letters"].host).mx("deep.below.test", places["suffix"].host)
    scene.settings = {"tls_out": {"policies": {
        "none.test": "none", "may.test": "may", "encrypt.test": "encrypt", "encryptplain.test": "encrypt", "verify.test": "verify",
        "verifybad.test": "verify", "verifyname.test": "verify mx.provider.test mx.other.test", "verifydomain.test": "verify",
        "fingerprint.test": "fingerprint " + scene.stranger.fingerprint(places["fingerprint"].certificate).upper(),
        "fingerprintbad.test": "fingerprint " + "00" * 32, "dane.test": "dane", "danemissing.test": "dane", "sts.test": "sts",
        ".below.test": "verify", "bücher.test": "verify", "live.test": "encrypt", "stricter.test": "may",
        places["named"].host: "verify", "named.test": "none"}},
        "transports": {"smart": {"hosts": [f"{places['smart'].host}:{scene.sink.port}"], "tls": "verify"},
                       "smartbad": {"hosts": [f"{places['smartbad'].host}:{scene.sink.port}"], "tls": "verify"}},
        "courier": {"idle_time": "20s", "routes": {
            "smart.test": "smart", "smartbad.test": "smartbad", "named.test": f"{places['named'].host}:{scene.sink.port}"}}}


@pytest.fixture(scope="module")
def scene():
    with open_scene(len(NAMES), prepare=prepare) as opened:
        yield opened


def policy(scene, name, text):
    scene.reload({"tls_out": {"policies": {f"{name}.test": text}}})


# proves: L17
@pytest.mark.parametrize("name, proof", [
    ("none", None), ("may", "no"), ("encrypt", "no"), ("verify", "name"), ("verifyname", "name"), ("verifydomain", "name"),
    ("fingerprint", "fingerprint"), ("dane", "dane")])
def test_each_policy_is_obeyed(scene, name, proof):
    scene.assert_goes(scene.send(scene.places[name]), proof)


# proves: L17 L03
@pytest.mark.parametrize("name, status, words", [
    ("encryptplain", "4.7.4", "not offer TLS"), ("verifybad", "4.7.5", "certificate"), ("fingerprintbad", "4.7.5", "fingerprint"),
    ("danemissing", "4.7.5", "TLSA"), ("sts", "4.7.5", "MTA-STS")])
def test_what_is_not_proven_gets_no_mail_until_the_policy_is_another(scene, name, status, words):
    letter = scene.send(scene.places[name])
    scene.assert_waits(letter, status, words)
    policy(scene, name, "may")
    scene.assert_goes(letter, None if name == "encryptplain" else "no")


# proves: L17 N02 N12
@pytest.mark.parametrize("domain, host", [("deep.below.test", "suffix"), ("xn--bcher-kva.test", "letters")])
def test_a_row_may_be_for_subdomains_or_in_any_script(scene, domain, host):
    scene.assert_goes(scene.post.send(f"r@{domain}"), "name")


# proves: L17
def test_a_stricter_policy_holds_for_connections_that_are_open(scene):
    """The idle connection of the policy before is not used again."""
    place = scene.places["stricter"]
    first = scene.assert_goes(scene.send(place), "no")
    assert scene.assert_goes(scene.send(place), "no") is first, "it was kept"
    policy(scene, "stricter", "verify")
    letter = scene.send(place)
    scene.assert_waits(letter)
    place.show()
    assert scene.assert_goes(letter, "name") is not first


# proves: L17
def test_a_transports_own_policy_goes_before(scene):
    scene.assert_goes(scene.send(scene.places["smart"]), "name")
    letter = scene.send(scene.places["smartbad"])
    scene.assert_waits(letter)
    scene.reload({"transports": {"smartbad": {"tls": "encrypt"}}})
    scene.assert_goes(letter, "no")


# proves: L17
def test_the_row_of_a_host_goes_before_that_of_the_destination(scene):
    scene.assert_goes(scene.send(scene.places["named"]), "name")


# proves: L17
def test_a_policy_that_makes_no_sense_changes_nothing(scene):
    letter = scene.send(scene.places["live"])
    scene.assert_waits(letter, "4.7.4")
    scene.cluster.reload({"tls_out": {"policies": {"live.test": "encrypt please"}}})
    _, match = scene.cluster.wait_log("courier", "event=config_refused.*")
    assert "live.test" in match.group(0) and "nothing may follow encrypt" in match.group(0)
    scene.assert_waits(letter, "4.7.4")
    policy(scene, "live", "may")
    scene.assert_goes(letter, None)
