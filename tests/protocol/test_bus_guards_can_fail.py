"""The tests of who is heard on the bus find what they are there for: each guard is taken away once."""

import pytest
from harness import planted

PLANTS = [
    ("a node speaks for another", "tests/unit/dispatcher/test_ring", "dispatcher/ring.c", "f.has_hello && f.hello.incarnation != node", "f.has_hello && !node"),
    ("a node of any role is a courier", "tests/unit/dispatcher/test_ring", "dispatcher/ring.c", "stats.role == wanted", "stats.role == wanted || wanted != ROLE_COUNT"),
    ("a frame counts again", "tests/unit/dispatcher/test_ring", "dispatcher/couriers.c", "h->count <= courier->count", "h->count < courier->count"),
    ("a borrow counts again", "tests/unit/dispatcher/test_lender", "dispatcher/lender.c", "from->count <= who->count", "from->count < who->count"),
    ("a barred key is known", "tests/unit/cluster/test_keyring", "lib/cluster/keyring.c", "!bus_is_key(key) || node_orders_find(&view->orders, NODE_ORDER_BAR, key)", "!bus_is_key(key) || !view"),
    ("a former key is known for ever", "tests/unit/cluster/test_keyring", "lib/cluster/keyring.c", "known->until_ms = now_ms + KEYRING_FORMER_MS", "known->until_ms = now_ms + KEYRING_FORMER_MS * 2"),
    ("keys are in force before they are told", "tests/unit/cluster/test_keyring", "lib/cluster/keyring.c", "!k->told_ms || now_ms < k->told_ms + KEYRING_KNOWN_MS", "now_ms < k->told_ms"),
    ("frames are heard under any key", "tests/unit/io/test_bus_curve", "lib/io/bus.c", "key.len > 0 && is_given(from) ? h->events.node_of(h->events.owner, key) : 0", "is_given(from)"),
]


# proves: M05
@pytest.mark.parametrize("name, unit, source, old, new", PLANTS, ids=[plant[0].replace(" ", "_") for plant in PLANTS])
def test_a_guard_that_is_gone_is_missed(name, unit, source, old, new):
    assert planted.is_found_by(unit, name, source, old, new)
