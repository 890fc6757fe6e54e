"""AUTH against our own users: every mechanism, every wrong turn; nobody learns who exists, and no secret is written anywhere."""

import base64
import glob
import hashlib
import os
import smtplib

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from login import Client, b64, plain

USER, PASSWORD = "anna@example.com", "correct horse battery staple"
ODD = ["a'b", "*", "a)(uid=*", "{tag}", "a b", "%s%n", "ä@example.com", "\"q\""]
_AUTH = {"failure_delay": "0s", "failures_per_client": "", "failures_per_user": "", "timeout": "1s"}
_LISTENERS = {"submission": {"role": "submission", "max_errors": 1000, "max_junk": 1000},
              "relay": {"role": "relay"},
              "bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "max_errors": 1000, "max_junk": 1000}}


class Place:
    def __init__(self, cluster, authority):
        self.cluster, self.authority = cluster, authority

    def client(self, listener="submission", tls=True, **options):
        return Client(self.cluster.address(listener), self.authority.client() if tls else None, **options)


@pytest.fixture(scope="module")
def place():
    authority = Authority(paths.scratch("authority"))
    settings = {"tls": {"certificates": [authority.issue("localhost")]}, "auth": _AUTH, "log": {"level": "debug"}}
    with Cluster(settings=settings, listeners=_LISTENERS) as cluster:
        cluster.add_user(USER, PASSWORD)
        yield Place(cluster, authority)


# proves: D01
def test_nothing_is_offered_or_taken_without_tls(place):
    with place.client(tls=False) as client:
        assert client.mechanisms() == []
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") in (530, 538, 502)
    with place.client("bare", tls=False) as client:
        assert {"PLAIN", "LOGIN", "SCRAM-SHA-256"} == set(client.mechanisms())
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 235


# proves: D02
def test_the_relay_has_no_auth(place):
    with place.client("relay") as client:
        assert client.mechanisms() == []
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") in (502, 503, 500)


# proves: D03 D04
def test_every_form_of_every_mechanism(place):
    with place.client() as client:
        assert client.mechanisms() == ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
        assert client.code(f"AUTH plain {plain(USER, PASSWORD)}") == 235
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 503
    with place.client() as client:
        assert client.say("AUTH PLAIN") == (334, [""])
        assert client.code(plain(USER, PASSWORD)) == 235
    with place.client() as client:
        assert client.say("AUTH LOGIN") == (334, [b64("Username:")])
        assert client.say(b64(USER)) == (334, [b64("Password:")])
        assert client.code(b64(PASSWORD)) == 235
    with place.client() as client:
        assert client.say(f"AUTH LOGIN {b64(USER)}") == (334, [b64("Password:")])
        assert client.code(b64(PASSWORD)) == 235
    with place.client() as client:
        assert client.scram(USER, PASSWORD) == 235


# proves: D11
def test_scram_plus_is_bound_to_this_tls(place):
    def plus(client, **options):
        return client.scram(USER, PASSWORD, "SCRAM-SHA-256-PLUS", gs2="p=tls-server-end-point,,", **options)

    with place.client() as client, place.client() as other:
        assert plus(client, channel=b"x" * 32) == 535
        assert plus(client, channel=client.end_point_binding()) == 235
        assert other.scram(USER, PASSWORD, gs2="y,,") == 535  # it believes that we have no PLUS: somebody took it away
        assert other.scram(USER, PASSWORD, "SCRAM-SHA-256-PLUS", gs2="n,,") == 535
        assert other.scram(USER, PASSWORD, gs2="p=tls-server-end-point,,", channel=other.end_point_binding()) == 535
        assert other.scram(USER, PASSWORD, binding=b"y,,") == 535
        assert other.scram(USER, PASSWORD) == 235
    with place.client("bare", tls=False) as client:
        assert client.scram(USER, PASSWORD, gs2="y,,") == 235  # there is none, as it says


# proves: D03
def test_wrong_turns(place):
    with place.client() as client:
        assert client.code("AUTH NTLM") == 504
        assert client.code("AUTH CRAM-MD5") == 504
        assert client.code("AUTH SCRAM-SHA-1") == 504
        assert client.say(f"AUTH PLAIN {plain(USER, 'wrong')}") == (535, ["5.7.8 Authentication failed"])
        assert client.code("AUTH PLAIN") == 334
        assert client.code("*") == 501
        assert client.code("AUTH LOGIN") == 334
        assert client.code(b64(USER)) == 334
        assert client.code("*") == 501
        assert client.code("AUTH PLAIN !!!!") == 501
        assert client.code("AUTH PLAIN") == 334
        assert client.code("=") in (501, 535)
        assert client.code("MAIL FROM:<x@y.test>") == 530
        assert client.scram(USER, "wrong") == 535
        assert client.scram(USER, PASSWORD) == 235
        assert client.code(f"MAIL FROM:<{USER}>") == 250
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 503


# proves: D05
def test_plain_is_strict(place):
    with place.client() as client:
        for message in (b"", b"\0", b"\0\0", b"\0\0\0", USER.encode(), f"{USER}\0{PASSWORD}".encode(), f"\0{USER}\0{PASSWORD}\0".encode(),
                        f"\0{USER}\0".encode(), f"\0\0{PASSWORD}".encode(), f"other\0{USER}\0{PASSWORD}".encode(),
                        f"\0{USER}\r\n\0{PASSWORD}".encode(), f"\0{USER}\0{PASSWORD}\n".encode(), f"\0{USER}\0\xff".encode("latin-1")):
            assert client.code(f"AUTH PLAIN {b64(message) or '='}") in (501, 535), message
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD, USER)}") == 235


