"""Users of a Dovecot: its auth service judges passwords and runs exchanges; when it is away, lies or stalls, nobody is told that a password is wrong."""

import base64
import hmac
import threading

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.dovecot import HELLO, Dovecot, ScriptedDovecot
from login import Client, b64, plain

AUTH = {"failure_delay": "0s", "failures_per_client": "", "failures_per_user": "", "timeout": "2s"}
LISTENERS = {"bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "trusted_networks": [], "max_errors": 1000, "max_junk": 1000},
             "listed": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "mechanisms": ["PLAIN", "CRAM-MD5"]}}


def cluster_with(address, backends, **settings):
    return Cluster(settings={"auth": {**AUTH, "backends": backends, "dovecot_socket": address, **settings}}, listeners=LISTENERS)


def client(cluster, listener="bare"):
    return Client(cluster.address(listener))


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot({"dora@example.com": "dove secret", "both@example.com": "of dovecot", "off@example.com": "x"}) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(dovecot):
    with cluster_with(dovecot.socket, ["dovecot"]) as running:
        with Client(running.address("bare")) as first:  # makes it connect
            first.code("NOOP")
        wait.until(lambda: "SCRAM-SHA-256" in mechanisms(running), 20, "Dovecot's mechanisms are offered")
        yield running


def mechanisms(cluster, listener="bare"):
    with client(cluster, listener) as c:
        return c.mechanisms()


# proves: D03 D04
def test_its_mechanisms_are_ours(cluster):
    assert mechanisms(cluster) == ["PLAIN", "LOGIN", "SCRAM-SHA-256"]
    assert mechanisms(cluster, "listed") == ["PLAIN", "CRAM-MD5"]


# proves: D03
def test_plain_and_login(cluster):
    with client(cluster) as c:
        assert c.say(f"AUTH PLAIN {plain('dora@example.com', 'wrong')}") == (535, ["5.7.8 Authentication failed"])
        assert c.code(f"AUTH PLAIN {plain('nobody', 'dove secret')}") == 535
        assert c.code(f"AUTH PLAIN {plain('dora@example.com', 'dove secret')}") == 235
        assert c.code("MAIL FROM:<dora@example.com>") == 250
    with client(cluster) as c:
        assert c.code(f"AUTH LOGIN {b64('dora@example.com')}") == 334
        assert c.code(b64("dove secret")) == 235


# proves: D09
def test_its_users_send_as_themselves(cluster):
    with client(cluster) as c:
        assert c.code(f"AUTH PLAIN {plain('dora@example.com', 'dove secret')}") == 235
        assert c.code("MAIL FROM:<somebody@example.com>") == 553


# proves: D11
def test_its_scram_passes_through(cluster):
    with client(cluster) as c:
        assert c.scram("dora@example.com", "wrong") == 535
        assert c.scram("dora@example.com", "dove secret") == 235


# proves: D11
def test_cram_md5_where_it_is_listed(cluster):
    with client(cluster, "listed") as c:
        code, lines = c.say("AUTH CRAM-MD5")
        assert code == 334
        digest = hmac.new(b"dove secret", base64.b64decode(lines[0]), "md5").hexdigest()
        assert c.code(b64(f"dora@example.com {digest}")) == 235
    with client(cluster) as c:
        assert c.code("AUTH CRAM-MD5") == 504


# proves: D03
def test_an_exchange_can_be_left(cluster):
    with client(cluster, "listed") as c:
        for _ in range(3):
            assert c.code("AUTH CRAM-MD5") == 334
            assert c.code("*") == 501
        assert c.code(f"AUTH PLAIN {plain('dora@example.com', 'dove secret')}") == 235
    for _ in range(3):
        with client(cluster, "listed") as c:
            assert c.code("AUTH CRAM-MD5") == 334  # and hangs up
    with client(cluster) as c:
        assert c.code(f"AUTH PLAIN {plain('dora@example.com', 'dove secret')}") == 235


def test_our_record_says_what_its_user_may(cluster):
    cluster.baridctl("user", "add", "off@example.com", "--no-password", "--senders", "@example.com")
    with client(cluster) as c:
        assert c.code(f"AUTH PLAIN {plain('off@example.com', 'x')}") == 235
        assert c.code("MAIL FROM:<somebody@example.com>") == 250
    cluster.baridctl("user", "disable", "off@example.com")
    with client(cluster) as c:
        assert c.code(f"AUTH PLAIN {plain('off@example.com', 'x')}") == 535


def test_many_at_once(cluster):
    codes = []

    def run(n):
        with client(cluster) as c:
            codes.append((n % 2, c.code(f"AUTH PLAIN {plain('dora@example.com', 'dove secret' if n % 2 else 'wrong')}")))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(set(codes)) == [(0, 535), (1, 235)] and len(codes) == 60


