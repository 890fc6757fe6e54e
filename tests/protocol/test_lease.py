"""Partition leases: one owner, tokens that only grow."""

ME, OTHER = "1795342000000001", "1795342000000002"


def lease(store, part):
    return store.redis.hgetall(part.lease)


def left(store, part):
    return int(lease(store, part)["until"]) - store.now_ms()


def move_end(store, part, to_now_plus):
    store.redis.hset(part.lease, "until", store.now_ms() + to_now_plus)


def test_a_free_partition_is_acquired_for_3_seconds(store, part):
    token = store.run(part.acquire(ME))
    assert lease(store, part)["owner"] == ME and lease(store, part)["token"] == token and len(token) == 16
    assert 2000 < left(store, part) <= 3000


def test_acquire_repeated_gives_the_same_token(store, part):
    token = store.run(part.acquire(ME))
    move_end(store, part, 1000)
    assert store.run(part.acquire(ME)) == token
    assert left(store, part) > 2000


def test_a_leased_partition_is_taken_and_stays(store, part):
    store.run(part.acquire(ME))
    before = store.dump()
    assert store.run(part.acquire(OTHER)) == "taken"
    assert store.dump() == before


def test_an_expired_lease_is_acquired_with_a_higher_token(store, part):
    token = store.run(part.acquire(ME))
    move_end(store, part, -1)
    assert int(store.run(part.acquire(OTHER))) > int(token)
    assert lease(store, part)["owner"] == OTHER


def test_an_owner_whose_lease_expired_untaken_goes_on(store, part):
    token = store.run(part.acquire(ME))
    move_end(store, part, -1000)
    assert store.run(part.keep(ME, token)) == "ok"
    assert left(store, part) > 2000


def test_an_end_further_off_than_a_lease_is_a_clock_that_jumped(store, part):
    store.run(part.acquire(ME))
    move_end(store, part, 60000)
    assert store.run(part.acquire(OTHER)) != "taken"


def test_tokens_rise_above_what_couriers_reported(store, part):
    assert store.run(part.acquire(ME, 8000000000000000)) == "8000000000000001"


def test_own_lease_at_or_below_the_floor_gets_a_new_token_when_it_ends(store, part):
    token = store.run(part.acquire(ME))
    assert store.run(part.acquire(ME, token)) == "taken"
    move_end(store, part, -1)
    assert int(store.run(part.acquire(ME, token))) > int(token)
    assert store.run(part.keep(ME, token)) == "lost"


def test_tokens_rise_though_the_clock_went_back(store, part):
    store.redis.hset(part.lease, "token", "8000000000000000")
    assert store.run(part.acquire(ME)) == "8000000000000001"


def test_keep_prolongs(store, part):
    token = store.run(part.acquire(ME))
    move_end(store, part, 10)
    assert store.run(part.keep(ME, token)) == "ok"
    assert left(store, part) > 2000


def test_keep_of_a_stale_token_or_owner_is_lost_and_writes_nothing(store, part):
    token = store.run(part.acquire(ME))
    before = store.dump()
    assert store.run(part.keep(ME, int(token) - 1)) == "lost"
    assert store.run(part.keep(OTHER, token)) == "lost"
    assert store.dump() == before


def test_keep_of_nothing_is_lost(store, part):
    assert store.run(part.keep(ME, 1)) == "lost"
    assert store.redis.keys() == []


def test_yield_frees_at_once_and_keeps_the_token(store, part):
    token = store.run(part.acquire(ME))
    assert store.run(part.give_up(ME, token)) == "ok"
    assert lease(store, part) == {"token": token}
    assert int(store.run(part.acquire(OTHER))) > int(token)


def test_yield_that_comes_late_takes_nothing_from_the_next(store, part):
    token = store.run(part.acquire(ME))
    store.run(part.give_up(ME, token))
    store.run(part.acquire(OTHER))
    before = store.dump()
    assert store.run(part.give_up(ME, token)) == "ok"
    assert store.dump() == before
