"""Mail reaches Postfix, Exim, OpenSMTPD and Dovecot as these packages ship: within TLS where they offer it, with AUTH where they ask for it, by LMTP."""

import pytest
from post import Post

from harness import wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.dovecot import Dovecot, DovecotStore
from harness.exim import Exim
from harness.opensmtpd import OpenSmtpd
from harness.postfix import Postfix
from harness.sink import ScriptedSink

TLS = {"smtpd_tls_security_level": "may", "smtpd_tls_loglevel": "1", "smtpd_tls_received_header": "yes"}


def login_by(dovecot):
    """Postfix takes mail only from whom Dovecot knows, within TLS."""
    return {"smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot", "smtpd_sasl_path": dovecot.socket, "smtpd_tls_auth_only": "yes",
            "smtpd_relay_restrictions": "permit_sasl_authenticated,reject", "smtpd_recipient_restrictions": "permit_sasl_authenticated,reject"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    authority = Authority(str(folder))
    certificate = authority.issue("mx.real.test", "127.0.0.1.test", rsa=True)
    tls = {**TLS, "smtpd_tls_cert_file": certificate, "smtpd_tls_key_file": certificate}
    users = [f"u{n}@store.test" for n in range(3)] + ["u0@socket.test"]
    with ScriptedSink(["127.0.0.1"]) as sink, Dovecot({"relay": "a secret of postfix"}) as logins, \
            Postfix.receiver(name="postfix-login", settings={**tls, **login_by(logins)}) as with_login, \
            Postfix.receiver(name="postfix-tls", settings={**tls, "smtputf8_enable": "yes"}) as with_tls, \
            Postfix.receiver(name="postfix-plain", settings={"smtpd_discard_ehlo_keywords": "chunking"}) as plain, \
            Exim(certificate=certificate, login=("relay", "a secret of exim")) as exim, \
            OpenSmtpd(certificate=certificate) as opensmtpd, DovecotStore(users) as store:
        routes = {"origin.test": f"127.0.0.1:{sink.port}", "tls.test": f"127.0.0.1:{with_tls.port}", "plain.test": f"127.0.0.1:{plain.port}",
                  "broken.test": f"127.0.0.1:{opensmtpd.port}", "must.test": "must", "smart.test": "smart", "login.test": "login", "wrong.test": "wrong", "store.test": "store", "socket.test": "socket"}
        transports = {
            "must": {"hosts": [f"127.0.0.1:{opensmtpd.port}"], "tls": "encrypt"},
            "smart": {"hosts": [f"127.0.0.1:{exim.port}"], "tls": "verify mx.real.test", "user": "relay", "password": "a secret of exim"},
            "login": {"hosts": [f"127.0.0.1:{with_login.port}"], "tls": "verify mx.real.test", "user": "relay", "password": "a secret of postfix"},
            "wrong": {"hosts": [f"127.0.0.1:{with_login.port}"], "tls": "verify mx.real.test", "user": "relay", "password": "another secret"},
            "store": {"protocol": "lmtp", "hosts": [f"127.0.0.1:{store.port}"]},
            "socket": {"protocol": "lmtp", "hosts": [f"unix:{store.socket}"]},
        }
        settings = {"courier": {"routes": routes}, "transports": transports, "tls_out": {"ca": authority.ca}, "retry": {"first": "1s"},
                    "dispatcher": {"pause_first": "500ms", "pause_longest": "500ms"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.with_login = with_login
            post.postfix, post.plain, post.exim, post.opensmtpd, post.store = with_tls, plain, exim, opensmtpd, store
            yield post
            cluster.wait_empty()


def copy_of(server, letter):
    """The one copy of a letter that a server has."""
    marker = letter.ledger_id.encode()
    wait.until(lambda: any(marker in message for message in server.messages()), 30, f"{letter.ledger_id} at {server.name}")
    found = [message for message in server.messages() if marker in message]
    assert len(found) == 1
    return found[0]


def story_of(scene, letter):
    return scene.cluster.baridctl("trace", letter.message_id)


# proves: L01
def test_postfix_gets_it_within_tls(scene):
    letter = scene.send("r@tls.test")
    assert b"using TLSv1.3" in copy_of(scene.postfix, letter)
    assert "TLSv1.3" in story_of(scene, letter)


# proves: L01
def test_postfix_without_tls_gets_it_in_plain(scene):
    assert b"using TLS" not in copy_of(scene.plain, scene.send("r@plain.test"))


# proves: L01 L03
def test_a_server_whose_every_handshake_fails_gets_it_in_plain(scene):
    copy_of(scene.opensmtpd, scene.send("r@broken.test"))
    assert "SSL routines" in scene.opensmtpd.log_text(), "TLS was tried first"


# proves: L03
def test_where_tls_is_a_must_such_a_server_gets_nothing(scene):
    letter = scene.send("r@must.test")
    wait.until(lambda: "4.7.5" in story_of(scene, letter), 30, "deferred with 4.7.5")
    assert not any(letter.ledger_id.encode() in message for message in scene.opensmtpd.messages())
    scene.cluster.baridctl("msg", "delete", letter.message_id, "--yes")


# proves: H20 I16
def test_exim_as_smart_host_knows_us_by_our_password(scene):
    assert b"with esmtpsa" in copy_of(scene.exim, scene.send("r@smart.test"))


# proves: H20 I16
def test_postfix_with_dovecots_logins_knows_us_by_scram(scene):
    copy_of(scene.with_login, scene.send("r@login.test"))
    assert "sasl_method=SCRAM-SHA-256, sasl_username=relay" in scene.with_login.log_text()


# proves: H20
def test_a_password_that_postfix_does_not_know_defers_the_mail(scene):
    letter = scene.send("r@wrong.test")
    wait.until(lambda: "4.7.8" in story_of(scene, letter), 30, "deferred with 4.7.8")
    assert "another secret" not in story_of(scene, letter) + scene.cluster.of("courier")[0].log_text()
    scene.cluster.baridctl("msg", "delete", letter.message_id, "--yes")


# proves: N03
def test_postfix_and_exim_take_internationalized_mail(scene):
    for server, domain in ((scene.postfix, "tls.test"), (scene.exim, "smart.test")):
        letter = scene.send(f"jürgen@{domain}", sender="müller@origin.test", header="Subject: Grüße\r\n".encode(), options=("SMTPUTF8", "BODY=8BITMIME"))
        assert "Grüße".encode() in copy_of(server, letter)


# proves: H05
def test_dovecot_keeps_mail_of_its_users_and_the_others_come_back(scene):
    letter = scene.send(["u0@store.test", "u1@store.test", "nobody@store.test", "u2@store.test"])
    marker = letter.ledger_id.encode()
    for user in ("u0@store.test", "u1@store.test", "u2@store.test"):
        wait.until(lambda: sum(marker in message for message in scene.store.messages(user)) == 1, 30, f"one copy for {user}")
    report = scene.wait_returned(letter)
    assert (report.of("nobody@store.test")["Status"], report.of("nobody@store.test")["Action"]) == ("5.1.1", "failed")
    assert report.recipients == ["nobody@store.test"]


# proves: H05
def test_dovecot_is_reached_at_its_socket(scene):
    letter = scene.send(["u0+detail@socket.test", "nobody@socket.test"])
    wait.until(lambda: sum(letter.ledger_id.encode() in message for message in scene.store.messages("u0@socket.test")) == 1, 30, "one copy")
    assert scene.wait_returned(letter).recipients == ["nobody@socket.test"]


def test_large_mail_arrives_byte_for_byte_at_each(scene):
    body = b"".join(b"%08d .\r\n..\r\n.\r\n" % n for n in range(60000))
    for server, to in ((scene.postfix, "r@tls.test"), (scene.plain, "r@plain.test"), (scene.exim, "r@smart.test"), (scene.opensmtpd, "r@broken.test")):
        copy = copy_of(server, scene.send(to, body=body))
        assert copy.replace(b"\r\n", b"\n").partition(b"\n\n")[2].strip() == body.replace(b"\r\n", b"\n").strip()
