"""Submission by the clients people use: swaks, smtplib, openssl, msmtp, gsasl, Postfix with SASL and TLS, and HAProxy in front of two ingresses."""

import os
import re
import smtplib
import socket
import subprocess

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster
from harness.haproxy import HaProxy
from harness.postfix import Postfix
from harness.sink import ScriptedSink

USER, PASSWORD = "alice@origin.test", "correct horse battery"
_LISTENERS = {
    "relay": {"role": "relay", "relay_domains": ["one.test"]},
    "submission": {"role": "submission"},
    "submissions": {"role": "submissions"},
    "balanced": {"role": "relay", "relay_domains": ["one.test"], "trusted_networks": ["127.0.0.77/32"], "proxy": "required",
                 "balancers": ["127.0.0.1/32"]},
    "limited": {"role": "relay", "relay_domains": ["one.test"], "proxy": "required", "balancers": ["127.0.0.1/32"],
                "limits": {"messages_per_client": "3/1h"}},
}


class Place:
    def __init__(self, cluster, sink, authority):
        self.cluster, self.sink, self.authority = cluster, sink, authority

    def arrived(self, subject, timeout=30):
        """The transaction at the sink whose content has this subject."""
        line = f"Subject: {subject}\r\n".encode()
        return self.sink.wait_for(lambda t: t.taken and t.content and line in t.content, timeout, f"{subject} at the sink")


@pytest.fixture(scope="module")
def place():
    folder = paths.scratch("authority")
    authority = Authority(folder)
    settings = {"tls": {"certificates": [authority.issue("localhost", "*.relay.test")]}}
    with ScriptedSink() as sink:
        settings["courier"] = {"routes": {"*": f"127.0.0.1:{sink.port}"}}
        with Cluster(ingress=2, settings=settings, listeners=_LISTENERS) as cluster:
            cluster.add_user(USER, PASSWORD)
            yield Place(cluster, sink, authority)


def run(argv, stdin="", environment=None):
    done = subprocess.run([str(arg) for arg in argv], input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
                          env=paths.peer_environment(**(environment or {})))
    return done.returncode, done.stdout.decode("utf-8", "replace")


def received_of(transaction):
    """Our Received field on one line."""
    field = re.match(rb"Received:.*?\r\n(?![ \t])", transaction.content, re.DOTALL).group(0)
    return b" ".join(field.split()).decode()


# proves: C04 D04 G01
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("listener", ["submission", "submissions"])
def test_swaks_submits(place, listener, mechanism):
    host, port = place.cluster.address(listener)
    subject = f"swaks {listener} {mechanism}"
    code, told = run(["swaks", "--server", host, "--port", port, "--tls" if listener == "submission" else "--tls-on-connect", "--auth", mechanism,
                      "--auth-user", USER, "--auth-password", PASSWORD, "--from", USER, "--to", "r@one.test", "--header", f"Subject: {subject}"],
                     environment={"LD_LIBRARY_PATH": ""})
    assert code == 0, told
    assert " with ESMTPSA " in received_of(place.arrived(subject))


# proves: C04 D04
@pytest.mark.parametrize("listener", ["submission", "submissions"])
def test_smtplib_submits(place, listener):
    context, subject = place.authority.client(), f"smtplib {listener}"
    address = ("localhost", place.cluster.address(listener)[1])
    with smtplib.SMTP_SSL(*address, context=context) if listener == "submissions" else smtplib.SMTP(*address) as client:
        if listener == "submission":
            client.starttls(context=context)
        client.login(USER, PASSWORD)
        client.sendmail(USER, ["r@one.test"], f"From: {USER}\r\nSubject: {subject}\r\n\r\nhello\r\n")
    arrived = place.arrived(subject)
    assert " with ESMTPSA " in received_of(arrived)
    assert b"\r\nDate: " in arrived.content and b"\r\nMessage-ID: <" in arrived.content


