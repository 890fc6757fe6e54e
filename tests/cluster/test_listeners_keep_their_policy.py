"""Who may send what to whom, at every kind of listener: trusted, logged in, nobody, by swaks; and what tries to get round it."""

import os
import re
import smtplib
import subprocess

import pytest

from harness import paths
from harness.authority import Authority
from harness.cluster import Cluster

USER, PASSWORD = "anna@ours.test", "correct horse battery"
TRUSTED, STRANGER = "127.0.0.9", "127.0.0.10"
_LISTENERS = {
    "relay": {"role": "relay", "auth": "offered"},
    "submission": {"role": "submission"},
    "submissions": {"role": "submissions"},
    "internal": {"role": "internal", "relay_domains": []},
    "closed": {"role": "relay", "trusted_networks": [], "relay_domains": []},
}
_SETTINGS = {"ingress": {"trusted_networks": [f"{TRUSTED}/32"], "relay_domains": ["ours.test", ".below.test"]},
             "auth": {"failure_delay": "0s"}}
_WHO = {"trusted": (TRUSTED, False), "auth": (STRANGER, True), "none": (STRANGER, False)}
_WHERE = {"local": "postmaster@ingress1.relay.test", "relay-domain": "r@ours.test", "foreign": "r@foreign.test"}

# By listener and who: the code for mail to local, relay-domain and foreign recipients. 530: not even MAIL is taken.
_ANSWERS = {
    ("relay", "trusted"): (250, 250, 250), ("relay", "auth"): (250, 250, 250), ("relay", "none"): (550, 250, 550),
    ("submission", "trusted"): (530, 530, 530), ("submission", "auth"): (250, 250, 250), ("submission", "none"): (530, 530, 530),
    ("submissions", "trusted"): (530, 530, 530), ("submissions", "auth"): (250, 250, 250), ("submissions", "none"): (530, 530, 530),
    ("internal", "trusted"): (250, 250, 250), ("internal", "none"): (550, 550, 550),
    ("closed", "trusted"): (550, 550, 550), ("closed", "none"): (550, 550, 550),
}


class Place:
    def __init__(self, cluster, authority):
        self.cluster, self.authority = cluster, authority

    def swaks(self, listener, source, recipient, has_login):
        """The code of the first reply that is no success, else that of RCPT."""
        host, port = self.cluster.address(listener)
        command = [paths.peer("swaks"), "--server", host, "--port", str(port), "--local-interface", source, "--helo", "client.test",
                   "--from", USER, "--to", recipient, "--quit-after", "RCPT", "--timeout", "20"]
        if listener == "submissions":
            command += ["--tls-on-connect"]
        elif listener == "submission" or has_login:
            command += ["--tls"]
        if has_login:
            command += ["--auth", "PLAIN", "--auth-user", USER, "--auth-password", PASSWORD]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        told = done.stdout.decode("utf-8", "replace")
        refused = re.findall(r"^<[~*]\*+ +(\d{3}) ", told, re.M)
        if refused:
            return int(refused[0])
        assert done.returncode == 0, told
        return 250


@pytest.fixture(scope="module")
def place():
    authority = Authority(paths.scratch("authority"))
    settings = {**_SETTINGS, "tls": {"certificates": [authority.issue("localhost")]}}
    with Cluster(dispatchers=0, couriers=0, settings=settings, listeners=_LISTENERS) as cluster:
        cluster.add_user(USER, PASSWORD)
        yield Place(cluster, authority)


# proves: E01
@pytest.mark.parametrize("listener, who", list(_ANSWERS))
def test_the_matrix(place, listener, who):
    source, has_login = _WHO[who]
    answers = tuple(place.swaks(listener, source, recipient, has_login) for recipient in _WHERE.values())
    assert answers == _ANSWERS[listener, who], dict(zip(_WHERE, answers))