# proves: D06
def test_base64_is_strict(place):
    right = plain(USER, PASSWORD)
    with place.client() as client:
        for text in (right[:-1], right[:-2], right[:-3], right + "=", right[:8] + "=" + right[8:], "====", "=" * 4 + right, right[:8] + " " + right[8:], "A",
                     "AA", "AAA", "A===", "\x01\x02", "A" * 4099, "é"):
            assert client.code(f"AUTH PLAIN {text}") in (501, 535), text
        assert client.code("AUTH PLAIN") == 334
        assert client.code("A" * 12000) in (501, 535)
        assert client.code("AUTH PLAIN") == 334
        assert client.code("A" * 12001) in (501, 500)
        assert client.code(f"AUTH PLAIN {right}") == 235


# proves: D07
@pytest.mark.parametrize("name", ODD)
def test_odd_names_are_only_themselves(place, name):
    place.cluster.baridctl("user", "add", "--password-stdin", "--senders", "*", name, stdin=PASSWORD + name + "\n")
    with place.client() as client:
        for other in [USER, *ODD]:
            if other != name:
                assert client.code(f"AUTH PLAIN {plain(other, PASSWORD + name)}") == 535
        assert client.code(f"AUTH PLAIN {plain(name, PASSWORD + name)}") == 235
    with place.client() as client:
        assert client.scram(name, PASSWORD + name) == 235


# proves: D07
def test_a_name_with_line_ends_is_refused(place):
    before = place.cluster.redis.client().dbsize()
    with place.client() as client:
        assert client.code(f"AUTH PLAIN {plain(chr(10).join(['a', 'SET x 1']), PASSWORD)}") == 535
        assert client.code(f"AUTH PLAIN {plain('a' + chr(13) + chr(10) + 'SET x', PASSWORD)}") == 535
    assert place.cluster.redis.client().dbsize() == before and not place.cluster.redis.client().exists("x")


# proves: D08
def test_nobody_learns_who_exists(place):
    def salt(name):
        with place.client() as client:
            code, lines = client.say(f"AUTH SCRAM-SHA-256 {b64(f'n,,n={name},r=abcdef')}")
            assert code == 334
            attributes = dict(part.split("=", 1) for part in base64.b64decode(lines[0]).decode().split(","))
            return attributes["s"], attributes["i"]

    assert salt("nobody@example.com") == salt("nobody@example.com")
    assert salt("nobody@example.com") != salt("nobody2@example.com")
    real, dummy = salt(USER), salt("nobody@example.com")
    assert len(real[0]) == len(dummy[0]) and real[1] == dummy[1]
    with place.client() as client:
        assert client.say(f"AUTH PLAIN {plain('nobody', 'x')}") == client.say(f"AUTH PLAIN {plain(USER, 'x')}")
        assert client.scram("nobody", PASSWORD) == 535
        before = place.cluster.nodes[0].metrics()["barid_auth_checks_total"]
        for _ in range(3):
            client.code(f"AUTH PLAIN {plain('nobody', 'x')}")
            client.code(f"AUTH PLAIN {plain(USER, 'x')}")
        assert place.cluster.nodes[0].metrics()["barid_auth_checks_total"] == before + 6  # both pay the slow check


