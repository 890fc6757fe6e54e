"""What a session is before and besides its dialogue: TLS, balancers, users, stress, the end of the node, and what is told of it."""

import base64
import os
import re
import select
import signal
import socket
import ssl
import tempfile

import pytest

from harness import paths, wait
from harness.authority import Authority
from harness.cluster import Cluster, merged
from test_dialogs import PLAIN, Client, waiting
from test_ingress import ask, end_data, open_transaction, start_data

pytestmark = pytest.mark.skipif(not os.path.exists(paths.program("barid-ingress")), reason="barid-ingress is not built")


@pytest.fixture(scope="module")
def authority():
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(folder)
        authority.of_mx = authority.issue("mx.test")
        yield authority


def ingress(listeners=None, settings=None, **more):
    return Cluster(ingress=1, dispatchers=0, couriers=0, settings=merged(PLAIN, settings), listeners=listeners, **more)


def connect(cluster, listener, header=b""):
    client = Client(cluster.address(listener))
    client.say(header, False)
    return client


def greeted(cluster, listener, header=b""):
    client = connect(cluster, listener, header)
    assert client.reply("greeting").startswith(b"220 ")
    return client


def secured(cluster, listener, authority):
    client = greeted(cluster, listener)
    ask(client, b"EHLO client.example", b"250")
    ask(client, b"STARTTLS", b"220")
    client.start_tls(authority.client())
    ask(client, b"EHLO client.example", b"250")
    return client


def plain(name, password):
    return b"AUTH PLAIN " + base64.b64encode(b"\0" + name + b"\0" + password)


def logged_in(cluster, listener, authority, name=b"anna@b.example", password=b"her secret"):
    client = secured(cluster, listener, authority)
    ask(client, plain(name, password), b"235 2.7.0")
    return client


def proxy(ip):
    return b"PROXY TCP4 " + ip + b" 192.0.2.1 40000 25\r\n"


LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
BEHIND = {"role": "relay", "proxy": "required", "balancers": ["127.0.0.0/8"]}


# ---- balancers

# proves: E07
def test_health_checks_are_not_told_and_count_for_nothing(authority):
    one = {"sessions_per_client": "1", "connections_per_client": "1/1h"}
    listeners = {"plain": {"role": "relay", "limits": one},
                 "tls": {"role": "submissions", "certificates": [authority.of_mx], "limits": one},
                 "behind": {**BEHIND, "limits": one}}
    with ingress(listeners) as cluster:
        before = cluster.nodes[0].log_text()
        for _ in range(20):
            for name in listeners:
                client = connect(cluster, name, LOCAL if name == "behind" else b"")
                if name != "tls":
                    assert client.reply("greeting").startswith(b"220 ")
                client.socket.close()
                wait.until(lambda: cluster.metric("barid_sessions") == 0, 10, "the session is gone")
        assert cluster.nodes[0].log_text() == before
        for name, header in (("plain", b""), ("behind", proxy(b"192.0.2.7"))):
            assert connect(cluster, name, header).reply("greeting").startswith(b"220 ")
        assert cluster.metric("barid_sessions_refused_total") == 0


# proves: G02 E03 B34
def test_client_behind_a_balancer_is_the_one_that_counts():
    with ingress({"behind": {**BEHIND, "max_sessions_per_client": 1, "trusted_networks": ["192.0.2.7/32"]}}) as cluster:
        first = greeted(cluster, "behind", proxy(b"192.0.2.7"))
        greeted(cluster, "behind", proxy(b"192.0.2.8"))
        second = connect(cluster, "behind", proxy(b"192.0.2.7"))
        assert second.reply("greeting").startswith(b"421 4.7.0")
        assert second.at_end()
        end_data(start_data(first), b"Subject: x\r\n\r\nHello\r\n")
        with cluster.redis.client() as redis:
            whole = redis.get(redis.keys(b"b:*")[0])
        assert b"from client.example (unknown [192.0.2.7])" in re.sub(rb"\r\n\s+", b" ", whole)
        assert b"127.0.0.1" not in whole
        cluster.wait_log("ingress", "event=accepted.* client=192.0.2.7 ")


