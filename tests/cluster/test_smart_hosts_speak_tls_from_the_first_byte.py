"""Smart hosts on port 465 (RFC 8314): TLS comes first, what it must prove is as for others, and nothing is ever said in plain."""

import pytest
from post import Post
from raw_host import RawHost

from harness import ports, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.exim import Exim
from harness.postfix import Postfix
from harness.sink import ScriptedSink

USER, PASSWORD = "relay", "a secret of theirs"


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("authority"))
    authority = Authority(folder)
    certificate = authority.issue("smart.real.test", rsa=True)
    tls = {"smtpd_tls_security_level": "may", "smtpd_tls_wrappermode": "yes", "smtpd_tls_received_header": "yes",
           "smtpd_tls_cert_file": certificate, "smtpd_tls_key_file": certificate}
    exim_port, raw_port = ports.free_port(), ports.free_port()
    with ScriptedSink(["127.0.0.9"]) as home, \
            ScriptedSink(["127.0.1.1", "127.0.1.2"], is_wrapped=True, tls=certificate, users={USER: PASSWORD}, mechanisms=["PLAIN"]) as sink, \
            ScriptedSink(["127.0.1.4"], tls=certificate, users={USER: PASSWORD}) as starttls, \
            Postfix.receiver(name="postfix-wrapped", settings=tls) as postfix, \
            Exim(certificate=certificate, login=(USER, PASSWORD), port=exim_port, settings=f"tls_on_connect_ports = {exim_port}") as exim:
        login = {"user": USER, "password": PASSWORD}
        transports = {
            "exim": {"hosts": [f"127.0.0.1:{exim_port}"], "tls": "verify smart.real.test", **login},
            "postfix": {"hosts": [f"127.0.0.1:{postfix.port}"], "tls": "encrypt"},
            "right": {"hosts": [f"127.0.1.1:{sink.port}"], "tls": "verify smart.real.test", **login},
            "wrong": {"hosts": [f"127.0.1.1:{sink.port}", f"127.0.1.2:{sink.port}"], "tls": "verify other.real.test", **login},
            "unnamed": {"hosts": [f"127.0.1.1:{sink.port}"]},
            "auto": {"hosts": [f"127.0.1.1:{sink.port}"], "tls": "auto"},
            "guarded": {"protocol": "smtp", "hosts": [f"127.0.1.4:{starttls.port}"], "tls": "auto", **login},
            "plain": {"hosts": [f"127.0.1.3:{raw_port}"], "tls": "encrypt"}}
        for transport in transports.values():
            transport.setdefault("protocol", "smtps")
        routes = {"origin.test": f"127.0.0.9:{home.port}", **{f"{name}.test": name for name in transports}}
        settings = {"courier": {"routes": routes, "idle_time": "2s"}, "transports": transports,
                    "tls_out": {"ca": authority.ca, "handshake_timeout": "1s", "policy": "none"}}
        with Cluster(settings=settings) as cluster:
            post = Post(cluster, sink)
            post.exim, post.postfix, post.starttls, post.raw_port = exim, postfix, starttls, raw_port
            yield post


def wait_kept(server, letter):
    marker = letter.ledger_id.encode()
    wait.until(lambda: any(marker in message for message in server.messages()), 30, f"{letter.ledger_id} at {server.name}")


# proves: H20
def test_real_servers_take_it(scene):
    letters = {name: scene.send(f"r@{name}.test") for name in ("exim", "postfix")}
    wait_kept(scene.exim, letters["exim"])
    wait_kept(scene.postfix, letters["postfix"])
    told = {name: scene.wait_told(letter, "delivered")[0] for name, letter in letters.items()}
    assert told["exim"]["proof"] == "name" and told["postfix"]["proof"] == "no"
    assert all(line["tls"].startswith("TLSv1.3") for line in told.values())


# proves: H15 H20
def test_one_connection_serves_several_messages_and_a_session_is_resumed(scene):
    sessions = []
    for _ in range(2):
        sessions.append(set())
        for _ in range(2):
            letter = scene.send("r@right.test")
            sessions[-1].add(scene.wait_delivered(letter).session)
            scene.wait_told(letter, "delivered")
        last = next(iter(sessions[-1]))
        wait.until(lambda: last.closed_at, 10, "the end of its idle time")
    assert [len(found) for found in sessions] == [1, 1]
    first, second = (next(iter(found)) for found in sessions)
    assert first.commands[0].startswith("EHLO") and first.user == USER and not any("STARTTLS" in command for command in first.commands)
    assert second.tls["is_resumed"]


# proves: H20 L17 L18
@pytest.mark.parametrize("domain", ["wrong.test", "unnamed.test", "auto.test", "guarded.test"])
def test_a_host_of_another_name_is_told_nothing(scene, domain):
    """Where nothing is said of names, it is the host's own, by STARTTLS too when there is a password."""
    letter = scene.send(f"r@{domain}")
    assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.5"
    assert not scene.copies(letter) and not any(session.user for session in scene.starttls.sessions) and scene.told(letter, "bounced") == []
    scene.cluster.baridctl("msg", "delete", letter.message_id, "--yes")


# proves: H20 L03
def test_a_host_that_greets_in_plain_is_told_nothing(scene):
    heard = []

    def serve(connection, pause):
        connection.sendall(b"220 plain.test ESMTP\r\n")
        heard.append(connection.recv(4096))
        connection.sendall(b"250-plain.test\r\n250 AUTH PLAIN\r\n")
        while piece := connection.recv(4096):
            heard.append(piece)

    with RawHost("127.0.1.3", scene.raw_port, serve):
        letter = scene.send("r@plain.test")
        assert scene.wait_told(letter, "deferred")[0]["status"] == "4.7.5"
    assert heard[0].startswith(b"\x16\x03") and b"EHLO" not in b"".join(heard)
    scene.cluster.baridctl("msg", "delete", letter.message_id, "--yes")
