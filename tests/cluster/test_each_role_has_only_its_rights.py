"""
A whole cluster over a Redis Cluster with TLS, each program as the ACL user of its role (baridctl store acl): every kind of mail goes through and
nothing is denied, and no role may do in Redis what is not its work.
"""

import json
import os
import re
import subprocess
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis as client
from login import Client, plain
from tls_report_scene import report_scene

from harness import paths, wait
from harness.authority import Authority
from harness.process import Process
from harness.replicas import RedisCluster
from harness.sink import reply
from harness.slots import slot_of

ROLES = ("ingress", "dispatcher", "courier", "operator", "monitor", "replica", "sentinel")
OURS = ROLES[:4]
TOKEN = "who-may-look-at-the-status-page"
LISTENERS = {
    "relay": {"role": "relay", "trusted_networks": ["127.0.0.0/8"], "limits": {"messages_per_client": "1000/1h", "sessions_per_client": "40"}},
    "submission": {"role": "submission", "tls": "off", "auth_without_tls": True, "limits": {"messages_per_user": "10/1h", "messages_per_tenant": "20/1h"}},
}


class Rights:
    """The users that baridctl made, and their passwords."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder)
        self.acl = self._print()

    def _print(self):
        return subprocess.run([paths.program("baridctl"), "store", "acl", self.folder], stdout=subprocess.PIPE, timeout=20, check=True).stdout.decode()

    def password(self, role):
        with open(os.path.join(self.folder, f"{role}.password"), encoding="ascii") as file:
            return file.read().strip()

    def users(self):
        return {"ctl" if role == "operator" else role: (role, self.password(role)) for role in OURS}


@pytest.fixture(scope="module")
def rights(tmp_path_factory):
    return Rights(str(tmp_path_factory.mktemp("rights") / "secrets"))


@pytest.fixture(scope="module")
def redis(rights, tmp_path_factory):
    authority = Authority(str(tmp_path_factory.mktemp("redis-tls")), "redis")
    with RedisCluster(primaries=2, replicas=2, tls=authority, acl=rights.acl) as running:
        yield running


@pytest.fixture(scope="module")
def scene(redis, rights, tmp_path_factory):
    settings = {"store": {"replicas": 1}, "retry": {"first": "100ms", "longest": "300ms", "lifetime": "2s", "bounce_lifetime": "2s"},
                "janitor": {"every": "200ms", "rate": 100000}, "web": {"token": TOKEN}}
    with report_scene(tmp_path_factory.mktemp("mail"), 16, couriers=2, settings=settings, redis=redis, store_users=rights.users(),
                      listeners=LISTENERS) as reports:
        yield reports


@pytest.fixture
def as_role(redis, rights):
    """A connection of this role to the server that has a key."""
    opened = []

    def connect(role, key="b:{0}:x:0"):
        server = redis.owner_of_slot(slot_of(key))
        opened.append(client.Redis(unix_socket_path=server.socket, username=role, password=rights.password(role), decode_responses=True))
        return opened[-1]
    yield connect
    for connection in opened:
        connection.close()


def denied(redis):
    """What ACL LOG of all servers has."""
    found = []
    for server in redis.servers:
        with server.client(decode_responses=True) as connection:
            found += [f"{entry['username']}: {entry['reason']} {entry['object']} in {entry['context']}" for entry in connection.acl_log()]
    return sorted(set(found))


def forget(redis):
    for server in redis.servers:
        with server.client() as connection:
            connection.acl_log_reset()


# proves: M05
def test_every_kind_of_mail_goes_through_and_nothing_is_denied(scene, redis):
    post, cluster = scene.post, scene.post.cluster
    forget(redis)
    one = scene.want(post.publish(post.take()))  # single, by an MTA-STS policy, with reports about TLS
    scene.one_by_one(one, 2)
    several = [post.take() for _ in range(4)]
    many = post.send([place.address() for place in several])
    large = post.send([place.address() for place in several], body=b"a large body, line by line\r\n" * 25000)
    for letter in (many, large):
        for place in several:
            post.wait_delivered(letter, place.address())
    refusing = post.take()  # comes back as a report
    for host in (refusing.first, refusing.second):
        scene.sink.rule("rcpt", reply("550 5.1.1 no such user"), host=host)
    post.wait_returned(post.send(refusing.address()))
    expiring = post.take()  # deferred, paused, expired
    for host in (expiring.first, expiring.second):
        scene.sink.rule("mail", reply("451 4.3.0 later"), host=host)
    late = post.send(expiring.address())
    status_page(cluster, late)
    post.wait_returned(late)
    tables(scene)
    submission(scene)
    operator(scene)
    dialogues(scene)
    name = scene.make_due(one)
    scene.wait_mail(one)
    scene.wait_done(name)
    cluster.wait_empty(30)
    assert denied(redis) == []


def status_page(cluster, letter):
    """A dispatcher reads all partitions, a record and a history for it."""
    def read(path):
        request = urllib.request.Request(cluster.of("dispatcher")[0].url(path), headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    story = read(f"/web/message/{letter.message_id}")
    assert story["known"] and story["readable"] and not story["denied"] and story["events"][0]["event"] == "accepted"
    wait.until(lambda: read("/web/status")["queue"], 10, "all partitions were looked at", pause=0.1)


def tables(scene):
    """Aliases and recipients, asked at RCPT."""
    post, cluster, place = scene.post, scene.post.cluster, scene.post.take()
    cluster.baridctl("alias", "set", "team@relay.test", place.address("alias"), "--yes")
    cluster.baridctl("recipient", "add", f"known@{place.domain}", "r@origin.test", "--yes")
    assert "team@relay.test" in cluster.baridctl("alias", "list")
    assert f"known@{place.domain}" in cluster.baridctl("recipient", "list")
    letter = post.letter("team@relay.test")
    letter.recipients = [place.address("alias")]

    def is_taken():
        with Lines(cluster.addresses[0]) as lines:
            return lines.rcpt("team@relay.test") == 250
    wait.until(is_taken, 10, "the alias known")
    post.items.remove(letter)
    cluster.baridctl("alias", "rm", "team@relay.test", "--yes")
    cluster.baridctl("recipient", "rm", f"known@{place.domain}", "r@origin.test", "--yes")


class Lines:
    """A session that says MAIL and one RCPT."""

    def __init__(self, address):
        self.client = Client(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def rcpt(self, address):
        assert self.client.code("MAIL FROM:<s@origin.test>") == 250
        return self.client.code(f"RCPT TO:<{address}>")


def submission(scene):
    """A user of a tenant, with quotas, logs in, and is refused with another password."""
    cluster = scene.post.cluster
    cluster.baridctl("tenant", "set", "shop", "messages_per_hour=50")
    cluster.add_user("anna@origin.test", "right", "--tenant", "shop", "--messages-per-hour", "20")
    address = cluster.address("submission")
    good = Client(address)
    assert good.code(f"AUTH PLAIN {plain('anna@origin.test', 'right')}") == 235
    assert good.code("MAIL FROM:<anna@origin.test>") == 250
    assert good.code("RSET") == 250
    bad = Client(address)
    assert bad.code(f"AUTH PLAIN {plain('anna@origin.test', 'wrong')}") == 535
    for one in (good, bad):
        one.close()
    cluster.baridctl("user", "disable", "anna@origin.test")
    cluster.baridctl("user", "enable", "anna@origin.test")
    assert "anna@origin.test" in cluster.baridctl("user", "list")
    cluster.baridctl("user", "rm", "anna@origin.test")
    cluster.baridctl("tenant", "show", "shop")
    cluster.baridctl("tenant", "rm", "shop")


def dialogues(scene):
    """Ingress and courier tell what is said, each from when it has heard of the rule, and the operator reads it."""
    post, place = scene.post, scene.post.take()
    with ThreadPoolExecutor(1) as one:
        told = one.submit(post.cluster.baridctl, "protocol-trace", "--for", "5s", "--json", timeout=60)
        while not told.done():
            post.wait_delivered(post.send(place.address()), place.address())
        lines = [json.loads(line) for line in told.result().splitlines()]
    assert {re.match("[a-z]+", line["node"])[0] for line in lines} == {"ingress", "courier"}


def operator(scene):
    """Every order to one message after another, and every look at the cluster."""
    post, cluster, place = scene.post, scene.post.cluster, scene.post.take()
    rules = [scene.sink.rule("mail", reply("451 4.3.0 later"), host=host) for host in (place.first, place.second)]
    held, gone, back = post.send_many([place.address(name) for name in ("held", "gone", "back")])
    for letter in (held, gone, back):
        cluster.baridctl("msg", "hold", letter.message_id, "--yes")
    wait.until(lambda: held_now(cluster) == 3, 20, lambda: f"three held, there are {held_now(cluster)}")
    for verb in ("show", "cat"):
        assert "X-Ledger-Id" in cluster.baridctl("msg", verb, held.message_id) or verb == "show"
    for verb in (("status",), ("queue", "list"), ("queue", "list", "--held"), ("queue", "show", place.domain), ("events",), ("trace", held.message_id),
                 ("why", held.message_id), ("why", place.domain), ("node", "list"), ("tlsrpt", "list"), ("store", "check"),
                 ("partition", "list"), ("store", "memory"), ("top", "--once"), ("site", "show", place.domain), ("doctor",)):
        assert cluster.baridctl(*verb, check=verb not in (("store", "check"), ("doctor",))), verb
    cluster.baridctl("msg", "delete", gone.message_id, "--yes")
    post.dropped.add((gone.ledger_id, place.address("gone")))
    cluster.baridctl("msg", "bounce", back.message_id, "--yes")
    post.wait_returned(back)
    scene.sink.clear(*rules)
    cluster.baridctl("msg", "release", held.message_id, "--yes")
    cluster.baridctl("queue", "retry", place.domain, "--yes")


def test_history_is_followed_in_all_shards(scene, tmp_path):
    post, cluster = scene.post, scene.post.cluster
    follower = Process("events", [paths.program("baridctl"), "--config", cluster.conf, "events", "--follow", "--event", "delivered"],
                       str(tmp_path / "events.log"), env={**os.environ, **cluster.user_of("ctl")})
    follower.start()
    try:
        places = [post.take() for _ in range(4)]
        letter = post.send([place.address("followed") for place in places])
        wait.until(lambda: follower.log_text().count(letter.message_id) == len(places), 30, lambda: follower.log_text()[-500:])
    finally:
        follower.kill()


def held_now(cluster):
    return cluster.queue()["held"]


def refuses(connection, *words):
    try:
        connection.execute_command(*words)
    except client.exceptions.ResponseError as error:
        said = f"{type(error).__name__} {error}"
        assert "NoPermission" in said or re.search("NOPERM|ACL failure|can't (run|access)|not allowed from script", said), (words, said)
        return True
    return False


NOBODY = [
    ("CONFIG", "SET", "appendfsync", "no"), ("CONFIG", "REWRITE"), ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("RANDOMKEY",),
    ("DEBUG", "SLEEP", "0"), ("SHUTDOWN",), ("SCRIPT", "FLUSH"), ("SCRIPT", "KILL"), ("FUNCTION", "FLUSH"), ("MODULE", "LIST"), ("ACL", "LIST"),
    ("ACL", "SETUSER", "x"), ("REPLICAOF", "NO", "ONE"), ("CLUSTER", "RESET"), ("CLUSTER", "FAILOVER"), ("MONITOR",), ("SAVE",), ("BGREWRITEAOF",),
    ("CLIENT", "LIST"), ("MIGRATE", "127.0.0.1", "1", "k", "0", "1"), ("RENAME", "b:{0}:a", "b:{0}:b"), ("SET", "other", "x"), ("GET", "other"),
]
BY_ROLE = {
    "ingress": [("GET", "b:{0}:x:0"), ("SET", "b:{0}:x:0", "v", "GET"), ("GETRANGE", "b:{0}:x:0", "0", "1"), ("HSET", "barid:{c}:users", "u", "v"),
                ("HGETALL", "j:{0}:x"), ("DEL", "j:{0}:x")],
    "dispatcher": [("GET", "b:{0}:x:0"), ("SET", "b:{0}:x:0", "v"), ("HGET", "barid:{c}:users", "u"), ("UNLINK", "j:{0}:x"), ("GET", "barid:{c}:secret")],
    "courier": [("HGET", "barid:{c}:users", "u"), ("HGETALL", "barid:{c}:users"), ("HSET", "barid:{c}:users", "u", "v"), ("GET", "barid:{c}:secret"),
                ("HGET", "barid:{c}:tenants", "t"), ("HSET", "barid:{c}:orders", "x", "1")],
    "operator": [("GET", "barid:{c}:secret"), ("GET", "barid:{c}:ticket:0"), ("DEL", "b:{0}:x:0")],
    "monitor": [("GET", "b:{0}:x:0"), ("HGET", "barid:{c}:users", "u"), ("EVAL", "return 1", "0")],
    "replica": [("GET", "b:{0}:x:0"), ("CONFIG", "GET", "*"), ("EVAL", "return 1", "0")],
    "sentinel": [("GET", "b:{0}:x:0"), ("EVAL", "return 1", "0")],
}
# What is the work of some; the operator asks whether another move of a queue is under way.
ALLOWED = {("monitor", ("CLIENT", "LIST")), ("operator", ("CLIENT", "LIST")), ("sentinel", ("CONFIG", "REWRITE")), ("sentinel", ("SCRIPT", "KILL")), ("sentinel", ("REPLICAOF", "NO", "ONE"))}


# proves: M05
@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_refused_what_is_not_its_work(as_role, role):
    connection = as_role(role)
    allowed = [words for words in NOBODY + BY_ROLE[role] if (role, words) not in ALLOWED and not refuses(connection, *words)]
    assert allowed == []


# proves: M05
@pytest.mark.parametrize("role", OURS)
def test_a_script_of_ones_own_may_no_more_than_its_sender(as_role, role):
    connection = as_role(role)
    for text in ("return redis.call('CONFIG', 'SET', 'appendfsync', 'no')", "return redis.call('FLUSHALL')", "return redis.call('KEYS', '*')"):
        assert refuses(connection, "EVAL", text, "0"), text
    if role in ("ingress", "dispatcher"):
        assert refuses(connection, "EVAL", "return redis.call('GET', KEYS[1])", "1", "b:{0}:x:0")
    if role in ("dispatcher", "courier"):
        connection = as_role(role, "barid:{c}:users")
        assert refuses(connection, "EVAL", "return redis.call('HGETALL', KEYS[1])", "1", "barid:{c}:users")


def test_nobody_comes_in_without_a_password(redis):
    connection = client.Redis(unix_socket_path=redis.servers[0].socket)
    with pytest.raises(client.exceptions.AuthenticationError):
        connection.ping()


def test_passwords_stay_and_are_in_no_output(rights, scene):
    again = rights._print()
    assert again == rights.acl and "nopass" not in again
    secrets = [rights.password(role) for role in ROLES]
    shown = scene.post.cluster.baridctl("config", "show") + scene.post.cluster.baridctl("config", "show", "--json")
    texts = [again, shown] + [node.process.log_text(all_starts=True) + node.http_get("/metrics")[1] for node in scene.post.cluster.nodes]
    assert "(set)" in shown and not [True for text in texts for secret in secrets if secret in text]