# proves: E04
def test_header_of_a_balancer_must_come_in_time_and_be_one():
    with ingress({"behind": BEHIND, "strict": {**BEHIND, "balancers": ["192.0.2.0/24"]}}) as cluster:
        late = connect(cluster, "behind", b"PROXY TCP4 192")
        for junk in (b"EHLO x\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8\r\n", b"PROXY " + b"x" * 200, b"\x16\x03\x01", b"\r\n\r\n\0\r\nQUIT\n\x31\0\0\0"):
            client = connect(cluster, "behind", junk)
            assert client.at_end(), junk
        assert connect(cluster, "strict", proxy(b"192.0.2.7")).at_end()
        cluster.wait_log("ingress", "event=arrival_refused")
        assert late.at_end()  # after 5 s
        assert cluster.metric("barid_sessions_total") == 0


# proves: E06 C04
def test_tls_begins_behind_the_header_also_in_one_packet(authority):
    with ingress({"behind": {**BEHIND, "role": "submissions", "certificates": [authority.of_mx]}}) as cluster:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="mx.test")
        client = connect(cluster, "behind")
        header = proxy(b"192.0.2.7")

        def step(function, *arguments):
            nonlocal header
            while True:
                try:
                    return function(*arguments)
                except ssl.SSLWantReadError:
                    client.socket.sendall(header + outgoing.read())
                    header = b""
                    incoming.write(client.socket.recv(65536))
        step(tls.do_handshake)
        client.socket.sendall(outgoing.read())
        assert step(tls.read, 100).startswith(b"220 ")


# ---- TLS

# proves: C11
def test_handshakes_have_a_time_and_a_bound(authority):
    listeners = {"tls": {"role": "submissions"}, "relay": {"role": "relay"}}
    settings = {"tls": {"certificates": [authority.of_mx], "handshake_timeout": "1s", "max_handshakes": 2}}
    with ingress(listeners, settings) as cluster:
        plain_one = greeted(cluster, "relay")
        ask(plain_one, b"EHLO client.example", b"250")
        halves = [connect(cluster, "tls", b"\x16\x03\x01") for _ in range(2)]
        cluster.wait_metric("barid_handshakes", 2)
        third = connect(cluster, "tls")
        assert third.at_end()
        ask(plain_one, b"STARTTLS", b"454 4.7.0")
        assert all(half.at_end() for half in halves)
        wait.until(lambda: cluster.metric("barid_handshakes") == 0, 10, "no handshake is under way")
        assert cluster.metric("barid_handshakes_failed_total") == 2
        ask(plain_one, b"STARTTLS", b"220")
        plain_one.start_tls(authority.client())
        ask(plain_one, b"EHLO client.example", b"250")


# proves: C11
def test_no_client_takes_all_handshakes(authority):
    listeners = {"behind": {**BEHIND, "role": "submissions"}, "relay": {**BEHIND, "balancers": ["127.0.0.1/32"]}}
    with ingress(listeners, {"tls": {"certificates": [authority.of_mx], "max_handshakes_per_client": 3}}) as cluster:
        halves = [connect(cluster, "behind", proxy(b"192.0.2.7")) for _ in range(3)]
        cluster.wait_metric("barid_handshakes", 3)
        assert connect(cluster, "behind", proxy(b"192.0.2.7")).at_end()
        for ip, answer in ((b"192.0.2.7", b"454 4.7.0"), (b"192.0.2.8", b"220")):
            client = greeted(cluster, "relay", proxy(ip))
            ask(client, b"EHLO client.example", b"250")
            ask(client, b"STARTTLS", answer)
        for half in halves:
            half.socket.close()
        wait.until(lambda: cluster.metric("barid_handshakes") == 1, 10, "the handshakes are over")
        again = greeted(cluster, "relay", proxy(b"192.0.2.7"))
        ask(again, b"EHLO client.example", b"250")
        ask(again, b"STARTTLS", b"220")


