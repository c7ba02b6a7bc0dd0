"""Whatever happens to Redis, every count is the one of PostgreSQL."""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests import servers
from tests.counter.stores import copy, key, many, numbers, truth
from tests.servers import PASSWORD, PostgresServer, RedisServer, ServiceServer, eventually

AWAY: dict[str, Callable[[RedisServer], object]] = {
    "killed": RedisServer.kill,
    "frozen": RedisServer.pause,
}


def _set(text: str, redis: RedisServer, key: str) -> None:
    redis.client.set(key, text)


# Anything but a canonical decimal number up to 2^53-1 is no count. Two are of another type.
TEXTS = ["", "text", "-5", "+5", "1.5", "1e3", "0x10", "007", "00", " 7", "7 ", "7\n", "\u0667", str(2**53), "9" * 40]
POISON: dict[str, Callable[[RedisServer, str], object]] = {
    "a list": lambda redis, key: redis.client.rpush(key, "7"),
    "a hash": lambda redis, key: redis.client.hset(key, "7", "7"),
}
POISON |= {repr(text): partial(_set, text) for text in TEXTS}


@pytest.mark.parametrize("trouble", AWAY)
def test_counts_are_exact_without_redis_and_it_is_used_once_back(
    trouble: str, service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    assert numbers(many(lambda: service.get("/"), 20)) == list(range(1, 21))
    AWAY[trouble](redis)
    assert numbers(many(lambda: service.get("/"), 40)) == list(range(21, 61))
    assert truth(postgres) == 60
    read = service.get("/visits/homepage")
    assert (read.json["visits"], read.json["source"]) == (60, "database")
    eventually(lambda: service.get("/health").json["status"] == "warn", "health tells that Redis is away")
    assert service.get("/health").status == 200
    redis.mend()
    eventually(lambda: service.get("/health").json["status"] == "pass", "health tells that Redis is back")
    assert service.get("/").json["visits"] == 61

    def caught_up() -> bool:
        # The copy is from before the trouble until a worker that could not store a count then is asked again.
        reply = service.get("/visits/homepage")
        return (reply.json["visits"], reply.json["source"], copy(redis)) == (61, "cache", "61")

    eventually(caught_up, "Redis has the count and reads are answered with it")
    assert truth(postgres) == 61


def test_a_copy_from_before_redis_froze_is_not_believed_when_it_wakes_up(
    lone_service: ServiceServer, redis: RedisServer
) -> None:
    lone_service.get("/")
    redis.pause()
    assert lone_service.get("/").json["visits"] == 2
    redis.resume()
    eventually(lambda: _asks_redis(lone_service, page="other"), "Redis is asked again")
    assert lone_service.get("/visits/homepage").json["visits"] == 2
    eventually(lambda: _count(lone_service) == 2 and copy(redis) == "2", "the copy is the truth again")


def test_a_broken_redis_is_soon_not_asked_by_every_request(lone_service: ServiceServer, redis: RedisServer) -> None:
    redis.pause()
    eventually(
        lambda: "breaker-open" in lone_service.get("/visits/homepage").headers["Cache-Status"],
        "the service gives Redis up",
    )
    assert '\nbreaker_open{dependency="cache"} 1.0' in lone_service.get("/metrics").text
    assert "the cache is unavailable" in lone_service.log.read_text()
    redis.resume()
    eventually(lambda: _asks_redis(lone_service), "the service asks Redis again")
    assert '\nbreaker_open{dependency="cache"} 0.0' in lone_service.get("/metrics").text
    assert "the cache is available again" in lone_service.log.read_text()


def test_visits_are_exact_while_redis_is_flushed_killed_and_frozen(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    with ThreadPoolExecutor(1) as pool:
        visits = pool.submit(many, lambda: service.get("/"), 600, threads=8)
        try:
            for _ in range(3):
                redis.client.flushall()
                redis.pause()
                numbers(many(lambda: service.post("/visits/other"), 10))
                redis.resume()
                redis.kill()
                numbers(many(lambda: service.post("/visits/other"), 10))
                redis.start()
        finally:
            replies = visits.result()
    assert numbers(replies) == list(range(1, 601))
    assert (truth(postgres), truth(postgres, "other")) == (600, 60)


def test_a_flushed_redis_is_filled_again(service: ServiceServer, redis: RedisServer) -> None:
    service.get("/")
    redis.client.flushall()
    assert service.get("/visits/homepage").json["visits"] == 1
    eventually(lambda: service.get("/visits/homepage").json["source"] == "cache", "the copy is there again")
    redis.client.flushall()
    assert service.get("/").json["visits"] == 2
    eventually(lambda: service.get("/visits/homepage") and copy(redis) == "2", "the copy is there again")


def test_a_value_that_is_no_count_is_not_believed_and_is_replaced(service: ServiceServer, redis: RedisServer) -> None:
    for number, (name, poison) in enumerate(POISON.items()):
        page = f"page-{number}"

        def visits(page: str = page) -> int:
            return int(service.get(f"/visits/{page}").json["visits"])

        def replaced_by(count: int, page: str = page) -> Callable[[], bool]:
            return lambda: visits(page) == count and copy(redis, page) == str(count)

        assert service.post(f"/visits/{page}").json["visits"] == 1
        redis.client.delete(key(page))
        poison(redis, key(page))
        assert visits() == 1, f"{name} was taken for a count"
        eventually(replaced_by(1), f"a read replaces {name}")
        redis.client.delete(key(page))
        poison(redis, key(page))
        assert service.post(f"/visits/{page}").json["visits"] == 2
        eventually(replaced_by(2), f"a visit replaces {name}")
    assert service.get("/health").json["status"] == "pass", "poison is no failure of Redis"


@pytest.mark.parametrize("count", [2, 1000, 2**53 - 1])
def test_a_count_that_was_made_up_is_corrected_by_the_next_visit(
    count: int, service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    service.get("/")
    redis.client.set(key(), count)
    assert service.get("/").json["visits"] == truth(postgres) == 2
    eventually(lambda: _count(service) == 2 and copy(redis) == "2", "the copy is the truth again")


def test_the_time_to_live_varies_a_little_between_copies(
    environment: dict[str, str], service_folder: Path, redis: RedisServer
) -> None:
    with servers.start_service(service_folder, environment | {"CACHE_TTL": "1000"}, workers=1) as service:
        pages = [f"page-{n}" for n in range(20)]
        for page in pages:
            service.post(f"/visits/{page}")
        lives = [redis.client.ttl(key(page)) for page in pages]
    assert all(isinstance(life, int) and 850 < life <= 1100 for life in lives if life != -2), lives
    assert len(set(lives)) > 2, f"copies that were made together end together: {lives}"


def test_a_wrong_redis_password_costs_no_visit_and_is_not_logged(
    environment: dict[str, str], service_folder: Path
) -> None:
    wrong = service_folder / "wrong"
    wrong.write_text("a-wrong-password")
    environment |= {"CACHE_PASSWORD_FILE": str(wrong)}
    with servers.start_service(service_folder, environment, workers=1) as service:
        assert numbers([service.get("/") for _ in range(5)]) == [1, 2, 3, 4, 5]
        health = service.get("/health")
        assert (health.status, health.json["status"]) == (200, "warn")
        assert service.end(signal.SIGTERM) == 0
        log = service.log.read_text()
    assert "the cache is unavailable: " in log
    assert "password" in log, "the log says what is wrong"
    assert "a-wrong-password" not in log
    assert PASSWORD not in log


def _count(service: ServiceServer) -> int:
    return int(service.get("/visits/homepage").json["visits"])


def _asks_redis(service: ServiceServer, page: str = "homepage") -> bool:
    status = service.get(f"/visits/{page}").headers["Cache-Status"]
    return "error" not in status and "breaker-open" not in status
