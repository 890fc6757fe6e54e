"""
Version N and N+1 in one cluster: N+1 is a build whose frames, records and beats have fields that N does not know, and whose scripts have other
names (`make NEXT=1`). Roles go over one by one under load, there and back, so that each role works beside each other version of the others.
"""

import os

import pytest
from hurt import SEED, Scene
from login import Client, plain
from post import Places, Post

from harness import paths, wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink, reply

ROLES = ("ingress", "dispatcher", "courier")
# Which role goes over next, there or back: after eight steps every mixture of the three was there once.
STEPS = ("ingress", "dispatcher", "ingress", "courier", "ingress", "dispatcher", "ingress", "courier")


@pytest.fixture(scope="module")
def later():
    """A build of version N+1."""
    return paths.built("next", "NEXT=1")


def use(node, build):
    """Its next start is of that build."""
    node.process.argv[0] = os.path.join(build, "bin", f"barid-{node.role}")


def versions(cluster):
    return {role: {node["version"] for node in cluster.status()["nodes"] if node["role"] == role} for role in ROLES}


def assert_all_was_understood(cluster):
    for node in cluster.nodes:
        said = node.process.log_text(all_starts=True)
        for event in ("frame_refused", "record_refused", "record_newer", "script_failed", "declared_dead", "event=held"):
            assert event not in said, (node.name, [line for line in said.splitlines() if event in line][:3])


# proves: A16 A19
def test_roles_go_over_and_back_under_load(later):
    with Scene(SEED) as scene:
        cluster, seen = scene.cluster, []
        scene.more(50)
        is_later = dict.fromkeys(ROLES, False)
        for role in STEPS:
            is_later[role] = not is_later[role]
            for node in cluster.of(role):
                assert node.process.terminate() == 0
                use(node, later if is_later[role] else cluster.build)
                cluster.restart(node, wait_ready=True)
                scene.more(20)
            assert all(len(found) == 1 for found in versions(cluster).values())
            seen.append({role: next(iter(found)) for role, found in versions(cluster).items()})
            scene.more(60)
        assert len({tuple(mixture.values()) for mixture in seen}) == 8, "every mixture was there"
        with cluster.redis.client() as redis:
            assert redis.info("memory")["number_of_cached_scripts"] > 50, "scripts of both versions"
        scene.settle().assert_balanced()
        assert {code for (_, code) in scene.generator.replies if code >= 400} <= {421}, scene.generator.replies
        assert_all_was_understood(cluster)


class Mixed:
    """One of each role, of versions that the test chooses, and a Post."""

    def __init__(self, later, listeners=None, **which):
        self.later, self.which, self.listeners = later, which, listeners
        self.places = Places(8)

    def __enter__(self):
        self.sink = ScriptedSink(self.places.hosts())
        self.sink.__enter__()
        settings = {"courier": {"port": self.sink.port, "routes": self.places.routes(self.sink.port)}}
        self.cluster = Cluster(settings=settings, listeners=self.listeners)
        for role, is_later in self.which.items():
            use(self.cluster.of(role)[0], self.later if is_later else self.cluster.build)
        self.cluster.__enter__()
        self.post = Post(self.cluster, self.sink)
        return self

    def __exit__(self, kind, *rest):
        self.cluster.__exit__(kind, *rest)
        self.sink.__exit__(kind, *rest)

    def change(self, role, is_later):
        node = self.cluster.of(role)[0]
        assert node.process.terminate() == 0
        use(node, self.later if is_later else self.cluster.build)
        self.cluster.restart(node, wait_ready=True)

    def of(self, is_later):
        """baridctl of that version."""
        build = self.cluster.build
        self.cluster.build = self.later if is_later else build

        class Back:
            def __enter__(_):
                return self.cluster

            def __exit__(_, *rest):
                self.cluster.build = build
        return Back()


