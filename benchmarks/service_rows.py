"""The rows of the service."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.figures import Figure, Result, Target, difference, ratio
from benchmarks.instance import Instance
from benchmarks.load import Load, LoadFailed, Sample, run
from benchmarks.session import Session

_CONNECTIONS = 32
_UPSERT = """
INSERT INTO plain_counter (page, visits) VALUES ('homepage', 1)
ON CONFLICT (page) DO UPDATE SET visits = plain_counter.visits + 1 RETURNING visits;
"""
_CLIENT_WAS_BUSY = "the client was the bottleneck in {}: what it measured there is itself"


def visits(session: Session) -> Result:
    """Visits of one page, each committed before it is answered."""
    instance = session.contenders
    samples = _interleaved(
        session,
        {
            "service": partial(_load, session, instance, "web"),
            "plain": partial(_load, session, instance, "plain"),
            "pgbench": partial(_pgbench, session, instance),
            "empty route": partial(_load, session, instance, "empty"),
        },
    )
    service, plain, pgbench, empty = (_rate(name, samples[name]) for name in samples)
    return Result(
        "visits",
        f"GET /, {_CONNECTIONS} connections, every visit committed",
        (service, plain, pgbench, empty, *_latencies(samples)),
        (
            ratio("the plain counter", Target(8, "at least"), service, plain),
            ratio("pgbench with the upsert", Target(1.5, "at least"), service, pgbench),
            ratio("the empty route", Target(0.6, "at least"), service, empty),
        ),
        (*_doubts(samples), *_disk(session, instance)),
    )


def slow_commits(session: Session) -> Result:
    """Visits on a database that takes 2 ms longer to keep a commit, as one on a disk across a network does."""
    instance = session.contenders
    _configure(instance, "ALTER SYSTEM SET commit_delay = 2000", "ALTER SYSTEM SET commit_siblings = 0")
    try:
        samples = _interleaved(
            session,
            {
                "service": partial(_load, session, instance, "web"),
                "plain": partial(_load, session, instance, "plain"),
                "pgbench": partial(_pgbench, session, instance),
            },
        )
    finally:
        _configure(instance, "ALTER SYSTEM RESET commit_delay", "ALTER SYSTEM RESET commit_siblings")
    service, plain, pgbench = (_rate(name, samples[name]) for name in samples)
    return Result(
        "slow-commits",
        f"GET /, {_CONNECTIONS} connections, a commit takes 2 ms longer",
        (service, plain, pgbench, *_latencies(samples)),
        (
            ratio("the plain counter", Target(8, "at least"), service, plain),
            ratio("pgbench with the upsert", Target(1.5, "at least"), service, pgbench),
        ),
        _doubts(samples),
    )


def reads(session: Session) -> Result:
    """Reads of a page that Redis has."""
    instance = session.contenders
    samples = _interleaved(
        session,
        {
            "service": partial(_load, session, instance, "web", "/visits/homepage"),
            "empty route": partial(_load, session, instance, "empty"),
        },
    )
    service, empty = (_rate(name, samples[name]) for name in samples)
    return Result(
        "reads",
        f"GET /visits/homepage from the cache, {_CONNECTIONS} connections",
        (service, empty, *_latencies(samples)),
        (ratio("the empty route", Target(0.8, "at least"), service, empty),),
        _doubts(samples),
    )


def silence(session: Session) -> Result:
    """Visits while Redis accepts connections and never answers, beside a service whose Redis refuses them."""
    instance = session.contenders
    normal, first = [], []
    samples: dict[str, list[Sample]] = {"Redis refuses": [], "Redis is silent": []}
    for _ in range(session.rounds):
        samples["Redis refuses"].append(_load(session, instance, "alone"))
        normal.append(_seconds(instance.ports["web"]))
        _pause_redis(instance, session.seconds + 2)
        first.append(_seconds(instance.ports["web"]))
        samples["Redis is silent"].append(_load(session, instance, "web"))
        instance.exec("cache", "redis-cli", "PING")  # it answers when the silence is over
        _seconds(instance.ports["web"])
    refused, silent = _latencies(samples)
    before, after = (
        Figure("a request, Redis answers", "s", tuple(normal)),
        Figure("the first in silence", "s", tuple(first)),
    )
    return Result(
        "silence",
        f"Redis is silent: GET /, {_CONNECTIONS} connections",
        (before, after, refused, silent, *(_rate(name, samples[name]) for name in samples)),
        (
            difference("the first request, beyond one before", Target(0.15, "at most", "s"), after, before),
            ratio("the p99 without Redis", Target(1.2, "at most"), silent, refused),
        ),
        _doubts(samples),
    )


def connections(session: Session) -> Result:
    """How visits grow with the number of those who make them."""
    return _scaling(
        session,
        "connections",
        "GET /, by connections",
        {
            f"connections: {number}": partial(_load, session, session.contenders, "web", connections=number)
            for number in (1, 8, 32, 128, 512)
        },
    )


def pages(session: Session) -> Result:
    """Visits of one page, and of a thousand."""
    return _scaling(
        session,
        "pages",
        f"POST /visits/page-N, {_CONNECTIONS} connections, by pages",
        {
            f"pages: {number}": partial(
                _load, session, session.contenders, "web", "/visits/page-", method="POST", pages=number
            )
            for number in (1, 1000)
        },
    )


def replicas(session: Session) -> Result:
    """Visits of one page through several replicas on one database."""
    return _scaling(
        session,
        "replicas",
        "GET /, 64 connections, by replicas of two processes",
        {f"replicas: {number}": partial(_replicas, session, number) for number in (1, 2, 4)},
    )


Measure = Callable[[], Sample]


def _interleaved(session: Session, measures: Mapping[str, Measure]) -> dict[str, list[Sample]]:
    """Each measurement once a round, after one that does not count."""
    for measure in measures.values():
        measure()
    samples: dict[str, list[Sample]] = {name: [] for name in measures}
    for _ in range(session.rounds):
        for name, measure in measures.items():
            samples[name].append(measure())
    return samples


def _scaling(session: Session, row: str, title: str, measures: Mapping[str, Measure]) -> Result:
    samples = _interleaved(session, measures)
    rates = tuple(_rate(name, samples[name]) for name in samples)
    return Result(row, title, rates + _latencies(samples), (), _doubts(samples))


def _load(
    session: Session,
    instance: Instance,
    app: str,
    path: str = "/",
    connections: int = _CONNECTIONS,
    method: str = "GET",
    pages: int = 1,
) -> Sample:
    return run(Load(instance.ports[app], path, connections, session.seconds, method, pages))


def _replicas(session: Session, number: int) -> Sample:
    ports = list(session.replicas.ports.values())[:number]
    return run(*(Load(port, "/", 64 // number, session.seconds) for port in ports))


def _pgbench(session: Session, instance: Instance) -> Sample:
    options = [
        "-n",
        "-c",
        str(_CONNECTIONS),
        "-j",
        "2",
        "-M",
        "prepared",
        "-T",
        str(session.seconds + 1),
    ]  # to connect takes it a part
    said = instance.exec("db", "pgbench", *options, "-f", "-", "-U", "student", "student_notes", text=_UPSERT)
    return parse_pgbench(said)


def parse_pgbench(said: str) -> Sample:
    """Its rate, and its average latency for want of percentiles."""
    rate, average = (
        re.search(r"^tps = ([\d.]+)", said, re.MULTILINE),
        re.search(r"^latency average = ([\d.]+)", said, re.M),
    )
    if rate is None or average is None:
        raise LoadFailed(f"pgbench did not say how it went: {said}")
    return Sample(float(rate[1]), float(average[1]) / 1000, float(average[1]) / 1000)


def _configure(instance: Instance, *statements: str) -> None:
    """Change the settings of the server, at once and for all connections."""
    _as_administrator(instance, *statements, "SELECT pg_reload_conf()")


def _as_administrator(instance: Instance, *statements: str) -> str:
    """Return what the server answers to what the declared user may not ask."""
    words = [word for statement in statements for word in ("-c", statement)]
    login = ("-U", "stackctl_admin", "-d", "postgres")
    return instance.exec("db", "psql", *login, "-qtAv", "ON_ERROR_STOP=1", *words)


def _pause_redis(instance: Instance, seconds: float) -> None:
    instance.exec("cache", "redis-cli", "CLIENT", "PAUSE", str(round(seconds * 1000)), "ALL")


def _seconds(port: int) -> float:
    """How long one visit takes."""
    began = time.perf_counter()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        answer.read()
    return time.perf_counter() - began


def _rate(name: str, samples: list[Sample]) -> Figure:
    return Figure(name, "/s", tuple(sample.rate for sample in samples))


def _latencies(samples: Mapping[str, list[Sample]]) -> tuple[Figure, ...]:
    return tuple(
        Figure(f"p99, {name}", "s", tuple(sample.p99 for sample in taken))
        for name, taken in samples.items()
        if name != "pgbench"
    )


def _doubts(samples: Mapping[str, list[Sample]]) -> tuple[str, ...]:
    doubtful = [name for name, taken in samples.items() if any(sample.client_was_busy for sample in taken)]
    return (_CLIENT_WAS_BUSY.format(", ".join(doubtful)),) if doubtful else ()


def _disk(session: Session, instance: Instance) -> tuple[str, ...]:
    """How long the disk under the database takes to keep something: no commit is faster."""
    folder = _as_administrator(instance, "SHOW data_directory").strip()
    if session.rounds == 1:
        return ()
    file = f"{folder}/pg_test_fsync.out"
    said = instance.exec("db", "sh", "-c", f"pg_test_fsync -s 1 -f '{file}'; rm -f '{file}'")
    found = re.search(r"^\s+fdatasync\s+[\d.]+ ops/sec\s+([\d.]+) usecs/op", said, re.MULTILINE)
    return (f"fdatasync of the disk under PostgreSQL: {float(found[1]) / 1000:.2f} ms",) if found else ()
