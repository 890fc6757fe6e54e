"""Wrong passwords are counted for client and user over all nodes; who is locked out gets 454, and nobody looks at the password."""

import time

import pytest

from harness import wait
from harness.cluster import Cluster
from login import Client, plain

LISTENERS = {"bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "max_errors": 1000}}
AUTH = {"failure_delay": "0s", "failures_per_client": "5/1h", "failures_per_user": "3/1h"}
PASSWORD = "correct horse"


@pytest.fixture
def cluster():
    with Cluster(ingress=2, settings={"auth": AUTH}, listeners=LISTENERS) as running:
        for name in ("anna", "bert", "carl"):
            running.add_user(name, PASSWORD)
        yield running


def attempt(cluster, number, name, password, source="127.0.0.1"):
    with Client(cluster.address("bare", number), source=source) as client:
        return client.say(f"AUTH PLAIN {plain(name, password)}")


def exhaust(cluster, count, name, sources):
    """Wrong passwords at both nodes in turn, until one is answered 454; how many were looked at."""
    for n in range(count * 4):
        code, _ = attempt(cluster, 1 + n % 2, name, "wrong", sources[n % len(sources)])
        if code == 454:
            return n
        assert code == 535
    raise AssertionError(f"{count * 4} wrong passwords, and nobody is locked out")


# proves: D08
@pytest.mark.parametrize("name", ["anna", "nobody"])
def test_a_user_is_locked_whoever_tries(cluster, name):
    sources = [f"127.0.0.{n}" for n in range(2, 40)]
    assert exhaust(cluster, 3, name, sources) == 3  # known or not: the same
    for number in (1, 2):
        assert attempt(cluster, number, name, PASSWORD, "127.0.0.50") == (454, ["4.7.0 Too many failures; try again later"])
        assert attempt(cluster, number, "bert", PASSWORD, "127.0.0.50")[0] == 235
    with Client(cluster.address("bare"), source="127.0.0.51") as client:
        assert client.scram(name, PASSWORD) == 454
    assert sum(node.metrics()["barid_auth_locked_total"] for node in cluster.of("ingress")) >= 3


# proves: D08
def test_a_client_is_locked_whomever_it_tries(cluster):
    looked_at = 0
    for n in range(20):
        code, _ = attempt(cluster, 1 + n % 2, f"guess{n}", "wrong", "127.0.0.9")
        if code == 454:
            break
        looked_at += 1
    assert looked_at == 5
    assert attempt(cluster, 2, "anna", PASSWORD, "127.0.0.9")[0] == 454
    assert attempt(cluster, 1, "anna", PASSWORD, "127.0.0.10")[0] == 235


def all_at_once(cluster, mechanism, guesses):
    """
    The codes of a login with each of these passwords: the node stands still until all are said, and meets them in this order. But the last may
    come first: whoever spoke before the node stood still can be at the head of epoll's list yet.
    """
    clients = [Client(cluster.address("bare")) for _ in guesses]
    lines = []
    for client, guess in zip(clients, guesses):
        if mechanism == "PLAIN":
            lines.append(f"AUTH PLAIN {plain('anna', guess)}")
        else:
            code, proof, _ = client.scram_begin("anna", guess)
            assert code == 334 or code == 454
            lines.append(proof)
    node, fault = cluster.freeze("ingress1")
    for client, line in zip(clients, lines):
        if line:
            client.send(line)
    cluster.thaw(node, fault)
    codes = [client.read()[0] if line else 454 for client, line in zip(clients, lines)]
    for client in clients:
        client.close()
    return codes


# proves: D08
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_many_passwords_at_once_are_told_no_more_of_than_one_after_the_other(mechanism):
    """All of them look before the first failure is counted: the one that is right among them must not be told."""
    settings = {"auth": {**AUTH, "failure_delay": "1s"}, "ingress": {"limits_time": "10s"}}
    with Cluster(settings=settings, listeners=LISTENERS) as cluster:
        cluster.add_user("anna", PASSWORD)
        codes = all_at_once(cluster, mechanism, [f"wrong{n}" for n in range(30)] + [PASSWORD] + [f"wrong{n}" for n in range(30, 39)])
        assert codes.count(535) == 3, codes
        assert codes.count(454) == 37, codes


# proves: D08
def test_a_failure_that_nobody_counted_is_not_told():
    """Redis stops while passwords are being checked: those found wrong after that are answered 454, as right ones are."""
    with Cluster(settings={"auth": {**AUTH, "failure_delay": "0s"}}, listeners=LISTENERS) as cluster:
        cluster.add_user("anna", PASSWORD)
        clients = [Client(cluster.address("bare")) for _ in range(100)]
        for n, client in enumerate(clients):
            client.send(f"AUTH PLAIN {plain('anna', f'wrong{n}')}")
        checks = "barid_auth_checks_total"
        wait.until(lambda: cluster.nodes[0].metrics()[checks] >= 100, 10, "the locks let all of them be looked at")
        fault = cluster.freeze_redis()
        codes = [client.read()[0] for client in clients]
        cluster.thaw_redis(fault)
        for client in clients:
            client.close()
        assert codes.count(535) <= 3, codes
        assert codes.count(454) == 100 - codes.count(535), codes


# proves: D08
def test_a_user_is_locked_in_whatever_case_its_name_is_written(cluster):
    for n, name in enumerate(("anna", "Anna", "aNNa")):
        assert attempt(cluster, 1 + n % 2, name, "wrong", f"127.0.0.{n + 2}")[0] == 535
    assert attempt(cluster, 1, "ANNA", "wrong", "127.0.0.50")[0] == 454


# proves: D08
def test_right_passwords_are_never_counted(cluster):
    for n in range(12):
        assert attempt(cluster, 1 + n % 2, "carl", PASSWORD)[0] == 235


# proves: D08
def test_a_failure_waits_for_its_answer():
    with Cluster(settings={"auth": {**AUTH, "failure_delay": "700ms"}}, listeners=LISTENERS) as cluster:
        cluster.add_user("anna", PASSWORD)
        for name in ("anna", "nobody"):
            began = time.monotonic()
            assert attempt(cluster, 1, name, "wrong")[0] == 535
            assert time.monotonic() - began > 0.65


# proves: D08
def test_who_hangs_up_before_the_answer_is_counted():
    with Cluster(settings={"auth": {**AUTH, "failure_delay": "5s"}}, listeners=LISTENERS) as cluster:
        cluster.add_user("anna", PASSWORD)
        for n in range(3):
            with Client(cluster.address("bare"), source=f"127.0.0.{n + 2}") as client:
                client.send(f"AUTH PLAIN {plain('anna', 'wrong')}")
                checks = wait.until(lambda: cluster.nodes[0].metrics()["barid_auth_checks_total"] == n + 1, 10, "the password is looked at")
                assert checks
        wait.until(lambda: attempt(cluster, 1, "anna", PASSWORD, "127.0.0.60")[0] == 454, 10, "anna is locked out")
