"""A private Redis with the queue's scripts, emptied before each test. Each script runs with the rights that access.def gives it."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.redis import RedisServer  # noqa: E402
from protocol import access, scripts  # noqa: E402
from protocol.calls import Partition  # noqa: E402
from protocol.store import Store  # noqa: E402


@pytest.fixture(scope="session")
def server():
    with RedisServer(appendfsync="no", witness=False, options={"appendonly": "no"}, name="protocol") as redis:
        yield redis


@pytest.fixture(scope="session")
def loaded(server):
    redis = server.client(decode_responses=True)
    rights = access.Access()
    users = {}
    for script in scripts.assemble(scripts.sources()):
        name = access.set_script_user(redis, script, rights.of_script(script))
        users[script] = server.client(decode_responses=True, username=name, password="none")
    return Store(redis, users)


@pytest.fixture
def store(loaded):
    loaded.empty()
    loaded.redis.acl_log_reset()
    yield loaded
    denied = [f"{entry['username']}: {entry['object']}" for entry in loaded.redis.acl_log()]
    assert not denied, f"access.def does not allow what scripts do: {denied}"


@pytest.fixture
def part():
    return Partition("0")