# Our own users first; who is not ours, or has no password here, is Dovecot's.
def test_both_back_ends(dovecot):
    with cluster_with(dovecot.socket, ["users", "dovecot"], foreign_senders=["@both.test"]) as cluster:
        cluster.add_user("both@example.com", "of barid")
        cluster.add_user("ours@example.com", "ours")
        with client(cluster) as c:
            assert c.code(f"AUTH PLAIN {plain('both@example.com', 'of dovecot')}") == 535
            assert c.code(f"AUTH PLAIN {plain('both@example.com', 'of barid')}") == 235
        with client(cluster) as c:
            assert c.code(f"AUTH PLAIN {plain('dora@example.com', 'dove secret')}") == 235
            assert c.code("MAIL FROM:<dora@example.com>") == 553
            assert c.code("MAIL FROM:<dora@both.test>") == 250
        with client(cluster) as c:
            assert c.scram("ours@example.com", "ours") == 235


# proves: D03
def test_away_is_454_until_it_is_back():
    with Dovecot({"dora": "secret"}) as dovecot, cluster_with(dovecot.socket, ["dovecot"]) as cluster:
        with client(cluster) as c:
            assert c.code(f"AUTH PLAIN {plain('dora', 'secret')}") == 235
        dovecot.stop()
        with client(cluster) as c:
            assert c.say(f"AUTH PLAIN {plain('dora', 'secret')}")[0] == 454
            assert c.mechanisms()  # still offered: it will be back
        dovecot.start()

        def works():
            with client(cluster) as again:
                return again.code(f"AUTH PLAIN {plain('dora', 'secret')}") == 235

        wait.until(works, 20, "Dovecot is asked again")


def words_after(words, text):
    return next((word[len(text):] for word in words if word.startswith(text)), None)


# proves: D06 D12
def test_what_is_said_to_it():
    def answer(words):
        return b"OK\t" + words[1] + b"\tuser=x@y.test\n" if words[0] == b"AUTH" else b""

    with ScriptedDovecot(answer) as dovecot, cluster_with(dovecot.address, ["dovecot"]) as cluster:
        with client(cluster) as c:
            assert c.code(f"AUTH PLAIN {plain('a b', 'p q')}") == 235
        said = next(words for words in dovecot.lines if words[0] == b"AUTH")
        assert said[2] == b"PLAIN" and b"service=smtp" in said and b"nologin" in said
        assert words_after(said, b"rip=") == b"127.0.0.1" and words_after(said, b"lip=") == b"127.0.0.1"
        assert not any(word.startswith(b"secured") for word in said)
        assert said[-1] == b"resp=" + base64.b64encode(b"\0a b\0p q")
        assert words_after(said, b"session=")


# proves: D03 D06
@pytest.mark.parametrize("reply", [b"OK\t%s\n", b"OK\t%s\tuser=\n", b"OK\tx\tuser=a\n", b"OK\n", b"CONT\t%s\t!!!\n", b"CONT\t%s\tAAAA\n", b"OK\t%s\tuser=a\x01\n",
                                   b"OK\t%s\tuser=a\x01n\n", b"FAIL\t%s\ttemp\n", b"FAIL\t%s\tcode=temp_fail\n", b"x" * 40000 + b"\n", b"x" * 40000, b"\0\xff\xfe\n" * 50, b"",
                                   b"DONE\n", b"VERSION\t2\t0\n", b"MECH\n", b"OK\t99999999999999\tuser=a\n", None])
def test_lies_let_nobody_in(reply):
    def answer(words):
        if words[0] != b"AUTH" or reply is None:
            return b"" if reply is not None or words[0] != b"AUTH" else None
        return reply.replace(b"%s", words[1])

    with ScriptedDovecot(answer) as dovecot, cluster_with(dovecot.address, ["dovecot"], timeout="500ms") as cluster:
        with client(cluster) as c:
            code = c.code(f"AUTH PLAIN {plain('anna', 'secret')}")
            assert code in (454, 535), (reply, code)
            if not (reply or b"").startswith(b"OK\t%s\tuser=a\x01n"):  # a name that cannot be one
                assert code == 454
            assert c.code("NOOP") == 250


@pytest.mark.parametrize("hello", [b"", b"VERSION\t2\t0\n", b"DONE\n", b"garbage\n" * 100, HELLO[:-5], HELLO + HELLO, b"VERSION\t1\t2\n" + b"MECH\tX\n" * 1000 + b"DONE\n"])
def test_no_hello_no_answer(hello):
    with ScriptedDovecot(lambda words: b"OK\t1\tuser=a\n", hello) as dovecot, cluster_with(dovecot.address, ["dovecot"], timeout="500ms") as cluster:
        with client(cluster) as c:
            assert c.code(f"AUTH PLAIN {plain('anna', 'secret')}") == 454
            assert c.code("NOOP") == 250


def test_what_it_says_while_the_client_thinks_waits():
    with ScriptedDovecot(lambda words: b"CONT\t" + words[1] + b"\tAAAA\nFAIL\t" + words[1] + b"\n" if words[0] == b"AUTH" else b"") as dovecot:
        settings = {"auth": {**AUTH, "backends": ["dovecot"], "dovecot_socket": dovecot.address}}
        listeners = {"bare": {**LISTENERS["bare"], "mechanisms": ["X-ECHO"]}}
        with Cluster(settings=settings, listeners=listeners) as cluster:
            wait.until(lambda: mechanisms(cluster) == ["X-ECHO"], 10, "its mechanism is offered")
            with client(cluster) as c:
                assert c.code("AUTH X-ECHO") == 334
                assert c.code(b64("x")) == 454
                assert c.code("NOOP") == 250