# Each asks a stranger's way round: to let us send it on, to take a foreign domain for ours, or to find one who is trusted.
_TRICKS = [
    "r%foreign.test@ours.test",
    "r%foreign.test@[127.0.0.1]",
    "foreign.test!r@ours.test",
    "ours.test!foreign.test!r",
    '"r@foreign.test"@ours.test',
    '"r%foreign.test"@ours.test',
    '"foreign.test!r"@ours.test',
    "r@foreign.test@ours.test",
    "@ours.test:r@foreign.test",
    "@ours.test,@below.test:r@foreign.test",
    "r@[127.0.0.1]",
    "r@[IPv6:::1]",
    "r@[192.0.2.1]",
    "r@127.0.0.1",
    "r@ours.test.",
    "r@ours.test.foreign.test",
    "r@notours.test",
    "r@below.test",
    "r@.below.test",
    "r@a..below.test",
    "r@ours",
    "r@test",
    "r@ours_test",
    "r@\u043eurs.test",
    "r@xn--urs-qed.test",
    "r@ours\u3002test.foreign.test",
    "r@foreign.test\\@ours.test",
    "r@foreign.test>@ours.test",
    "r@foreign.test <r@ours.test",
    "r@foreign.test,r@ours.test",
    "r@foreign.test;r@ours.test",
    "r@foreign.test#@ours.test",
    "|r@ours.test@foreign.test",
]


# proves: E02
@pytest.mark.parametrize("trick", _TRICKS)
def test_no_trick_relays(place, trick):
    with smtplib.SMTP(*place.cluster.address("relay"), source_address=(STRANGER, 0)) as client:
        client.ehlo("[127.0.0.1]")
        for mail in (b"MAIL FROM:<r@ours.test>", b"MAIL FROM:<r@ours.test> SMTPUTF8", b"MAIL FROM:<>"):
            client.send(mail + b"\r\n")
            assert client.getreply()[0] == 250
            client.send(b"RCPT TO:<" + trick.encode() + b">\r\n")
            code, text = client.getreply()
            assert 500 <= code < 600, (mail, code, text)
            assert client.rset()[0] == 250


# proves: E02
def test_our_domains_are_ours_however_they_are_written(place):
    with smtplib.SMTP(*place.cluster.address("relay"), source_address=(STRANGER, 0)) as client:
        client.ehlo("client.test")
        assert client.mail("r@foreign.test")[0] == 250
        for recipient in ("r@OURS.test", "r@Ours.Test", "r@a.below.test", "r@A.B.BELOW.TEST", '"r"@ours.test', "r+x@ours.test"):
            assert client.rcpt(recipient)[0] == 250, recipient


# proves: E13
def test_what_is_known_is_refused_in_the_session(place):
    """No backscatter: nothing is accepted first and returned to a sender who may be forged."""
    node = place.cluster.node("ingress1")
    before = node.metrics()["barid_accepted_total"]
    with smtplib.SMTP(*place.cluster.address("relay"), source_address=(STRANGER, 0)) as client:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("victim@foreign.test", ["nobody@foreign.test"], "Subject: x\r\n\r\nx\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("", ["nobody@foreign.test"], "Subject: x\r\n\r\nx\r\n")
    assert node.metrics()["barid_accepted_total"] == before


# proves: E03
def test_names_and_greetings_make_nobody_trusted(place):
    with smtplib.SMTP(*place.cluster.address("internal"), source_address=(STRANGER, 0)) as client:
        for name in (f"[{TRUSTED}]", "localhost", "ingress1.relay.test", "ours.test"):
            client.ehlo(name)
            assert client.mail("r@ours.test")[0] == 250
            assert client.rcpt("r@foreign.test")[0] == 550
            client.rset()


# proves: E03
def test_only_loopback_is_trusted_by_default(place):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BARID_")}
    shown = subprocess.run([paths.program("baridctl"), "config", "show"], stdout=subprocess.PIPE, env=environment, check=True).stdout.decode()
    assert '  trusted_networks: ["127.0.0.0/8", "::1/128"]\n' in shown
