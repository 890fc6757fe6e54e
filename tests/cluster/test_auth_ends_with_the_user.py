"""A user who is disabled, removed or given another password: sessions end at their next command, queued mail is held, and goes on when the user comes back."""

import json

import pytest

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply
from login import Client, plain

LISTENERS = {"bare": {"role": "internal", "auth": "offered", "auth_without_tls": "yes", "trusted_networks": []}}
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def sink():
    with ScriptedSink() as running:
        yield running


@pytest.fixture(scope="module")
def cluster(sink):
    settings = {"auth": {"failure_delay": "0s"}, "courier": {"routes": {"*": f"127.0.0.1:{sink.port}"}}, "retry": {"first": "1h", "longest": "1h"}}
    with Cluster(ingress=2, settings=settings, listeners=LISTENERS) as running:
        yield running


def logged_in(cluster, name, number=1, password=PASSWORD):
    client = Client(cluster.address("bare", number))
    assert client.code(f"AUTH PLAIN {plain(name, password)}") == 235
    return client


def submit(client, sender, *recipients):
    assert client.code(f"MAIL FROM:<{sender}>") == 250
    for recipient in recipients:
        assert client.code(f"RCPT TO:<{recipient}>") == 250
    assert client.code("DATA") == 354
    assert client.code(f"From: {sender}\r\nSubject: x\r\n\r\nx\r\n.") == 250


def assert_ends(client):
    """At the next command after the node has seen the change, which takes a second at most."""
    def ended():
        code = client.code("NOOP")
        assert code in (250, 421)
        return code == 421

    wait.until(ended, 10, "the session ends")
    assert client.file.readline() == b""


# proves: D09
def test_only_own_senders(cluster):
    cluster.add_user("own@a.test", PASSWORD, "--tenant", "a")
    cluster.add_user("wide", PASSWORD, "--senders", "@b.test,@.below.test,Boss@C.test", "--tenant", "b")
    with logged_in(cluster, "own@a.test") as client:
        assert client.say("MAIL FROM:<other@a.test>")[0] == 553
        assert client.say("MAIL FROM:<x@b.test>") == (553, client.say("MAIL FROM:<x@b.test>")[1])
        assert client.code("MAIL FROM:<OWN@A.TEST>") == 250
    with logged_in(cluster, "wide", 2) as client:
        for sender, code in (("anybody@b.test", 250), ("x@deep.below.test", 250), ("x@below.test", 553), ("boss@c.test", 250), ("boss2@c.test", 553), ("own@a.test", 553),
                             ("x@xb.test", 553), ("x@sub.b.test", 553), ("", 250), ('"boss"@c.test', 553)):
            assert client.code(f"MAIL FROM:<{sender}>") == code, sender
            client.code("RSET")


# proves: D09
def test_a_change_that_cannot_be_read_now_is_read_later(cluster):
    name, users = "late@a.test", "barid:{c}:users"
    cluster.add_user(name, PASSWORD)
    redis = cluster.redis.client()
    with logged_in(cluster, name) as session:
        cluster.baridctl("user", "disable", name)
        redis.rename(users, users + ":away")
        redis.set(users, "of another type")
        redis.config_resetstat()
        wait.until(lambda: session.code("NOOP") == 250 and redis.info("commandstats").get("cmdstat_hget", {}).get("failed_calls", 0) > 0,
                   10, "the record is asked for in vain, and the session goes on")
        redis.rename(users + ":away", users)
        assert_ends(session)


# proves: D09
@pytest.mark.parametrize("change", ["disable", "rm", "passwd"])
def test_sessions_end(cluster, change):
    name = f"{change}@a.test"
    cluster.add_user(name, PASSWORD)
    sessions = [logged_in(cluster, name, number) for number in (1, 2)]
    cluster.add_user(f"bystander-{name}", PASSWORD)
    bystander = logged_in(cluster, f"bystander-{name}")
    cluster.baridctl("user", change, name, *(["--password-stdin"] if change == "passwd" else []), stdin="another\n")
    for session in sessions:
        assert_ends(session)
    assert bystander.code("NOOP") == 250
    with Client(cluster.address("bare")) as client:
        assert client.code(f"AUTH PLAIN {plain(name, PASSWORD)}") == 535


def test_a_changed_quota_ends_nothing_and_new_senders_count(cluster):
    cluster.add_user("more@a.test", PASSWORD)
    with logged_in(cluster, "more@a.test") as client:
        assert client.code("MAIL FROM:<x@more.test>") == 553
        cluster.baridctl("user", "set", "more@a.test", "--senders", "@more.test")
        wait.until(lambda: client.code("MAIL FROM:<x@more.test>") == 250, 10, "the session sees its new senders")


def test_queued_mail_is_held_and_goes_on(cluster, sink):
    cluster.add_user("mail@a.test", PASSWORD)
    cluster.add_user("other@a.test", PASSWORD)
    later = sink.rule("rcpt", reply("450 4.2.1 later"))
    with logged_in(cluster, "mail@a.test") as client:
        submit(client, "mail@a.test", "r@one.test")
        submit(client, "mail@a.test", "r@two.test", "r@three.test")
    with logged_in(cluster, "other@a.test") as client:
        submit(client, "other@a.test", "r@one.test")
    wait.until(lambda: later.used >= 4, 20, "all were put off")
    listed = json.loads(cluster.baridctl("queue", "show", "one.test", "--user", "other@a.test", "--json"))
    assert [job["from"] for job in listed["jobs"]] == ["other@a.test"], listed
    dry = json.loads(cluster.baridctl("user", "disable", "mail@a.test", "--dry-run", "--json"))
    assert dry["dry_run"] and dry["jobs"] == 3
    done = json.loads(cluster.baridctl("user", "disable", "mail@a.test", "--json"))
    assert done["jobs"] == 3
    wait.until(lambda: held_because(cluster) == {"by operator: user disabled": 3}, 20, lambda: f"three are held: {held_because(cluster)}")
    cluster.baridctl("queue", "hold", "one.test", "--yes")  # the other's, for another reason
    sink.clear(later)
    done = json.loads(cluster.baridctl("user", "enable", "mail@a.test", "--json"))
    assert done["jobs"] == 3
    sink.wait_taken(3)
    assert sorted(recipient for transaction in sink.taken() for recipient in transaction.recipients) == ["r@one.test", "r@three.test", "r@two.test"]
    assert held_because(cluster) == {"by operator": 1}
    with logged_in(cluster, "mail@a.test") as client:
        assert client.code("MAIL FROM:<mail@a.test>") == 250


def held_because(cluster):
    listed = json.loads(cluster.baridctl("queue", "list", "--held", "--json"))
    return {row["because"]: row["jobs"] for row in listed["held_because"]}
