"""Limits, quotas and slots that several ingresses share: together they take what the limit says, and no more."""

import json
import threading
import time

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink

from login import Client, plain

NODES = 3


def _relay(**limits):
    return {"role": "relay", "trusted_networks": ["127.0.0.0/8"], "limits": limits}


def _submission(**limits):
    return {"role": "submission", "tls": "off", "auth_without_tls": True, "limits": limits}


_LISTENERS = {
    "free": _relay(),
    "client": _relay(messages_per_client="100/1d"),
    "crowd": _relay(messages_per_client="100/1d"),
    "network": _relay(messages_per_network="10/1d"),
    "all": _relay(messages_per_listener="10/1d", recipients_per_client="1000/1d"),
    "recipients": _relay(recipients_per_client="12/1d"),
    "bytes": _relay(bytes_per_client="100KiB/1d"),
    "sessions": _relay(sessions_per_client="4"),
    "connections": _relay(connections_per_client="10/1d"),
    "soon": _relay(messages_per_client="5/1s burst=3"),
    "users": _submission(messages_per_user="20/1d", messages_per_tenant="30/1d"),
    "submission": _submission(),
}


@pytest.fixture(scope="module")
def cluster():
    with ScriptedSink() as sink:
        settings = {"courier": {"routes": {"*": f"127.0.0.1:{sink.port}"}}}
        with Cluster(ingress=NODES, settings=settings, listeners=_LISTENERS) as running:
            yield running


def clients(cluster, listener, **more):
    """One on each ingress."""
    return [Client(cluster.address(listener, n + 1), **more) for n in range(NODES)]


def user(cluster, name, *options):
    cluster.add_user(name, "secret", *options)
    return name


def log_in(cluster, listener, number, name):
    client = Client(cluster.address(listener, number))
    assert client.code(f"AUTH PLAIN {plain(name, 'secret')}") == 235
    return client


def mail(client, sender="s@origin.test", size=""):
    """The code of MAIL; the transaction ends."""
    code, lines = client.say(f"MAIL FROM:<{sender}>{size}")
    if code == 250:
        assert client.code("RSET") == 250
    return code, lines[0]


def passed(some, count, **more):
    """How many of so many MAILs in turn passed; what was refused was refused for its rate."""
    told = [mail(some[n % len(some)], **more) for n in range(count)]
    for code, line in told:
        assert code == 250 or (code == 450 and line.startswith("4.7.1 ")), (code, line)
    return sum(code == 250 for code, _ in told)


# proves: B34 E12
def test_three_nodes_take_what_one_would(cluster):
    some = clients(cluster, "client")
    assert passed(some, 130) == 100
    for client in some:  # refused on one: refused on the other
        assert mail(client)[0] == 450
    other = clients(cluster, "client", source="127.0.0.2")
    assert passed(other, 3) == 3


