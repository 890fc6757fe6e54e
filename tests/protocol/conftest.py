"""A private Redis with the queue's scripts, emptied before each test."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from harness.redis import RedisServer  # noqa: E402
from protocol.calls import Partition  # noqa: E402
from protocol.store import Store  # noqa: E402


@pytest.fixture(scope="session")
def server():
    with RedisServer(appendfsync="no", witness=False, options={"appendonly": "no"}, name="protocol") as redis:
        yield redis


@pytest.fixture(scope="session")
def loaded(server):
    return Store(server.client(decode_responses=True))


@pytest.fixture
def store(loaded):
    loaded.empty()
    return loaded


@pytest.fixture
def part():
    return Partition("0")
