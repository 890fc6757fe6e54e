"""What protects mail on its way is seen as it is: site show of DANE and MTA-STS, doctor of DNS, reverse DNS and certificates, and when these end."""

import json
import subprocess
import time

import pytest
from dane_scene import open_scene

from harness import paths, wait
from harness.policy_host import PolicyHost, policy

NAMES = ("both", "away", "unusable", "policy", "plain")
DAY_S = 86400


def prepare(scene):
    scene.web = PolicyHost(scene.authority).start()
    scene.files = {name: scene.authority.issue(f"{name}.relay.test", days=days) for name, days in (("door", 20), ("out", 10), ("old", -1))}
    scene.settings = {"tls_out": {"mta_sts": True, "sts_ca": scene.authority.ca, "sts_port": scene.web.port, "certificate": scene.files["out"]},
                      "tls": {"certificates": [scene.files["door"]]}}
    scene.places = places = {name: scene.place(name) for name in NAMES}
    for name in ("both", "policy"):
        place = places[name]
        scene.zone.txt(f"_mta-sts.{place.domain}", "v=STSv1; id=7;").a(f"mta-sts.{place.domain}", "127.0.0.1")
        scene.web.serve(place.domain, policy(place.host))
    for name in ("both", "away"):
        places[name].publish(places[name].good(), places[name].good(1, 1, 1))
    scene.zone.bogus("_tcp.mx.away.test")
    places["unusable"].publish(places["unusable"].good(1, 1, 1))
    # The world as doctor asks about it: a name that is signed, and addresses that have names, or not the right ones.
    scene.zone.txt("org", "a name that is known, and signed")
    for address, name, back in (("8.8.4.1", "one.relay.test", "8.8.4.1"), ("8.8.4.2", "two.relay.test", "8.8.4.9"), ("8.8.4.4", "four.relay.test", "8.8.4.4")):
        scene.zone.record(".".join(reversed(address.split("."))) + ".in-addr.arpa", "PTR", f"{name}.").a(name, back)


@pytest.fixture(scope="module")
def scene():
    with open_scene(len(NAMES), prepare=prepare) as opened:
        yield opened
    opened.web.stop()