# proves: B34
def test_many_at_once_take_no_more(cluster):
    counts = []

    def hammer(number):
        client, taken = Client(cluster.address("crowd", number)), 0
        refused_since = None
        while refused_since is None or time.monotonic() < refused_since + 3:  # what one holds is given back within about a second
            if mail(client)[0] == 250:
                taken, refused_since = taken + 1, None
            else:
                refused_since = refused_since or time.monotonic()
        counts.append(taken)

    threads = [threading.Thread(target=hammer, args=(n % NODES + 1,)) for n in range(2 * NODES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 100 and len(counts) == 2 * NODES


def test_a_network_shares_its_limit(cluster):
    some = [Client(cluster.address("network", n + 1), source=f"127.0.0.{10 + n}") for n in range(NODES)]
    assert passed(some, 15) == 10
    assert passed([Client(cluster.address("network"), source="127.0.1.1")], 2) == 2


def test_a_listener_has_a_limit_of_its_own(cluster):
    some = [Client(cluster.address("all", n + 1), source=f"127.0.{n}.1") for n in range(NODES)]
    assert passed(some, 15) == 10
    assert passed(clients(cluster, "free"), 15) == 15


# proves: B34
def test_recipients_are_counted_one_by_one(cluster):
    codes = []
    for n in range(4):
        client = Client(cluster.address("recipients", n % NODES + 1))
        assert client.code("MAIL FROM:<s@origin.test>") == 250
        codes += [client.code(f"RCPT TO:<r{i}@one.test>") for i in range(5)]
    assert codes == [250] * 12 + [450] * 8


def test_bytes_are_counted_when_they_are_there(cluster):
    codes = []
    for n in range(4):
        client = Client(cluster.address("bytes", n % NODES + 1))
        assert client.code("MAIL FROM:<s@origin.test>") == 250
        assert client.code("RCPT TO:<r@one.test>") == 250
        assert client.code("DATA") == 354
        codes.append(client.code("Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 500 + "."))
    assert codes[:2] == [250, 250] and set(codes[2:]) <= {250, 450} and codes[3] == 450


# proves: B34
def test_sessions_are_counted_for_all_nodes_and_the_dead_have_none(cluster):
    held = [Client(cluster.address("sessions", n)) for n in (1, 1, 2, 2)]

    def enters():
        try:
            held.append(Client(cluster.address("sessions", 3)))
        except AssertionError:
            return False
        return True
    assert not enters() and not enters()
    assert held.pop().code("QUIT") == 221
    wait.until(enters, 10, "the place of one who left")
    assert not enters()
    cluster.kill("ingress1")
    killed = time.monotonic()
    try:
        wait.until(enters, 20, "the places of a dead node")
        assert time.monotonic() - killed < 15
        wait.until(enters, 5, "its other place")
        assert not enters()
    finally:
        cluster.restart("ingress1", wait_ready=True)


# proves: B34
def test_connections_beyond_a_rate_get_421(cluster):
    for n in range(10):
        assert Client(cluster.address("connections", n % NODES + 1)).code("QUIT") == 221
    for n in range(NODES):
        with pytest.raises(AssertionError):
            Client(cluster.address("connections", n + 1))


def test_a_bucket_fills_again(cluster):
    some = clients(cluster, "soon")
    begun = time.monotonic()
    codes = []
    while codes.count(250) < 15:
        codes.append(mail(some[len(codes) % NODES])[0])
    # Three at once, then five a second, and never one more.
    assert time.monotonic() - begun >= (15 - 3) / 5 - 0.05
    assert 450 in codes


# proves: B34
def test_users_and_tenants_have_limits_of_their_own(cluster):
    for name in ("anna@origin.test", "bob@origin.test"):
        user(cluster, name, "--tenant", "shop")
    anna = [log_in(cluster, "users", n + 1, "anna@origin.test") for n in range(NODES)]
    bob = [log_in(cluster, "users", n + 1, "bob@origin.test") for n in range(NODES)]
    assert passed(anna, 25, sender="anna@origin.test") == 20
    assert passed(bob, 25, sender="bob@origin.test") == 10  # what is left of the tenant's


def tenants(cluster, **limits):
    """Sets tenants' limits, and waits until all nodes know them: the last one may do nothing."""
    for name, limit in {**limits, "nobody": "messages_per_day=1"}.items():
        cluster.baridctl("tenant", "set", name, limit)
    name = f"nobody{len(cluster.baridctl('user', 'list'))}@origin.test"
    user(cluster, name, "--tenant", "nobody")
    for client in [log_in(cluster, "submission", n + 1, name) for n in range(NODES)]:
        wait.until(lambda: mail(client, sender=name)[0] == 450, 10, "a tenant's limit that is known")


# proves: B34
def test_quotas_of_users_and_tenants_hold_on_all_listeners(cluster):
    tenants(cluster, firm="messages_per_day=12")
    user(cluster, "carl@origin.test", "--tenant", "firm", "--messages-per-hour", "5")
    user(cluster, "dora@origin.test", "--tenant", "firm")
    carl = [log_in(cluster, listener, n + 1, "carl@origin.test") for n in range(NODES) for listener in ("submission", "users")]
    assert passed(carl, 10, sender="carl@origin.test") == 5
    dora = [log_in(cluster, "submission", n + 1, "dora@origin.test") for n in range(NODES)]
    assert passed(dora, 10, sender="dora@origin.test") == 7
    code, line = mail(dora[0], sender="dora@origin.test")
    assert code == 450 and "tenant" in line and "messages_per_day" in line
    cluster.baridctl("tenant", "set", "firm", "messages_per_day=0")
    wait.until(lambda: mail(dora[0], sender="dora@origin.test")[0] == 250, 10, "a limit that was taken away")


def send(client, sender):
    code, lines = client.say(f"MAIL FROM:<{sender}>")
    if code != 250:
        return code, lines[0]
    assert client.code("RCPT TO:<r@one.test>") == 250
    assert client.code("DATA") == 354
    code, lines = client.say("Subject: x\r\n\r\nx\r\n.")
    return code, lines[0]


def in_queue(cluster, tenant):
    return json.loads(cluster.baridctl("tenant", "show", tenant, "--json"))["in_queue"]


def test_a_tenants_part_of_the_queue_is_its_own(cluster):
    tenants(cluster, pile="queue_messages=10", neat="queue_bytes=10MiB")
    user(cluster, "eva@origin.test", "--tenant", "pile")
    user(cluster, "finn@origin.test", "--tenant", "neat")
    cluster.kill("courier")
    eva = [log_in(cluster, "submission", n + 1, "eva@origin.test") for n in range(NODES)]
    told = [send(eva[0], "eva@origin.test") for _ in range(12)]
    assert [code for code, _ in told] == [250] * 10 + [452] * 2
    assert told[-1][1].startswith("4.3.1 ") and "queue_messages" in told[-1][1]
    for client in eva[1:]:
        assert send(client, "eva@origin.test")[0] == 452
    assert in_queue(cluster, "pile")["messages"] == 10 and in_queue(cluster, "pile")["bytes"] > 0
    assert send(log_in(cluster, "submission", 1, "finn@origin.test"), "finn@origin.test")[0] == 250  # that tenant alone
    assert in_queue(cluster, "neat")["messages"] == 1
    listed = {row["name"]: row["in_queue"]["messages"] for row in json.loads(cluster.baridctl("tenant", "list", "--json"))}
    assert listed["pile"] == 10 and listed["neat"] == 1
    cluster.restart("courier1", wait_ready=True)
    cluster.wait_empty()
    assert in_queue(cluster, "pile") == {"messages": 0, "bytes": 0}
    wait.until(lambda: send(eva[1], "eva@origin.test")[0] == 250, 10, "room again")
    cluster.wait_empty()


def test_a_message_to_many_domains_is_counted_off_in_the_end(cluster):
    tenants(cluster, wide="queue_messages=1000")
    user(cluster, "gil@origin.test", "--tenant", "wide")
    client = log_in(cluster, "submission", 2, "gil@origin.test")
    cluster.kill("courier")
    assert client.code("MAIL FROM:<gil@origin.test>") == 250
    for n in range(20):
        assert client.code(f"RCPT TO:<r@d{n}.test>") == 250
    assert client.code("DATA") == 354
    assert client.code("Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 1000 + ".") == 250
    assert in_queue(cluster, "wide")["messages"] == 1  # the parent; its children come with a courier
    cluster.restart("courier1", wait_ready=True)
    cluster.wait_empty()
    wait.until(lambda: in_queue(cluster, "wide") == {"messages": 0, "bytes": 0}, 10, "nothing left to count")


def test_tenants_are_told_of_what_is_wrong(cluster):
    def told(*arguments):
        return cluster.baridctl("tenant", *arguments, check=False)
    for wrong in ("queue_jobs=5", "queue_messages", "queue_messages=-1", "queue_messages=1e9", "queue_bytes=5XB", "messages_per_day=9999999999999999999"):
        with pytest.raises(AssertionError):
            cluster.baridctl("tenant", "set", "odd", wrong)
    with pytest.raises(AssertionError):
        cluster.baridctl("tenant", "show", "odd")
    cluster.baridctl("tenant", "set", "odd {name}: *", "queue_bytes=2GiB", "queue_messages=7")
    assert "2147483648" in told("show", "odd {name}: *")
    assert told("rm", "odd {name}: *").startswith("odd {name}: *: removed")
    with pytest.raises(AssertionError):
        cluster.baridctl("tenant", "rm", "odd {name}: *")


# proves: B34
@pytest.mark.parametrize("choice, code", [("refuse", 451), ("pass", 250)])
def test_a_silent_redis_is_answered_as_the_setting_says(cluster, choice, code):
    cluster.reload({"ingress": {"limits_unknown": choice, "limits_time": "200ms"}})
    client = Client(cluster.address("all"), source="127.0.9.1")
    probe = Client(cluster.address("client"), source="127.0.9.9")
    assert mail(probe)[0] == 250
    fault = cluster.freeze_redis()
    try:
        begun = time.monotonic()
        answer = mail(probe)
        assert answer[0] == code, answer
        assert time.monotonic() - begun < 2
        assert choice == "pass" or "4.7.1" in answer[1]
    finally:
        cluster.thaw_redis(fault)
    wait.until(lambda: mail(probe)[0] == 250, 20, "limits again")
    client.close()