# proves: B34
def test_a_connection_that_only_starts_tls_is_counted(authority):
    listener = {"role": "relay", "certificates": [authority.of_mx], "limits": {"connections_per_client": "3/1h"}}
    with ingress({"public": listener}) as cluster:
        for is_whole in (True, False, True):
            client = greeted(cluster, "public")
            ask(client, b"EHLO client.example", b"250")
            ask(client, b"STARTTLS", b"220")
            if is_whole:
                client.start_tls(authority.client())
            client.socket.close()
            wait.until(lambda: cluster.metric("barid_sessions") == 0, 10, "the session is gone")
        assert connect(cluster, "public").reply("greeting").startswith(b"421 4.7.0")


# proves: C10 E01
def test_certificate_is_a_permission_only_when_it_is_verified(authority):
    mine, others = authority.issue("client.test"), Authority(authority.folder, "other")
    listener = {"role": "relay", "certificates": [authority.of_mx], "trusted_networks": [], "client_ca": authority.ca,
                "client_fingerprints": [authority.fingerprint(mine)]}
    with ingress({"public": listener}) as cluster:
        for certificate, code in ((mine, b"250"), (authority.issue("client.test"), b"550 5.7.1"), (None, b"550 5.7.1"),
                                  (others.issue("client.test"), None)):
            client = greeted(cluster, "public")
            ask(client, b"EHLO client.example", b"250")
            ask(client, b"STARTTLS", b"220")
            context = authority.client(certificate)
            try:
                client.start_tls(context)
                ask(client, b"EHLO client.example", b"250")
                ask(client, b"MAIL FROM:<a@b.example>", b"250")
                ask(client, b"RCPT TO:<c@d.example>", code or b"550 5.7.1")
            except (ssl.SSLError, ConnectionError, AssertionError):
                assert code is None  # it was turned away in the handshake


# ---- users

SUBMISSION = {"role": "submission"}


# proves: D03 D09 G01
def test_submission_over_tls_with_a_user(authority):
    with ingress({"sub": SUBMISSION}, {"tls": {"certificates": [authority.of_mx]}}) as cluster:
        cluster.add_user("anna@b.example", "her secret")
        client = logged_in(cluster, "sub", authority)
        ask(client, plain(b"anna@b.example", b"her secret"), b"503 5.5.1")
        ask(client, b"MAIL FROM:<other@b.example>", b"553 5.7.1")
        end_data(start_data(client, sender=b"anna@b.example"), b"Subject: x\r\n\r\nHello\r\n")
        with cluster.redis.client() as redis:
            whole = re.sub(rb"\r\n\s+", b" ", redis.get(redis.keys(b"b:*")[0]))
        assert re.match(rb"Received: from client\.example .* with ESMTPSA \(TLSv1\.3 \w+\) id ", whole), whole
        assert b"\r\nDate: " in whole and b"\r\nMessage-ID: <" in whole.replace(b"Message-Id", b"Message-ID")
        assert b"anna" not in whole.partition(b"\r\n")[0]
        cluster.wait_log("ingress", r'event=accepted.* listener=sub .*tls="TLSv1.3 \w+" user=anna@b\.example auth=PLAIN')


def test_disabled_user_is_sent_away_at_the_next_command(authority):
    with ingress({"sub": SUBMISSION}, {"tls": {"certificates": [authority.of_mx]}}) as cluster:
        cluster.add_user("anna@b.example", "her secret")
        cluster.add_user("bert@b.example", "his secret")
        anna, bert = logged_in(cluster, "sub", authority), logged_in(cluster, "sub", authority, b"bert@b.example", b"his secret")
        ask(anna, b"NOOP", b"250")
        cluster.baridctl("user", "disable", "anna@b.example")

        def is_sent_away():
            anna.say(b"NOOP\r\n", False)
            return anna.reply("after the change").startswith(b"421 4.7.0")
        wait.until(is_sent_away, 10, "421 4.7.0")
        assert anna.at_end()
        again = secured(cluster, "sub", authority)
        ask(again, plain(b"anna@b.example", b"her secret"), b"535 5.7.8")
        ask(bert, b"NOOP", b"250")