def run(scene, *arguments, conf=None):
    """(exit status, JSON)"""
    done = subprocess.run([paths.program("baridctl"), "--config", conf or scene.cluster.conf, *arguments, "--json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def site(scene, name):
    return run(scene, "site", "show", scene.places[name].domain)[1]


def doctor(scene, about, **settings):
    """(exit status, findings) of doctor with other settings than the nodes have."""
    before = json.loads(json.dumps(scene.cluster.settings))
    scene.cluster.write_settings(settings)
    try:
        status, told = run(scene, "doctor")
    finally:
        scene.cluster.settings = before
        scene.cluster.write_settings()
    assert all(row["remedy"] for row in told["findings"] if row["level"] != "good")
    return status, [(row["level"], row["text"]) for row in told["findings"] if row["about"] == about]


# ---- site show

@pytest.mark.parametrize("name, tls, records", [
    ("both", "dane, by 1 TLSA records", 1), ("away", "not used: DNS does not say whether there is DANE", 0),
    ("unusable", "encrypt: none of its 1 TLSA records can be used", 0), ("plain", "may: encrypted where the host offers it", 0)])
def test_site_show_tells_dane(scene, name, tls, records):
    told = site(scene, name)
    host, = told["hosts"]
    assert (host["tls"], host["tlsa"], host["secure"]) == (tls, records, True)
    assert "secure by DNSSEC" in told["mx"] and told["tls"] == "auto"
    assert tls in scene.cluster.baridctl("site", "show", scene.places[name].domain)


def test_site_show_tells_mta_sts_as_couriers_know_it(scene):
    told = site(scene, "policy")
    assert (told["sts_record"], told["sts_mode"]) == ("7", "") and told["hosts"][0]["tls"].startswith("may")
    scene.assert_goes(scene.send(scene.places["policy"]), "sts")
    wait.until(lambda: site(scene, "policy")["sts_mode"] == "enforce", 10, "the policy is kept")
    assert site(scene, "policy")["hosts"][0]["tls"] == "verify, by MTA-STS"
    assert "record 7; couriers keep a policy of mode enforce for another " in scene.cluster.baridctl("site", "show", "policy.test")
    scene.assert_goes(scene.send(scene.places["both"]), "dane")
    assert site(scene, "both")["hosts"][0]["tls"] == "dane, by 1 TLSA records", "DANE goes before it"


# ---- doctor

def test_doctor_believes_resolvers_that_validate(scene):
    assert doctor(scene, "DNS")[1] == [("good", "the resolvers answer, and validate")]


def test_doctor_finds_resolvers_that_do_not_validate(scene):
    status, rows = doctor(scene, "DNS", dns={"servers": [f"127.0.0.1:{scene.dns.authority_port}"]})
    assert status == 1 and rows == [("wrong", "dns.validates says that the resolvers do, and what is signed comes back as not proven")]


def test_doctor_compares_names_and_addresses(scene):
    addresses = ["8.8.4.1", "8.8.4.2", "8.8.4.3", "8.8.4.4", "127.0.0.9"]
    status, rows = doctor(scene, "reverse DNS", pools={"default": {"addresses": addresses, "helo_name": "one.relay.test"}})
    assert status == 1 and rows == [
        ("good", "8.8.4.1 of pool default is called one.relay.test, and that is its address"),
        ("wrong", "8.8.4.2 of pool default is called two.relay.test, and that name has another address"),
        ("wrong", "8.8.4.3 of pool default has no name"),
        ("advice", "8.8.4.4 of pool default is called four.relay.test, and says one.relay.test"),
        ("advice", "127.0.0.9 of pool default is not a public address: what its name is cannot be judged here")]


def test_doctor_reads_certificates(scene):
    status, rows = doctor(scene, "certificates")
    listeners = sum(1 for _, text in rows if "listener" in text)
    assert listeners > 0 and rows == [*([row for row in rows if "listener" in row[1]]), ("wrong", "one of tls_out.certificate expires in 9 days")]
    assert all(level == "good" and text.endswith(" are good for 19 days") for level, text in rows[:listeners])
    status, rows = doctor(scene, "certificates", tls={"certificates": [scene.files["old"]]}, tls_out={"certificate": scene.files["old"]})
    assert status == 1 and ("wrong", "one of tls_out.certificate has expired") in rows
    assert all(level == "wrong" and text.endswith(f"the certificate in {scene.files['old']} has expired") for level, text in rows[:listeners])
    status, rows = doctor(scene, "certificates", tls={"certificates": ["/nowhere.pem"]}, tls_out={"certificate": "/nowhere.pem"})
    assert all(level == "advice" and "cannot be used here" in text and "/nowhere.pem" in text for level, text in rows) and len(rows) == listeners + 1
    status, rows = doctor(scene, "certificates", tls={"certificates": []}, tls_out={"certificate": ""})
    assert rows == [("advice", "no listener has one: mail comes in the clear, and nobody can log in")]


# ---- metrics

def test_metrics_say_when_certificates_end(scene):
    door, out = scene.cluster.node("ingress1"), scene.cluster.node("courier1")

    def days_left(node, whose):
        return (node.metrics()[f"barid_{whose}_certificate_end_seconds"] - time.time()) / DAY_S
    assert 19.9 < days_left(door, "listener") <= 20 and 9.9 < days_left(out, "tls_out") <= 10
    assert door.metrics()["barid_store_certificate_end_seconds"] == 0 and door.metrics()["barid_tls_out_certificate_end_seconds"] == 0
    scene.authority.issue("door.relay.test", file=scene.files["door"], days=25)
    wait.until(lambda: 24.9 < days_left(door, "listener") <= 25, 20, "the new one counts")
    assert door.metrics()["barid_store_memory_bytes"] > 100000
    assert out.metrics()["barid_partitions_of_cluster"] == scene.cluster.node("dispatcher1").metrics()["barid_partitions"]