# proves: C01
def test_openssl_speaks_through_starttls(place):
    host, port = place.cluster.address("relay")
    process = subprocess.Popen(["openssl", "s_client", "-connect", f"{host}:{port}", "-starttls", "smtp", "-crlf", "-quiet", "-verify_return_error", "-CAfile",
                                place.authority.ca], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for line, code in ((b"EHLO openssl.test", b"250"), (b"MAIL FROM:<s@origin.test>", b"250"), (b"rcpt TO:<r@one.test>", b"250"), (b"DATA", b"354"),
                           (b"Subject: openssl\n\nhello\n.", b"250"), (b"QUIT", b"221")):
            process.stdin.write(line + b"\n")
            process.stdin.flush()
            reply = process.stdout.readline()
            while reply[3:4] == b"-":
                reply = process.stdout.readline()
            assert reply.startswith(code), (line, reply)
        process.stdin.close()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert " with ESMTPS " in received_of(place.arrived("openssl"))


# proves: D11
@pytest.mark.parametrize("mechanism", ["plain", "login", "scram-sha-256"])
def test_msmtp_submits(place, mechanism):
    _, port = place.cluster.address("submission")
    subject = f"msmtp {mechanism}"
    secret = os.path.join(place.authority.folder, "password")
    with open(secret, "w") as file:
        file.write(PASSWORD)
    code, told = run([paths.peer("msmtp"), "--host=localhost", f"--port={port}", "--tls=on", "--tls-starttls=on", f"--tls-trust-file={place.authority.ca}",
                      f"--auth={mechanism}", f"--user={USER}", f"--passwordeval=cat {secret}", f"--from={USER}", "--", "r@one.test"],
                     stdin=f"From: {USER}\r\nSubject: {subject}\r\n\r\nhello\r\n")
    assert code == 0, told
    assert " with ESMTPSA " in received_of(place.arrived(subject))


# proves: D11
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_gsasl_is_let_in(place, mechanism):
    _, port = place.cluster.address("submission")
    for password, is_right in ((PASSWORD, True), ("wrong", False)):
        code, told = run([paths.peer("gsasl"), "--smtp", f"--connect=localhost:{port}", f"--x509-ca-file={place.authority.ca}", "-m", mechanism,
                          "-a", USER, "-p", password, "-z", "", "--verbose", *([] if mechanism.endswith("PLUS") else ["--no-cb"])])
        assert ("235 2.7.0" in told) == is_right, told
        assert ("535 5.7.8" in told) != is_right, told
        assert (code == 0) == is_right, told


# proves: C05 D03
def test_postfix_submits_with_sasl_and_tls(place):
    _, port = place.cluster.address("submission")
    settings = {"smtp_tls_security_level": "secure", "smtp_tls_CAfile": place.authority.ca, "smtp_tls_verify_cert_match": "localhost",
                "smtp_tls_secure_cert_match": "localhost", "smtp_sasl_auth_enable": "yes", "smtp_sasl_security_options": "noanonymous",
                "smtp_sasl_password_maps": f"inline:{{ {{[localhost]:{port} = {USER}:{PASSWORD}}} }}", "smtp_host_lookup": "native",
                "import_environment": "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH SASL_PATH"}
    with Postfix.client("localhost", port, settings=settings) as client:
        with smtplib.SMTP(client.host, client.port, timeout=60) as session:
            session.sendmail(USER, ["r@one.test"], f"From: {USER}\r\nSubject: through Postfix\r\n\r\nhello\r\n")
        client.wait_log(r"status=sent")
        client.process.wait_until(lambda: client.queue_size() == 0, 30, "an empty queue at Postfix")
    assert " with ESMTPSA " in received_of(place.arrived("through Postfix"))


# proves: E03 E06 G02
def test_haproxy_tells_who_the_client_is(place):
    """TCP mode, send-proxy-v2 with its health checks, two ingresses; the client's address is 127.0.0.77."""
    backends = [place.cluster.address("balanced", number) for number in (1, 2)]
    context = place.authority.client()
    before = [len(node.log_text()) for node in place.cluster.of("ingress")]
    with HaProxy(backends, send_proxy=True) as balancer:
        for number in range(4):
            with smtplib.SMTP(balancer.host, balancer.port, source_address=("127.0.0.77", 0), local_hostname="c.test") as client:
                client._host = "localhost"  # the name in the certificate
                client.starttls(context=context)
                client.sendmail("s@origin.test", [f"r{number}@two.test"], f"Subject: balanced {number}\r\n\r\nhello\r\n")
            assert "[127.0.0.77]" in received_of(place.arrived(f"balanced {number}"))
        with smtplib.SMTP(balancer.host, balancer.port, source_address=("127.0.0.78", 0)) as client:  # trusted is who it is, not the balancer
            client.ehlo()
            client.mail("s@origin.test")
            assert client.rcpt("r@two.test")[0] == 550
        logs = [node.log_text()[start:] for start, node in zip(before, place.cluster.of("ingress"))]
        assert any("client=127.0.0.77" in log for log in logs)
    assert all("warn" not in line for log in logs for line in log.splitlines() if "client=127.0.0.1 " in line)


# proves: E07
def test_health_checks_count_and_tell_nothing(place):
    node = place.cluster.node("ingress1")
    before = node.log_text().count("\n")
    refused = node.metrics().get("barid_commands_refused_total", 0)
    for _ in range(50):
        socket.create_connection(node.listeners["relay"]).close()
        with socket.create_connection(node.listeners["balanced"]) as check:
            check.sendall(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")  # PROXY v2, LOCAL
            assert check.recv(512).startswith(b"220 ")
    wait.until(lambda: node.metrics()["barid_sessions"] == 0, 20, "no session left")
    assert node.log_text().count("\n") == before
    assert node.metrics().get("barid_commands_refused_total", 0) == refused


# proves: G02 B34
def test_limits_know_the_client_behind_the_balancer(place):
    backends = [place.cluster.address("limited", number) for number in (1, 2)]
    with HaProxy(backends, send_proxy=True) as balancer:
        def codes(source, count):
            found = []
            for number in range(count):
                with smtplib.SMTP(balancer.host, balancer.port, source_address=(source, 0)) as client:
                    client.ehlo()
                    code, _ = client.mail("s@origin.test")
                    if code == 250:
                        client.rcpt(f"l{number}@one.test")
                        code, _ = client.data(f"Subject: limited {source} {number}\r\n\r\nhello\r\n")
                    found.append(code)
            return found
        assert codes("127.0.0.81", 6) == [250, 250, 250, 450, 450, 450]
        assert codes("127.0.0.82", 3) == [250, 250, 250]
