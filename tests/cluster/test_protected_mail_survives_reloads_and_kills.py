"""Mail that must be protected, while couriers are killed, stopped and read new settings: all of it arrives, and none of it in plain."""

import signal

import pytest
from dane_scene import open_scene

from harness import wait
from harness.sink import drop, stall

NAMES = ("proven", "strict", "shaky", "slow")
ROUNDS, LETTERS = 6, 12


@pytest.fixture(scope="module")
def scene():
    def prepare(scene):
        places = scene.places = {name: scene.place(name) for name in NAMES}
        for name in ("proven", "shaky", "slow"):
            places[name].publish(places[name].good())
        # Handshakes that break, and some that take their time: killed and reloaded in the middle of them.
        scene.sink.rule("handshake", drop(), host=places["shaky"].address, times=ROUNDS)
        scene.sink.rule("handshake", stall(0.2), host=places["slow"].address)
        scene.settings = {"tls_out": {"policies": {"strict.test": "verify"}}, "courier": {"idle_time": "1s"},
                          "retry": {"first": "200ms", "longest": "500ms"}}

    with open_scene(len(NAMES) + 1, prepare=prepare, couriers=2) as opened:
        yield opened


# proves: L04 L17 H15 A05
def test_nothing_is_lost_and_nothing_goes_plain(scene):
    cluster, letters = scene.cluster, []
    for number in range(ROUNDS):
        for place in scene.places.values():
            letters += scene.post.send_many([place.recipient(f"r{number}x{n}") for n in range(LETTERS)])
        wait.until(lambda: any(node.metrics().get("barid_connections", 0) > 0 for node in cluster.of("courier") if node.process.alive()), 20, "some are on their way")
        cluster.reload({"tls_out": {"policies": {"strict.test": "encrypt" if number % 2 else "verify"}}})
        if number % 3 == 0:
            cluster.kill("courier1")
            cluster.restart("courier1")
        elif number % 3 == 1:
            cluster.node("courier2").process.signal(signal.SIGTERM)
            cluster.node("courier2").process.wait(30)
            cluster.restart("courier2")
    cluster.wait_empty(90)
    for letter in letters:
        copies = scene.post.copies(letter)
        assert copies and all(copy.session.tls for copy in copies)
