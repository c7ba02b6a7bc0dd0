"""What Prometheus is told. With several workers each writes its share to files that /metrics adds up."""

from __future__ import annotations

import os

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from .store import Answer, Result

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})


class Metrics:
    """The metrics of one application in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._visits = Counter("visits", "Visits that were committed.", registry=self._registry)
        self._batches = Histogram(
            "visit_batch_size",
            "How many visits shared a transaction.",
            registry=self._registry,
            buckets=_SIZES,
        )
        self._commits = Histogram(
            "visit_commit_duration_seconds",
            "How long the transaction of a batch of visits took.",
            registry=self._registry,
            buckets=_SECONDS,
        )
        lookups = Counter(
            "cache_requests", "Look-ups in Redis that a count was answered with.", ["result"], registry=self._registry
        )
        # To find a child by its labels costs more than to count with it.
        self._lookups = {result: lookups.labels(result.value) for result in Result}
        self._breakers = Gauge(
            "breaker_open",
            "Whether a worker has given up asking the database or the cache: 1 if so.",
            ["dependency"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self._durations = Histogram(
            "http_request_duration_seconds",
            "How long requests took.",
            ["method", "route", "status"],
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._durations_of: dict[tuple[str, str, str], Histogram] = {}

    def committed(self, visits: int, seconds: float) -> None:
        """A batch of visits."""
        self._visits.inc(visits)
        self._batches.observe(visits)
        self._commits.observe(seconds)

    def looked_up(self, answer: Answer) -> None:
        self._lookups[answer.result].inc()

    def breaker(self, dependency: str, is_open: bool) -> None:
        self._breakers.labels(dependency).set(is_open)

    def render(self) -> Response:
        """All metrics as text, summed over the workers where there are several."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    def answered(self, method: str, route: str, status: str, seconds: float) -> None:
        """A request. Methods that a client makes up are counted as one."""
        labels = (method if method in _METHODS else "other", route, status)
        duration = self._durations_of.get(labels)
        if duration is None:
            duration = self._durations_of[labels] = self._durations.labels(*labels)
        duration.observe(seconds)
