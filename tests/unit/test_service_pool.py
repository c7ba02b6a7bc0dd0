"""Connections are bounded, used again while they are good, and replaced when they are not."""

from __future__ import annotations

import time
from typing import cast

import pytest

from service.database import Connection, ConnectionLost, Pool


class FakeConnection:
    """As much of a connection as the pool looks at."""

    def __init__(self) -> None:
        self.is_usable = True
        self.ended = False
        self.closed = False

    def closed_by_server(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.closed = True


class Opened(list[FakeConnection]):
    """Every connection that was opened, in order. While `refused`, none can be."""

    refused = False

    def __call__(self, deadline: float) -> Connection:
        if self.refused:
            raise ConnectionLost("refused")
        self.append(FakeConnection())
        return cast(Connection, self[-1])


@pytest.fixture
def opened() -> Opened:
    return Opened()


@pytest.fixture
def pool(opened: Opened) -> Pool:
    return Pool(opened, 2)


def _soon() -> float:
    return time.monotonic() + 20


def test_a_connection_is_opened_when_needed_and_used_again(pool: Pool, opened: Opened) -> None:
    assert opened == []
    for _ in range(3):
        with pool.connection(_soon()):
            pass
    assert len(opened) == 1


def test_there_are_never_more_than_its_size_and_then_it_raises(pool: Pool, opened: Opened) -> None:
    with (
        pool.connection(_soon()),
        pool.connection(_soon()),
        pytest.raises(ConnectionLost, match="in use"),
        pool.connection(time.monotonic()),
    ):
        pass
    assert len(opened) == 2
    with pool.connection(time.monotonic()):
        assert len(opened) == 2, "a place is free again"


def test_the_one_used_last_is_used_next(pool: Pool) -> None:
    with pool.connection(_soon()) as first, pool.connection(_soon()):
        pass
    with pool.connection(_soon()) as again:
        assert again is first


def test_a_connection_with_a_statement_under_way_is_not_reused(pool: Pool, opened: Opened) -> None:
    with pool.connection(_soon()):
        opened[0].is_usable = False
    assert opened[0].closed
    with pool.connection(_soon()) as connection:
        assert connection is cast(Connection, opened[1])


def test_connections_that_the_server_closed_are_replaced_before_use(pool: Pool, opened: Opened) -> None:
    with pool.connection(_soon()), pool.connection(_soon()):
        pass
    assert not pool.closed_by_server()
    for connection in opened:
        connection.ended = True
    assert pool.closed_by_server()
    with pool.connection(_soon()) as fresh:
        assert fresh is cast(Connection, opened[2])
    assert [connection.closed for connection in opened] == [True, True, False]


def test_a_failed_connect_and_a_failed_use_give_their_places_back(pool: Pool, opened: Opened) -> None:
    opened.refused = True
    for _ in range(3):
        with pytest.raises(ConnectionLost, match="refused"), pool.connection(_soon()):
            pass
    opened.refused = False
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), pool.connection(_soon()):
            raise ZeroDivisionError
    with pool.connection(time.monotonic()), pool.connection(time.monotonic()):
        assert len(opened) == 2


def test_closing_it_closes_what_is_idle(pool: Pool, opened: Opened) -> None:
    with pool.connection(_soon()):
        pass
    pool.close()
    assert opened[0].closed