# proves: D12
def test_nothing_secret_is_told(authority):
    password = b"Xyzzy-Plugh-42"
    secrets = [password, base64.b64encode(b"\0anna@b.example\0" + password), base64.b64encode(password)]
    settings = {"tls": {"certificates": [authority.of_mx]}, "log": {"level": "debug"}, "auth": {"failure_delay": "0s"}}
    with ingress({"sub": SUBMISSION}, settings) as cluster:
        cluster.add_user("anna@b.example", password.decode())
        for line, wanted in ((plain(b"anna@b.example", password), b"235"), (plain(b"anna@b.example", password + b"x"), b"535")):
            client = secured(cluster, "sub", authority)
            ask(client, line, wanted)
            ask(client, b"AUTH PLAIN " + secrets[1][:-1], b"5")
            ask(client, secrets[1], b"500")
            ask(client, password, b"500")
            client.socket.close()
        client = secured(cluster, "sub", authority)
        ask(client, b"AUTH LOGIN", b"334")
        ask(client, base64.b64encode(b"anna@b.example"), b"334")
        ask(client, secrets[2], b"235")
        ask(client, b"QUIT", b"221")
        wait.until(lambda: cluster.metric("barid_sessions") == 0, 10, "the sessions are gone")
        told = cluster.nodes[0].log_text().encode()
        assert b"event=authenticated" in told and b"event=refused" in told
        assert not [secret for secret in secrets if secret in told]


def test_clients_may_go_while_something_is_asked_for_them(authority):
    """Limits, tables, users and the commit wait for a Redis that stands still; nobody waits for their answers any more."""
    every = {f"{what}_per_client": "100000/1h burst=40" for what in ("connections", "messages", "recipients")}
    every["bytes_per_client"] = "100000/1h burst=4000"
    listeners = {"sub": {**SUBMISSION, "limits": every}, "relay": {"role": "relay", "relay_domains": ["d.example"], "limits": every}}
    with ingress(listeners, {"tls": {"certificates": [authority.of_mx]}}) as cluster:
        cluster.add_user("anna@b.example", "her secret")
        cluster.baridctl("alias", "set", "c@d.example", "e@d.example", "--yes")

        def at(number):
            client = greeted(cluster, "relay")
            steps = [b"EHLO x.example\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n", b"DATA\r\n"]
            for step in steps[:number]:
                client.say(step, False)
                assert client.reply(step)[:1] in b"23"
            return client, (steps + [b"Subject: x\r\n\r\nx\r\n.\r\n"])[number]
        said = [at(number) for number in (1, 2, 3, 4) for _ in range(3)]
        asked = [(secured(cluster, "sub", authority), plain(b"anna@b.example", b"her secret") + b"\r\n") for _ in range(3)]
        inside = logged_in(cluster, "sub", authority)
        cluster.redis.freeze()
        new = connect(cluster, "relay")
        for client, step in said + asked:
            client.say(step, False)
        for client, _ in said + asked + [(new, b""), (inside, b"")]:
            client.socket.close()
        wait.until(lambda: cluster.metric("barid_sessions") == 0, 20, "the sessions are gone")
        cluster.redis.thaw()

        def is_taken():
            client = connect(cluster, "relay")
            return client.reply("greeting").startswith(b"220 ")
        wait.until(is_taken, 20, "limits are known again")
        assert cluster.nodes[0].process.alive()


# proves: A15
def test_sigterm_ends_sessions_for_which_something_is_asked(authority):
    limits = {"connections_per_client": "100000/1h burst=40", "messages_per_client": "1000/1h burst=1", "recipients_per_client": "1000/1h burst=1"}
    listeners = {"sub": SUBMISSION, "relay": {"role": "relay", "limits": limits}}
    settings = {"tls": {"certificates": [authority.of_mx]}, "node": {"drain_time": "4s"}, "ingress": {"limits_time": "5s"},
                "store": {"timeout": "10s"}}
    with ingress(listeners, settings) as cluster:
        cluster.add_user("anna@b.example", "her secret")
        senders = [greeted(cluster, "relay") for _ in range(3)]
        for client in senders:
            ask(client, b"EHLO x.example", b"250")
        users = [secured(cluster, "sub", authority) for _ in range(3)]
        cluster.redis.freeze()
        for client in senders:
            client.say(b"MAIL FROM:<a@b.example>\r\n", False)
        for client in users:
            client.say(plain(b"anna@b.example", b"her secret") + b"\r\n", False)
        node = cluster.nodes[0]
        node.process.signal(signal.SIGTERM)
        for client in senders + users:
            reply = client.reply("the end")
            while not reply.startswith(b"421"):
                reply = client.reply("the end")
            assert client.at_end()
        cluster.redis.thaw()
        assert node.process.wait(15) == 0


