"""Two workers, real servers: every visit has a number of its own, and nothing runs ahead of PostgreSQL."""

from __future__ import annotations

import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from service.breaker import Breaker
from service.database import PostgresDatabase
from tests.counter.stores import config, copy, many, numbers, truth
from tests.servers import PATIENCE, PostgresServer, RedisServer, ServiceServer, eventually


def test_visits_at_the_same_time_are_all_counted_once(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    replies = many(lambda: service.get("/"), 400)
    assert numbers(replies) == list(range(1, 401))
    assert truth(postgres) == 400
    eventually(lambda: service.get("/visits/homepage").json["visits"] == 400, "reads know of all visits")
    eventually(lambda: copy(redis) == "400", "the copy is the truth")


def test_first_visits_of_a_page_at_the_same_time_are_all_counted_once(
    service: ServiceServer, postgres: PostgresServer
) -> None:
    for page in ("a", "b", "c"):
        visits = many(partial(service.post, f"/visits/{page}"), 32, threads=32)
        assert numbers(visits) == list(range(1, 33))
        assert truth(postgres, page) == 32


def test_the_copy_is_never_ahead_of_postgresql(
    service: ServiceServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    done = threading.Event()

    def furthest_ahead() -> int:
        most = -1
        connection = postgres.connect()
        try:
            with connection.cursor() as cursor:
                while not done.is_set():
                    value = int(copy(redis) or 0)  # first the copy: the truth only grows until it is read
                    cursor.execute("SELECT visits FROM visit_counter WHERE page = 'homepage'")
                    most = max(most, value - cursor.fetchall()[0][0])
        finally:
            connection.close()
        return most

    service.get("/")
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(furthest_ahead)
        try:
            numbers(many(lambda: service.get("/"), 300))
        finally:
            done.set()
        assert watched.result() <= 0, "Redis held a count that PostgreSQL did not have yet"


def test_reads_are_answered_by_redis_and_cost_postgresql_nothing(
    service: ServiceServer, postgres: PostgresServer
) -> None:
    service.post("/visits/a")
    postgres.query("UPDATE visit_counter SET visits = 1000 WHERE page = 'a'")
    reply = service.get("/visits/a")
    assert (reply.json["visits"], reply.json["source"], reply.headers["Cache-Status"]) == (1, "cache", "redis; hit")


def test_the_metrics_are_the_sum_of_all_workers(service: ServiceServer) -> None:
    many(lambda: service.get("/"), 200)
    replies = [service.get("/metrics").text for _ in range(8)]
    counts = {match[1] for text in replies if (match := re.search(r"^visits_total (\S+)$", text, re.MULTILINE))}
    assert counts == {"200.0"}, "whichever worker is asked, it tells of all visits"


def test_the_table_is_made_once_by_any_number_of_creators_at_once(postgres: PostgresServer, redis: RedisServer) -> None:
    databases = [PostgresDatabase(config(postgres, redis), Breaker(lambda: 0.0)) for _ in range(8)]
    for database in databases:
        database.prepare()  # connects, so that what follows is at the same time
    for round_ in range(10):
        postgres.query("DROP TABLE visit_counter")
        together = threading.Barrier(len(databases), timeout=PATIENCE)

        def create(database: PostgresDatabase, together: threading.Barrier = together) -> int:
            together.wait()
            return database.add({"homepage": 1})["homepage"]

        with ThreadPoolExecutor(len(databases)) as pool:
            counts = list(pool.map(create, databases))
        assert sorted(counts) == list(range(1, 9)), f"in round {round_}"
    for database in databases:
        database.close()


def test_a_table_that_is_there_is_kept_when_a_service_starts(service: ServiceServer, postgres: PostgresServer) -> None:
    service.get("/")
    service.stop()
    service.start()
    assert service.get("/").json["visits"] == truth(postgres) == 2


def test_batches_of_several_pages_never_wait_for_each_other_in_a_circle(
    postgres: PostgresServer, redis: RedisServer
) -> None:
    databases = [PostgresDatabase(config(postgres, redis), Breaker(lambda: 0.0)) for _ in range(4)]
    pages = [f"page-{number:02}" for number in range(20)]

    def add(database: PostgresDatabase, seed: int) -> None:
        for turn in range(25):
            shuffled = random.Random(seed * 1000 + turn).sample(pages, 12)
            database.add(dict.fromkeys(shuffled, 1))

    databases[0].add(dict.fromkeys(pages, 0))
    with ThreadPoolExecutor(len(databases)) as pool:
        list(pool.map(add, databases, range(len(databases))))
    assert (
        sum(count for (count,) in postgres.query("SELECT visits FROM visit_counter WHERE page LIKE 'page-%'")) == 1200
    )
    for database in databases:
        database.close()