# proves: A19 J05
@pytest.mark.parametrize("is_later", [False, True], ids=["there", "back"])
def test_work_begun_by_one_version_is_ended_by_the_other(later, is_later):
    """Deferred after an attempt, many-queue mail half sent, bounces: the state is of one version, the rest is the other's."""
    with Mixed(later, ingress=is_later, dispatcher=is_later, courier=is_later) as scene:
        post, one, two, three = scene.post, scene.places.take(), scene.places.take(), scene.places.take()
        wall = [scene.sink.rule("rcpt", reply("450 4.2.0 wait"), domain=place.domain) for place in (one, two)]
        scene.sink.rule("rcpt", reply("550 5.1.1 no such user"), match=lambda s, t: "<no" in s.commands[-1])
        letters = [post.send([one.address("r")]), post.send([one.address("a"), two.address("b"), three.address("c"), three.address("no")])]
        returned = post.send([two.address("no")], sender="s@origin.test")
        for letter in letters:
            post.wait_told(letter, "deferred")
        post.wait_delivered(letters[1], three.address("c"))
        for role in ROLES:
            scene.change(role, not is_later)
        scene.sink.clear(*wall)
        for letter in letters:
            post.wait_delivered(letter)
        post.wait_delivered(letters[1], two.address("b"))
        assert post.wait_returned(letters[1]).recipients == [three.address("no")]
        assert post.wait_returned(returned).recipients == [two.address("no")]
        post.assert_balanced()
        assert_all_was_understood(scene.cluster)


# proves: A19
def test_mail_whose_demands_are_new_waits_for_a_courier_that_knows_them(later):
    with Mixed(later, ingress=True, courier=False) as scene:
        post, place = scene.post, scene.places.take()
        plain_letter = post.send(place.address("plain"))
        letter = post.send(place.address("r"), options=["ENVID=later"])
        post.wait_delivered(plain_letter)
        scene.cluster.wait_log("courier", "event=record_newer")
        queue = scene.cluster.queue()
        assert (queue["waiting"], queue["held"], queue["claimed"]) == (1, 0, 0), "left alone: not sent, not put aside, not returned"
        assert "a newer version wrote its record" in scene.cluster.baridctl("msg", "show", letter.message_id)
        with scene.of(True) as cluster:
            assert "a newer version" not in cluster.baridctl("msg", "show", letter.message_id)
        scene.change("courier", True)
        scene.cluster.baridctl("queue", "retry", place.domain, "--yes")
        assert len(post.copies(post.wait_delivered(letter) and letter)) == 1
        post.assert_balanced()


# proves: A19
def test_users_and_tables_of_either_version_serve_both(later):
    listeners = {"relay": {"role": "relay"}, "submission": {"role": "submission", "auth_without_tls": True, "tls": "off"}}
    with Mixed(later, listeners=listeners) as scene:
        made = {}
        for is_later, name in ((False, "ann"), (True, "bob")):
            with scene.of(is_later) as cluster:
                cluster.add_user(name, f"{name}-secret", "--senders", "@origin.test", "--tenant", f"t-{name}", "--messages-per-hour", 50)
                cluster.baridctl("tenant", "set", f"t-{name}", "messages_per_day=77")
                cluster.baridctl("alias", "set", f"{name}@alias.test", f"{name}@{scene.places.all[0].domain}", "--yes")
                made[name] = is_later
        for is_later in (False, True):
            scene.change("ingress", is_later)
            for name in made:
                with Client(scene.cluster.address("submission")) as client:
                    assert client.code(f"AUTH PLAIN {plain(name, f'{name}-secret')}") == 235
                    assert client.code("MAIL FROM:<s@origin.test>") == 250
                with scene.of(is_later) as cluster:
                    assert "77" in cluster.baridctl("tenant", "show", f"t-{name}")
                    assert f"t-{name}" in cluster.baridctl("user", "show", name)
                scene.post.wait_delivered(scene.post.send([f"{name}@{scene.places.all[0].domain}"]))
            with scene.of(is_later) as cluster:  # what the other one wrote can be changed
                for name in made:
                    cluster.baridctl("user", "set", name, "--messages-per-day", 100 + is_later)
                    cluster.baridctl("tenant", "set", f"t-{name}", "queue_messages=9")
        orders = ("node", "drain", "courier1.relay.test", "--yes", "--wait")
        for is_later in (False, True):
            with scene.of(is_later) as cluster:
                cluster.baridctl(*orders)
            with scene.of(not is_later) as cluster:
                cluster.baridctl("node", "undrain", "courier1.relay.test")
            wait.until(lambda: scene.cluster.status()["ready"], 15, "it works again")
        scene.post.assert_balanced()
        assert_all_was_understood(scene.cluster)
