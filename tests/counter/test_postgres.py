"""Without PostgreSQL nothing is counted and nothing is made up; when it is back, so is the service."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests import servers
from tests.counter.stores import copy, key, many, numbers, truth
from tests.servers import PASSWORD, PostgresServer, RedisServer, Reply, ServiceServer, eventually


def _stop_at_once(postgres: PostgresServer) -> None:
    postgres.end(signal.SIGQUIT)  # as in a crash: it recovers at the next start


AWAY: dict[str, Callable[[PostgresServer], object]] = {
    "stopped": PostgresServer.stop,
    "crashed": _stop_at_once,
    "frozen": PostgresServer.pause,
}


@pytest.mark.parametrize("trouble", AWAY)
def test_reads_are_stale_and_visits_refused_until_postgresql_is_back(
    trouble: str, service: ServiceServer, postgres: PostgresServer
) -> None:
    assert numbers(many(lambda: service.get("/"), 20)) == list(range(1, 21))
    AWAY[trouble](postgres)

    refused = many(lambda: service.get("/"), 8) + many(lambda: service.post("/visits/homepage"), 8)
    assert [_refusal(reply)["last_known"] for reply in refused] == [20] * 16

    read = _eventually(service, "/visits/homepage", lambda reply: "stale" in reply.json, "a read is marked stale")
    assert (read.json["visits"], read.json["source"]) == (20, "cache")
    assert read.headers["Cache-Status"] == 'redis; hit; detail="stale"'
    unknown = service.get("/visits/never-visited")
    assert unknown.status == 503
    assert "last_known" not in _refusal(unknown)

    health = _eventually(service, "/health", lambda reply: reply.status == 503, "health tells that PostgreSQL is away")
    assert (health.json["status"], health.json["checks"]["database"]["status"]) == ("fail", "fail")
    assert service.get("/livez").status == 200

    postgres.mend()
    _eventually(service, "/health", lambda reply: reply.status == 200, "health tells that PostgreSQL is back")
    visit = _eventually(service, "/", lambda reply: reply.status == 200, "visits are counted again")
    # A visit of unknown outcome may have been counted, by a server that was frozen and woke up.
    most = 21 + len([reply for reply in refused if "outcome-unknown" in reply.text])
    assert 21 <= visit.json["visits"] <= most
    eventually(lambda: "stale" not in service.get("/visits/homepage").json, "reads are fresh again")
    eventually(lambda: service.get("/visits/homepage").json["visits"] == truth(postgres), "reads are the truth again")


def test_the_first_read_after_postgresql_hung_up_is_marked_stale(
    lone_service: ServiceServer, postgres: PostgresServer
) -> None:
    lone_service.get("/")
    eventually(lambda: lone_service.get("/visits/homepage").json["source"] == "cache", "Redis has the count")
    postgres.stop()
    read = lone_service.get("/visits/homepage")
    assert read.json == {"page": "homepage", "visits": 1, "source": "cache", "stale": True}


def test_without_both_servers_requests_are_refused_without_a_count(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    service.get("/")
    postgres.stop()
    redis.kill()
    for reply in (service.get("/"), service.get("/visits/homepage"), service.post("/visits/a")):
        assert "last_known" not in _refusal(reply)
    assert service.get("/livez").status == 200
    redis.mend()
    postgres.mend()
    assert _eventually(service, "/", lambda reply: reply.status == 200, "visits are counted again").json["visits"] == 2


def test_an_unnoticed_restart_costs_no_visit(service: ServiceServer, postgres: PostgresServer) -> None:
    numbers(many(lambda: service.get("/"), 50))
    postgres.stop()
    postgres.start()
    assert numbers(many(lambda: service.get("/"), 50)) == list(range(51, 101))


def test_visits_during_a_restart_are_counted_exactly_if_acknowledged(
    service: ServiceServer, postgres: PostgresServer
) -> None:
    done = threading.Event()

    def visit_until_done() -> list[Reply]:
        replies = []
        while not done.is_set():
            replies.append(service.get("/"))
        return replies

    with ThreadPoolExecutor(6) as pool:
        visitors = [pool.submit(visit_until_done) for _ in range(6)]
        try:
            for end in (PostgresServer.stop, _stop_at_once):
                for _ in range(20):
                    eventually(lambda: service.get("/").status == 200, "visits are counted")
                end(postgres)
                eventually(lambda: service.get("/").status == 503, "visits are refused")
                postgres.start()
                eventually(lambda: service.get("/").status == 200, "visits are counted again")
        finally:
            done.set()
        replies = [reply for visitor in visitors for reply in visitor.result()]

    assert {reply.status for reply in replies} == {200, 503}
    acknowledged = [reply.json["visits"] for reply in replies if reply.status == 200]
    assert len(set(acknowledged)) == len(acknowledged), "two visits got the same number"
    assert max(acknowledged) <= truth(postgres), "a visit was acknowledged that is not there"


def test_it_starts_without_postgresql_and_finds_it_later(
    environment: dict[str, str], service_folder: Path, postgres: PostgresServer
) -> None:
    postgres.stop()
    with servers.start_service(service_folder, environment) as service:
        assert service.get("/").status == 503
        postgres.start()
        assert _eventually(service, "/", lambda reply: reply.status == 200, "visits are counted").json["visits"] == 1
        log = service.log.read_text()
    assert "started without the database: " in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    "reset", ["TRUNCATE visit_counter", "DROP TABLE visit_counter", "UPDATE visit_counter SET visits = 3"]
)
def test_after_a_reset_the_copy_follows_at_the_next_visit(
    reset: str, service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    service.get("/")
    redis.client.set(key(), "1000")
    postgres.query(reset)
    expected = 4 if "UPDATE" in reset else 1
    assert service.get("/").json["visits"] == truth(postgres) == expected

    def followed() -> bool:
        return bool(service.get("/visits/homepage").json["visits"] == expected) and copy(redis) == str(expected)

    eventually(followed, "the copy is the truth again")


def test_a_locked_row_refuses_the_visit_in_time_and_counts_nothing(
    service: ServiceServer, postgres: PostgresServer
) -> None:
    service.get("/")
    connection = postgres.connect()
    try:
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute("SELECT visits FROM visit_counter WHERE page = 'homepage' FOR UPDATE")
            assert _refusal(service.get("/"))["type"] == "urn:problem-type:database-unavailable"
            assert service.post("/visits/other").status == 200, "other pages go on"
        connection.rollback()
    finally:
        connection.close()
    assert _eventually(service, "/", lambda reply: reply.status == 200, "visits are counted again").json["visits"] == 2


def test_a_wrong_password_is_reported_and_is_not_logged(
    environment: dict[str, str], service_folder: Path, postgres: PostgresServer
) -> None:
    wrong = service_folder / "wrong"
    wrong.write_text("a-wrong-password")
    environment |= {"DB_PASSWORD_FILE": str(wrong)}
    with servers.start_service(service_folder, environment, workers=1) as service:
        assert _refusal(service.get("/"))["type"] == "urn:problem-type:database-unavailable"
        assert service.get("/health").status == 503
        assert service.end(signal.SIGTERM) == 0
        log = service.log.read_text()
    assert f'password authentication failed for user \\"{postgres.user}\\"' in log
    for text in (log, postgres.log.read_text()):
        assert "a-wrong-password" not in text
        assert PASSWORD not in text


def _refusal(reply: Reply) -> dict[str, object]:
    assert reply.status == 503, reply
    assert reply.headers["Content-Type"] == "application/problem+json"
    members: dict[str, object] = reply.json
    return members


def _eventually(service: ServiceServer, path: str, wanted: Callable[[Reply], bool], what: str) -> Reply:
    """The first answer that is as wanted."""
    replies: list[Reply] = []

    def ask() -> bool:
        replies.append(service.get(path))
        return wanted(replies[-1])

    eventually(ask, what)
    return replies[-1]