def test_a_right_password_is_remembered_and_a_wrong_one_is_not(place):
    node = place.cluster.nodes[0]
    with place.client() as client:
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 235
    before = node.metrics()["barid_auth_checks_total"]
    for _ in range(3):
        with place.client() as client:
            assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 235
    assert node.metrics()["barid_auth_checks_total"] == before
    place.cluster.baridctl("user", "passwd", USER, "--password-stdin", stdin="another one\n")
    with place.client() as client:
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 535
        assert client.code(f"AUTH PLAIN {plain(USER, 'another one')}") == 235
    place.cluster.baridctl("user", "passwd", USER, "--password-stdin", stdin=PASSWORD + "\n")


# A verifier of another server's making: hashlib's, as passlib would write it; and PostgreSQL's SCRAM for "pencil" (RFC 7677).
def test_imported_verifiers_work(place):
    key = hashlib.scrypt(b"imported", salt=b"0123456789abcdef", n=1 << 12, r=8, p=1, dklen=32)

    def bare(data):
        return base64.b64encode(data).decode().rstrip("=")

    place.cluster.baridctl("user", "add", "import1", "--senders", "*", "--verifier", f"$scrypt$ln=12,r=8,p=1${bare(b'0123456789abcdef')}${bare(key)}")
    with place.client() as client:
        assert client.scram("import1", "imported") == 535  # scrypt cannot serve it
        assert client.code(f"AUTH PLAIN {plain('import1', 'Imported')}") == 535
        assert client.code(f"AUTH PLAIN {plain('import1', 'imported')}") == 235


# proves: D03 D08
def test_redis_away_is_never_a_wrong_password(place):
    with place.client() as client:
        fault = place.cluster.freeze_redis()
        assert client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 454
        assert client.scram(USER, PASSWORD) == 454
        place.cluster.thaw_redis(fault)
    with place.client() as client:
        wait.until(lambda: client.code(f"AUTH PLAIN {plain(USER, PASSWORD)}") == 235, 30, "AUTH works again")


def test_smtplib_logs_in(place):
    host, port = place.cluster.address("submission")
    with smtplib.SMTP("localhost", port) as client:
        client.starttls(context=place.authority.client())
        client.login(USER, PASSWORD)
        assert client.mail(USER)[0] == 250
    with smtplib.SMTP("localhost", port) as client:
        client.starttls(context=place.authority.client())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(USER, "wrong")


# proves: D12
def test_no_secret_is_written_anywhere(place):
    secret = "Zq7-visible-nowhere-93kd"
    place.cluster.add_user("quiet@example.com", secret)
    for said in (plain("quiet@example.com", secret), plain("quiet@example.com", secret + "x"), b64(f"junk {secret}")):
        with place.client() as client:
            client.code(f"AUTH PLAIN {said}")
        with place.client() as client:
            client.code("AUTH LOGIN")
            client.code(b64("quiet@example.com"))
            client.code(b64(secret))
        with place.client() as client:
            client.code(f"AUTH XYZ {said}")
            client.code(said)  # typed at the wrong prompt
        with place.client(tls=False) as client:
            client.code(f"AUTH PLAIN {said}")
    with place.client() as client:
        client.scram("quiet@example.com", secret)
    forms = {secret.encode(), b64(secret).rstrip("=").encode(), plain("quiet@example.com", secret).rstrip("=").encode(), secret[4:20].encode(),
             plain("quiet@example.com", secret)[-20:-2].encode()}
    found = []
    files = [name for name in glob.glob(os.path.join(place.cluster.folder, "**"), recursive=True) if os.path.isfile(name)]
    assert any(name.endswith(".log") for name in files)
    for name in files:
        with open(name, "rb") as file:
            content = file.read()
        found += [(name, form) for form in forms if form in content]
    assert found == []
