"""SIGHUP: listeners take their new rules at once, keep addresses and roles until the next start, and survive mistakes."""

import signal
import smtplib
import subprocess

import pytest

from harness import paths, ports, wait
from harness.cluster import Cluster
from post import parse_line

_LISTENERS = {"public": {"role": "relay", "relay_domains": ["one.test"], "trusted_networks": []},
              "inner": {"role": "internal", "trusted_networks": ["127.0.0.0/8"]}}


class Place:
    def __init__(self, cluster):
        self.cluster, self.node = cluster, cluster.node("ingress1")

    def codes(self, listener, *recipients):
        with smtplib.SMTP(*self.cluster.address(listener), timeout=20) as client:
            client.ehlo("client.test")
            assert client.mail("s@foreign.test")[0] == 250
            return [client.rcpt(recipient)[0] for recipient in recipients]

    def told(self, event):
        return [fields for fields in map(parse_line, self.node.log_text().splitlines()) if fields.get("event") == event]

    def reload(self, settings, event="config_loaded"):
        """Settings merged into those there are; waits for the event that tells of it and returns its fields."""
        before = len(self.told(event))
        self.cluster.write_settings(settings)
        self.node.process.signal(signal.SIGHUP)
        wait.until(lambda: len(self.told(event)) > before, 20, event)
        return self.told(event)[-1]


@pytest.fixture
def place():
    with Cluster(dispatchers=0, couriers=0, listeners=_LISTENERS, settings={"ingress": {"threads": 2}}) as cluster:
        yield Place(cluster)


# proves: E01
def test_rules_change_at_once_for_each_listener_alone(place):
    assert place.codes("public", "r@one.test", "r@two.test") == [250, 550]
    with smtplib.SMTP(*place.cluster.address("public"), timeout=20) as open_session:
        open_session.ehlo("client.test")
        place.reload({"listeners": {"public": {"relay_domains": ["two.test"], "max_recipients": 100, "banner": "Another one"}}})
        wait.until(lambda: place.codes("public", "r@one.test", "r@two.test") == [550, 250], 20, "the new rules")
        assert open_session.mail("s@foreign.test")[0] == 250  # a session that was open follows
        assert open_session.rcpt("r@one.test")[0] == 550
        assert open_session.rcpt("r@two.test")[0] == 250
    with smtplib.SMTP() as client:
        assert client.connect(*place.cluster.address("public"))[1] == b"ingress1.relay.test Another one"
    assert place.codes("inner", "r@one.test", "r@two.test") == [250, 250]


def test_what_all_listeners_share_changes_for_those_that_say_nothing_of_it(place):
    def sizes():
        found = []
        for listener in ("public", "inner"):
            with smtplib.SMTP(*place.cluster.address(listener), timeout=20) as client:
                client.ehlo("client.test")
                found.append(client.esmtp_features["size"])
        return found
    place.reload({"ingress": {"max_message": "1MiB"}, "listeners": {"inner": {"max_message": "2MiB"}}})
    wait.until(lambda: sizes() == [str(1 << 20), str(2 << 20)], 20, "the new sizes")


def test_addresses_roles_and_names_wait_for_the_next_start(place):
    other = ports.free_port()
    fields = place.reload({"listeners": {"public": {"role": "internal"}, "new": {"address": [f"127.0.0.1:{other}"], "role": "relay"}}}, "config_restart")
    assert fields["settings"] == "listeners.public.role, listeners.new"
    assert place.codes("public", "r@one.test", "r@two.test") == [250, 550]
    assert not ports.accepts(other, "127.0.0.1")


def test_a_mistake_changes_nothing_and_is_told(place):
    for settings, wanted in (({"listeners": {"public": {"relay_domains": ["a..b"]}}}, "listeners.public.relay_domains"),
                             ({"listeners": {"public": {"relay_domains": ["two.test"], "tls": "required"}}}, "there is no certificate"),
                             ({"listeners": {"public": {"tls": "off", "bare_lf": "maybe"}}}, "listeners.public.bare_lf: expected one of")):
        assert wanted in place.reload(settings, "config_refused")["error"]
        assert place.codes("public", "r@one.test", "r@two.test") == [250, 550]


def test_ingress_listen_is_a_listener_beside_the_others():
    port = ports.free_port()
    with Cluster(dispatchers=0, couriers=0, listeners=_LISTENERS, settings={"ingress": {"listen": [f"127.0.0.1:{port}"], "relay_domains": ["three.test"],
                                                                                       "trusted_networks": []}}) as cluster:
        place = Place(cluster)
        assert place.codes("public", "r@one.test", "r@three.test") == [250, 550]
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
            client.ehlo("client.test")
            client.mail("s@foreign.test")
            assert [client.rcpt(r)[0] for r in ("r@one.test", "r@three.test")] == [550, 250]
        assert {fields["listener"] for fields in place.told("listening")} == {"public", "inner", "relay"}


# proves: E01
def test_a_start_with_a_mistake_says_what_to_do():
    def judged(**variables):
        done = subprocess.run([paths.program("barid-ingress"), "--check"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False,
                              env={f"BARID_{name}": value for name, value in variables.items()})
        return done.returncode, done.stderr.decode()
    assert judged() == (0, "")
    assert judged(LISTENERS_A_ADDRESS="127.0.0.1:25", LISTENERS_B_ADDRESS="127.0.0.1:25") == (
        2, "barid-ingress: listeners.b.address: 127.0.0.1:25 is an address of the listener a too\n")
    assert judged(LISTENERS_A_ADDRESS="127.0.0.1:25", LISTENERS_A_ROLE="submission") == (
        2, "barid-ingress: listeners.a.tls: required, but there is no certificate: set tls.certificates, or listeners.a.certificates\n")
    assert judged(LISTENERS_A_ADDRESS="127.0.0.1:25", LISTENERS_A_CERTIFICATES="/no/such.pem") == (
        2, "barid-ingress: listeners.a.certificates: cannot read /no/such.pem: No such file or directory\n")
