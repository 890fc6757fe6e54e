"""
Every pair of parts cut off from one another, each way by itself and both, in one cluster under load: what it costs, who notices, and that all is well
soon after (docs/membership.md tells the figures). That nothing is lost by them: the ledger at the end.
"""

import time

import pytest
from hurt import SEED
from test_cuts_between_any_two_lose_nothing import Country, note_cut

from harness import wait

# What a cut costs the first of the two: NOTHING that anybody notices; OUT: it is not ready and buried, the others do its work; STALLED: not ready,
# but still heard by dispatchers, so that its claims wait for it, up to a minute.
NOTHING, OUT, STALLED = "nothing", "out", "stalled"
PAIRS = [("ingress1", "dispatcher1", NOTHING), ("courier1", "dispatcher1", NOTHING), ("dispatcher1", "dispatcher2", NOTHING),
         ("ingress1", "courier1", NOTHING), ("ingress1", "redis", OUT), ("dispatcher1", "redis", OUT), ("courier1", "redis", STALLED)]
WAYS = ["both", "to", "from"]


@pytest.fixture(scope="module")
def scene():
    with Country(SEED) as made:
        made.more(50)
        yield made
        made.settle().assert_balanced()


def incarnations(scene):
    with scene.cluster.redis.client() as redis:
        return {name for name in redis.hgetall("barid:{c}:nodes") if name != b"last"}


def seconds(began):
    return f"{time.monotonic() - began:.1f} s"


# proves: A01 A09 A14
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("one,other,price", PAIRS, ids=[f"{one}-{other}" for one, other, _ in PAIRS])
def test_a_cut(scene, one, other, price, way):
    network, node, lives, began = scene.world.network, scene.cluster.node(one), incarnations(scene), time.monotonic()
    faults = note_cut(scene, one) if price != NOTHING else []
    network.cut(*((other, one) if way == "from" else (one, other)), one_way=way != "both")
    if price == NOTHING:
        scene.more(80)
    else:
        wait.until(lambda: not node.is_ready(), 30, f"{one} says that it is not ready")
        print(f"{one} cut off from {other} ({way}): not ready after {seconds(began)}", end="")
        scene.more(80)  # the others do its work
        if price == OUT:
            wait.until(lambda: lives - incarnations(scene), 30, f"{one} is buried")
            print(f", buried after {seconds(began)}", end="")
    if price != OUT:
        assert incarnations(scene) == lives, "nobody is buried"
    if price == NOTHING:
        assert all(each.is_ready() for each in scene.cluster.nodes)
    network.mend()
    began = time.monotonic()
    wait.until(lambda: len(incarnations(scene)) == 6 and node.is_ready(), 60, f"{one} is back")
    if price != NOTHING:
        print(f"; back {seconds(began)} after it was mended", flush=True)
    for fault in faults:
        fault.end()
    scene.more(30)