# ---- stress

# proves: B16 M01 B34
def test_idle_sessions_go_first_when_there_are_too_many():
    settings = {"ingress": {"max_sessions": 10, "stress_timeout": "1s"}}
    with ingress(settings=settings) as cluster:
        clients = [Client(cluster.addresses[0]) for _ in range(10)]
        assert all(client.reply("greeting").startswith(b"220 ") for client in clients)
        eleventh = Client(cluster.addresses[0])
        assert eleventh.reply("greeting").startswith(b"421 4.7.0")
        assert eleventh.at_end()
        cluster.wait_log("ingress", "event=stress .*why=sessions")
        assert all(client.reply("idle").startswith(b"421 4.4.2") for client in clients)
        cluster.wait_log("ingress", "event=stress_over")
        assert cluster.metric("barid_stress") == 0
        client = Client(cluster.addresses[0])
        assert client.reply("greeting").startswith(b"220 ")
        end_data(start_data(client), b"x\r\n")


# proves: M01 M02
def test_no_session_is_taken_above_the_memory_budget():
    with ingress() as cluster:
        early = Client(cluster.addresses[0])
        assert early.reply("greeting").startswith(b"220 ")
        cluster.reload({"ingress": {"max_memory": "1MiB"}})
        cluster.wait_log("ingress", "event=stress .*why=memory")
        late = Client(cluster.addresses[0])
        assert late.reply("greeting").startswith(b"421 4.7.0")
        end_data(start_data(early), b"x\r\n")
        cluster.reload({"ingress": {"max_memory": "0B"}})
        cluster.wait_log("ingress", "event=stress_over")
        end_data(start_data(Client_greeted(cluster)), b"x\r\n")


def Client_greeted(cluster):
    client = Client(cluster.addresses[0])
    assert client.reply("greeting").startswith(b"220 ")
    return client


# proves: B16
@pytest.mark.parametrize("chunked", [False, True])
def test_content_that_trickles_is_given_up(chunked):
    settings = {"ingress": {"data_timeout": "1s", "data_min_rate": "1000B"}}
    with ingress({"public": {"role": "relay"}}, settings) as cluster:
        client = greeted(cluster, "public")
        open_transaction(client)
        client.say(b"BDAT 100000 LAST\r\n" if chunked else b"DATA\r\n", False)
        if not chunked:
            assert client.reply("DATA").startswith(b"354")
        for _ in range(200):  # often enough, and too little
            client.say(b"Subject: x\r\n", False)
            if select.select([client.socket], [], [], 0.1)[0]:
                break
        assert client.reply("too slow").startswith(b"421 4.4.2")
        assert client.at_end()
        assert waiting(cluster) == 0


# ---- the end of the node

# proves: A15
def test_sigterm_ends_sessions_in_every_state(authority):
    listeners = {"sub": SUBMISSION, "tls": {"role": "submissions"}, "behind": BEHIND}
    with ingress(listeners, {"tls": {"certificates": [authority.of_mx]}, "ingress": {"threads": 2}}) as cluster:
        cluster.add_user("anna@b.example", "her secret")
        asked = secured(cluster, "sub", authority)
        ask(asked, b"AUTH LOGIN", b"334")
        idle = logged_in(cluster, "sub", authority)
        at_work = start_data(logged_in(cluster, "sub", authority), sender=b"anna@b.example")
        half = connect(cluster, "tls", b"\x16\x03\x01")
        arriving = connect(cluster, "behind", b"PROXY TCP4")
        silent = connect(cluster, "behind")
        cluster.wait_metric("barid_handshakes", 1)
        node = cluster.nodes[0]
        node.process.signal(signal.SIGTERM)
        assert half.at_end() and arriving.at_end() and silent.at_end()
        assert idle.reply("idle").startswith(b"421 4.3.2")
        assert asked.reply("asked").startswith(b"421 4.3.2")
        end_data(at_work, b"Subject: x\r\n\r\nHello\r\n")
        assert at_work.reply("end").startswith(b"421 4.3.2")
        assert node.process.wait(15) == 0
        assert waiting(cluster) == 1


