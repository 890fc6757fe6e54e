"""A full Redis refuses new mail and nothing else: it drains."""

import pytest
import redis

from protocol import calls
from protocol.calls import CHUNK_TTL_S, End, Report
from protocol.store import Courier

QUEUE = "example.com"


@pytest.fixture
def full(store, part):
    """Jobs A to F wait, and memory is at its limit: whatever needs more is refused now."""
    for name in "ABCDEF":
        store.run(part.commit(f"{name}.0", QUEUE, ("content",)))
    store.run(part.commit("P.0", "#fanout", ("content",), w=1))
    store.redis.config_set("maxmemory", 1)
    yield store
    store.redis.config_set("maxmemory", 0)


def refused(act):
    with pytest.raises(redis.exceptions.ResponseError, match="maxmemory"):
        act()
    return True


# proves: A03
def test_commit_is_refused_and_writes_nothing(full, part):
    before = full.dump()
    call = part.commit("G.0", QUEUE, ())
    assert refused(lambda: full.run(call))
    assert full.dump() == before


def test_plain_content_is_refused(full, part):
    assert refused(lambda: full.redis.set(part.chunk_key("G.0", 0), "x", ex=CHUNK_TTL_S, nx=True))


def test_content_of_couriers_passes_as_chunk(full, part):
    assert full.run(part.chunk("P.1", 0, "copy")) == "ok"
    key = part.chunk_key("P.1", 0)
    assert full.redis.get(key) == "copy" and 0 < full.redis.ttl(key) <= CHUNK_TTL_S


def test_a_child_can_be_carried(full, part):
    full.run(part.chunk("P.1", 0, "copy"))
    call = part.commit("P.1", "other.example", ("copy",), script="carry")
    call.chunks = {}
    assert full.run(call) == "new"


def test_all_else_works(full, part):
    me = full.run(calls.join())
    assert full.run(calls.beat(me, 1)) == "ok"
    assert full.run(calls.meta(1, 256, "xxh3"))
    courier = Courier(full, me)
    assert len(courier.claim(QUEUE, 4)) == 4
    full.run(part.chunk("D.0", 0, "report"))
    call = part.settle(
        End("A.0", QUEUE, courier.token),
        End("B.0", QUEUE, courier.token, "back", 1000, state="s" * 1000),
        End("C.0", QUEUE, courier.token, event="bounced", report=Report("DSN.0", "u", "report")),
        End("D.0", QUEUE, courier.token, "keep", next=me + ".9", state="s"))
    report = part.chunk("DSN.0", 0, "report")
    assert full.run(report) == "ok"
    call.chunks = {}
    assert full.run(call) == ["ok"] * 4
    assert full.run(part.order("hold", "E.0", QUEUE)) == "ok"
    assert full.run(part.order("unhold", "E.0", QUEUE)) == "ok"
    assert full.run(part.order("retry", "F.0", QUEUE)) == "ok"
    assert full.run(part.order("bounce", "F.0", QUEUE)) == "ok"
    assert full.run(part.delete("E.0", QUEUE)) == "deleted"
    assert full.run(part.delete("never.0", QUEUE, revoke=True)) == "gone"
    token = full.run(part.acquire(me))
    assert full.run(part.keep(me, token)) == "ok" and full.run(part.give_up(me, token)) == "ok"
    assert full.run(part.due())[0]
    assert full.run(part.pause(QUEUE, 1000)) == "ok" and full.run(part.pause(QUEUE, 0)) == "ok"
    assert full.run(calls.bury(me, 1)) == "dead" and full.run(calls.leave(me)) == "ok"
    assert full.run(part.reap(me)) == 1


def test_chunk_puts_no_time_limit_back_on_what_is_permanent(store, part):
    store.run(part.commit("A.0", QUEUE, ("content",)))
    assert store.run(part.chunk("A.0", 0, "content")) == "ok"
    assert store.redis.ttl(part.chunk_key("A.0", 0)) == -1


def test_chunk_that_comes_late_does_not_change_content(store, part):
    store.run(part.chunk("A.0", 0, "first"))
    store.run(part.chunk("A.0", 0, "other"))
    assert store.redis.get(part.chunk_key("A.0", 0)) == "first"
