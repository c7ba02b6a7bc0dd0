"""How the service starts, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.counter.stores import truth
from tests.servers import PROJECT, PostgresServer, RedisServer, ServiceServer, eventually, start_service

METRICS = "PROMETHEUS_MULTIPROC_DIR"


def test_after_sigterm_a_visit_under_way_finishes_before_exit_0(
    service: ServiceServer, postgres: PostgresServer
) -> None:
    assert service.get("/").json["visits"] == 1
    connection = postgres.connect()
    connection.autocommit = False
    try:
        with connection.cursor() as cursor, ThreadPoolExecutor(2) as pool:
            cursor.execute("SELECT visits FROM visit_counter WHERE page = 'homepage' FOR UPDATE")
            visit = pool.submit(service.get, "/")
            eventually(lambda: _waits_for_a_lock(postgres), "the visit waits in PostgreSQL")
            ended = pool.submit(service.end, signal.SIGTERM)
            eventually(lambda: "Shutting down" in service.log.read_text(), "the service is told to end")
            assert not visit.done()
            connection.rollback()
            reply = visit.result()
            assert ended.result() == 0
    finally:
        connection.close()
    assert (reply.status, reply.json["visits"]) == (200, 2), reply
    assert truth(postgres) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_leaves_nothing_behind(number: signal.Signals, service: ServiceServer) -> None:
    assert _metrics_folders(service)
    assert service.end(number) == 0
    assert not _metrics_folders(service)


def test_a_folder_for_metrics_that_was_given_is_not_removed(
    environment: dict[str, str], service_folder: Path, tmp_path: Path
) -> None:
    with start_service(service_folder, environment | {METRICS: str(tmp_path)}) as service:
        service.get("/")
        assert service.end(signal.SIGTERM) == 0
    assert list(tmp_path.glob("counter_*.db"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_is_replaced_and_stays_in_the_metrics(
    number: signal.Signals, service: ServiceServer
) -> None:
    for _ in range(20):
        service.get("/")
    workers = set(eventually(service.children, "there are workers"))
    for worker in workers:
        os.kill(worker, number)
    eventually(lambda: workers.isdisjoint(service.children()), "the workers are gone")
    eventually(lambda: service.get("/livez").status == 200, "others answer")
    assert service.get("/").json["visits"] == 21
    assert "\nvisits_total 21.0" in service.get("/metrics").text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DB_HOST": ""}, "DB_HOST is not set; set it to, for example, db"),
        ({"DB_PORT": "five"}, "DB_PORT is 'five', which is not a port (1-65535)"),
        ({"DB_PASSWORD_FILE": "/no/such/file"}, "DB_PASSWORD_FILE names '/no/such/file', which cannot be read"),
        ({"CACHE_TTL": "0"}, "CACHE_TTL is '0', which is not a number of seconds"),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY is '0', which is not a number"),
        ({"PORT": "0"}, "PORT is '0', which is not a number"),
        ({"BIND": "everywhere"}, "BIND is 'everywhere', which is not an IP address"),
        ({"BIND": "203.0.113.1"}, "cannot listen on 203.0.113.1, port"),
    ],
)
def test_bad_configuration_is_one_clear_error(
    changes: dict[str, str], message: str, environment: dict[str, str], service_folder: Path
) -> None:
    service = ServiceServer(service_folder, environment, workers=2)
    service.environment.update(changes)
    service.launch()
    assert service.wait() == 1
    log = service.log.read_text()
    assert log.count(message) == 1, log
    assert "Traceback" not in log
    assert not _metrics_folders(service)


def test_two_do_not_share_a_port(service: ServiceServer, environment: dict[str, str], service_folder: Path) -> None:
    second = ServiceServer(service_folder, environment, workers=1)
    second.log = service_folder / "second.log"
    second.environment["PORT"] = str(service.port)
    second.launch()
    assert second.wait() == 1
    assert f"cannot listen on 127.0.0.1, port {service.port}: Address already in use" in second.log.read_text()
    assert service.get("/livez").status == 200


@pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel keeps such names")
def test_of_those_that_start_at_once_one_gets_the_port(environment: dict[str, str], service_folder: Path) -> None:
    servers = [ServiceServer(service_folder, environment, workers=1) for _ in range(4)]
    for number, server in enumerate(servers):
        server.log = service_folder / f"{number}.log"
        server.environment["PORT"] = str(servers[0].port)
    try:
        for server in servers:
            server.launch()
        eventually(lambda: servers[0].get("/livez").status == 200, "one answers")
        taken = f"cannot listen on 127.0.0.1, port {servers[0].port}: Address already in use"
        eventually(lambda: [taken in each.log.read_text() for each in servers].count(True) == 3, "the others end")
        assert servers[0].get("/livez").status == 200
    finally:
        for server in servers:
            server.stop()


def test_the_health_check_of_a_container_is_its_services(service: ServiceServer, postgres: PostgresServer) -> None:
    assert _asked_as_in_a_container(service) == (0, "")
    postgres.stop()
    said = eventually(lambda: _asked_as_in_a_container(service)[1], "it is unwell")
    assert said.startswith("503 ")
    assert "PostgreSQL cannot be reached" in said
    service.end(signal.SIGTERM)
    assert _asked_as_in_a_container(service) == (1, "no answer: [Errno 111] Connection refused\n")


def _asked_as_in_a_container(service: ServiceServer) -> tuple[int, str]:
    script = PROJECT / "service" / "healthcheck.py"
    ended = subprocess.run(
        [sys.executable, "-IS", str(script)], env=service.environment, capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stderr


def test_no_worker_outlives_its_killed_parent(service: ServiceServer) -> None:
    workers = eventually(service.children, "there are workers")
    service.kill()
    eventually(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), "the workers are gone")
    for folder in _metrics_folders(service):
        shutil.rmtree(folder)  # the only end that leaves it


def test_the_gauges_of_a_dead_worker_are_dropped(lone_service: ServiceServer, redis: RedisServer) -> None:
    redis.stop()
    eventually(lambda: 'breaker_open{dependency="cache"} 1.0' in _visit_and_measure(lone_service), "it gives Redis up")
    redis.start()
    for worker in eventually(lone_service.children, "there is a worker"):
        os.kill(worker, signal.SIGKILL)
    eventually(
        lambda: 'breaker_open{dependency="cache"} 0.0' in _visit_and_measure(lone_service), "only the new counts"
    )


def test_every_line_of_the_log_is_one_json_object(service: ServiceServer) -> None:
    service.get("/")
    service.end(signal.SIGTERM)
    lines = service.log.read_text().splitlines()
    assert lines
    for line in lines:
        assert {"time", "level", "logger", "process", "message"} <= json.loads(line).keys()


def _visit_and_measure(service: ServiceServer) -> str:
    service.get("/")
    return service.get("/metrics").text


def _waits_for_a_lock(postgres: PostgresServer) -> bool:
    waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'visit-counter' AND wait_event_type = 'Lock'"
    return bool(postgres.query(waiting))


def _metrics_folders(service: ServiceServer) -> list[Path]:
    """The folder that the service made for its metrics, where it still is."""
    places = {Path("/dev/shm"), Path(tempfile.gettempdir())}
    return [folder for place in places for folder in place.glob(f"visit-counter-{service.pid}-*")]


def test_it_ends_at_once_also_right_after_its_start(service_folder: Path, environment: dict[str, str]) -> None:
    from service.serve import GRACE

    server = ServiceServer(service_folder, environment, workers=2)
    for _ in range(6):
        server.start()
        told = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - told < GRACE, "a worker did not hear that it is to end, and was killed"
