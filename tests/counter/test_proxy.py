"""The proxy does what it says: the fault tests stand on it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

import tests.counter.stores  # noqa: F401 - skips where there are no servers
from tests.proxy import Fault, Proxy, proxy
from tests.servers import PASSWORD, RedisServer


@pytest.fixture
def between(redis: RedisServer) -> Iterator[Proxy]:
    with proxy(redis.host, redis.port) as made:
        yield made


def client(between: Proxy, limit: float = 5) -> redis.Redis:
    return redis.Redis(
        port=between.port, password=PASSWORD, socket_timeout=limit, socket_connect_timeout=limit,
        retry=Retry(NoBackoff(), 0), protocol=2,
    )  # fmt: skip


def test_without_a_fault_it_is_not_there(between: Proxy) -> None:
    assert client(between).set("a", "x" * 200_000)
    assert client(between).get("a") == b"x" * 200_000


@pytest.mark.parametrize("fault", ["refuse", "reset"])
def test_connections_break(between: Proxy, fault: Fault) -> None:
    between.set(fault)
    with pytest.raises(redis.exceptions.ConnectionError):
        client(between).ping()


@pytest.mark.parametrize("fault", ["silent", "slow"])
def test_answers_do_not_come(between: Proxy, fault: Fault) -> None:
    between.set(fault)
    with pytest.raises(redis.exceptions.TimeoutError):
        client(between, limit=0.2).ping()


def test_answers_come_late(between: Proxy) -> None:
    between.set("late")
    began = time.monotonic()
    assert client(between).ping()
    assert time.monotonic() - began >= 0.3


def test_a_fault_breaks_what_is_open_and_its_end_heals(between: Proxy) -> None:
    one = client(between)
    assert one.ping()
    between.set("refuse")
    with pytest.raises(redis.exceptions.ConnectionError):
        one.ping()
    between.set("none")
    assert one.ping()