# proves: M03
def test_exhausted_descriptors_end_nothing_inside_tls(authority):
    import resource
    with ingress({"sub": SUBMISSION}, {"tls": {"certificates": [authority.of_mx]}}) as cluster:
        cluster.add_user("anna@b.example", "her secret")
        inside = logged_in(cluster, "sub", authority)
        pid = cluster.nodes[0].pid
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
        sockets = [socket.create_connection(cluster.address("sub"), timeout=10) for _ in range(30)]
        cluster.wait_log("ingress", "event=fd_exhausted")
        end_data(start_data(inside, sender=b"anna@b.example"), b"x\r\n")
        for one in sockets:
            one.close()
        wait.until(lambda: cluster.metric("barid_sessions") == 1, 10, "the others are gone")
        ask(logged_in(cluster, "sub", authority), b"NOOP", b"250")


# ---- what is told, what is stored

def test_names_are_hidden_in_logs_and_events():
    settings = {"log": {"redact": "yes", "level": "debug"}, "ingress": {"relay_domains": ["d.example"], "trusted_networks": []}}
    with ingress(settings=settings) as cluster:
        client = Client_greeted(cluster)
        open_transaction(client, sender=b"\"odd name\"@b.example", recipients=[b"carol@d.example"])
        ask(client, b"RCPT TO:<dave.doe@foreign.example>", b"550")
        ask(client, b"DATA", b"354")
        end_data(client, b"x\r\n")
        cluster.wait_log("ingress", r"event=accepted.* from=o~\w{6}@b\.example to=c~\w{6}@d\.example")
        cluster.wait_log("ingress", r"event=refused.*RCPT TO:<d~\w{6}@foreign\.example>")
        with cluster.redis.client() as redis:
            events = b"".join(value for key in redis.keys(b"ev:*") for _, row in redis.xrange(key) for value in row.values())
        told = cluster.nodes[0].log_text().encode() + events
        assert b"c~" in events and b"@d.example" in events
        assert not [name for name in (b"carol", b"odd name", b"dave", b"doe") if name in told]


def score_of(cluster, queue):
    with cluster.redis.client() as redis:
        key = next(key for key in redis.keys(b"q:*") if key.endswith(b":" + queue))
        (_, score), = redis.zrange(key, 0, -1, withscores=True)
        seconds, micros = redis.time()
        return score / 1000 - seconds - micros / 1e6


def test_mail_for_later_is_due_later():
    with ingress({"public": {"role": "relay", "extensions": ["FUTURERELEASE", "DSN"]}}) as cluster:
        client = greeted(cluster, "public")
        assert b"FUTURERELEASE" in ask(client, b"EHLO client.example", b"250")
        ask(client, b"MAIL FROM:<a@b.example> HOLDFOR=3600", b"250")
        ask(client, b"RCPT TO:<c@d.example>", b"250")
        ask(client, b"DATA", b"354")
        end_data(client, b"x\r\n")
        assert 3500 < score_of(cluster, b"d.example") <= 3600


# proves: N02 N12
def test_domains_in_any_script_are_one_queue():
    with ingress({"public": {"role": "relay"}}) as cluster:
        client = greeted(cluster, "public")
        ask(client, b"EHLO client.example", b"250")
        for recipient in ("c@b\u00fccher.example", "c@B\u00dcCHER.example", "c@xn--bcher-kva.example"):
            ask(client, b"MAIL FROM:<a@b.example> SMTPUTF8", b"250")
            ask(client, b"RCPT TO:<" + recipient.encode() + b">", b"250")
            ask(client, b"DATA", b"354")
            end_data(client, b"x\r\n")
        with cluster.redis.client() as redis:
            assert {key.rsplit(b":", 1)[1] for key in redis.keys(b"q:*")} == {b"xn--bcher-kva.example"}
