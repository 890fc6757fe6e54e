"""A queue that has a pool of source addresses is worked by couriers that can bind one of them: by no other, and by any other of them when one dies."""

import pytest
from post import Post

from harness import wait
from harness.cluster import Cluster
from harness.sink import ScriptedSink

ELSEWHERE = "192.0.2.77"  # on no host of ours
LANES = {name: {"senders": [f"@{name}.test"], "pool": name} for name in ("red", "blue", "both", "nobody")}
# What a courier's host has: address or not, by pool and courier.
HOSTS = {"red": ["127.0.3.1", ELSEWHERE, ELSEWHERE], "blue": [ELSEWHERE, "127.0.4.1", ELSEWHERE], "both": ["127.0.5.1", "127.0.5.2", ELSEWHERE],
         "nobody": [ELSEWHERE] * 3}


@pytest.fixture(scope="module")
def scene():
    with ScriptedSink(["127.0.0.2", "127.0.0.9"]) as sink:
        settings = {"courier": {"routes": {"*": f"127.0.0.2:{sink.port}"}, "idle_time": "0s"}, "lanes": LANES,
                    "dispatcher": {"pause_longest": "1min"},  # so long mail waits for who can
                    "pools": {name: {"addresses": [ELSEWHERE]} for name in HOSTS}}
        cluster = Cluster(couriers=3, settings=settings)
        for number, courier in enumerate(cluster.of("courier")):
            for pool, addresses in HOSTS.items():
                courier.process.env[f"BARID_POOLS_{pool.upper()}_ADDRESSES"] = addresses[number]
        with cluster:
            post = Post(cluster, sink)
            yield post
            post.assert_balanced()


def source_of(scene, letter):
    return scene.wait_delivered(letter).session.peer[0]


# proves: H21
@pytest.mark.parametrize("name, source", [("red", "127.0.3.1"), ("blue", "127.0.4.1")])
def test_only_the_courier_that_can_bind_the_pool_sends(scene, name, source):
    letters = [scene.send(f"r@one{n}.test", sender=f"s@{name}.test") for n in range(8)]
    assert {source_of(scene, letter) for letter in letters} == {source}
    assert all(not scene.told(letter, "deferred") for letter in letters)


# proves: H21
def test_mail_without_a_pool_is_anybodys(scene):
    letters = [scene.send(f"r@any{n}.test", sender="s@origin.test") for n in range(20)]
    assert {source_of(scene, letter) for letter in letters} == {"127.0.0.1"}
    senders = {scene.wait_delivered(letter).session.helo for letter in letters}
    assert len(senders) == 3


# proves: H21
def test_mail_waits_for_a_courier_that_can_and_why_says_so(scene):
    letter = scene.send("r@waits.test", sender="s@nobody.test")
    scene.cluster.wait_log("dispatcher", r"event=pool_away .*pool=nobody")
    assert "no courier can bind an address of pool nobody" in scene.cluster.baridctl("why", "waits.test/nobody")
    assert "no courier can bind an address of pool nobody" in scene.cluster.baridctl("why", letter.message_id)
    other = scene.send("r@waits.test", sender="s@red.test")
    assert source_of(scene, other) == "127.0.3.1"
    assert not scene.told(letter)
    scene.cluster.reload({"lanes": {"nobody": {"pool": "blue"}}})
    assert source_of(scene, letter) == "127.0.4.1"
    scene.cluster.reload({"lanes": {"nobody": {"pool": "nobody"}}})


# proves: H21 A10
def test_another_courier_with_the_pool_takes_over_from_a_dead_one(scene):
    first = scene.send("r@moves.test", sender="s@both.test")
    worked = scene.wait_delivered(first).session
    name = worked.helo.split(".")[0]
    other = {"courier1": "127.0.5.2", "courier2": "127.0.5.1"}[name]
    scene.cluster.kill(name)
    second = scene.send("r@moves.test", sender="s@both.test")
    assert source_of(scene, second) == other
    scene.cluster.restart(name, wait_ready=True)


# proves: H21
def test_a_queue_goes_where_the_address_goes(scene):
    """The address of `red` moves to another courier's host, as an operator moves it: settings there, SIGHUP."""
    first = scene.send("r@address.test", sender="s@red.test")
    assert source_of(scene, first) == "127.0.3.1"
    node = scene.cluster.kill("courier1")
    letter = scene.send("r@address.test", sender="s@red.test")
    third = scene.cluster.node("courier3")
    scene.cluster.kill(third.name)
    third.process.env["BARID_POOLS_RED_ADDRESSES"] = "127.0.3.3"
    scene.cluster.restart(third.name, wait_ready=True)
    assert source_of(scene, letter) == "127.0.3.3"
    scene.cluster.restart(node.name, wait_ready=True)
    wait.until(lambda: scene.cluster.queue()["claimed"] == 0, 20, "nothing claimed")
