"""What operators see of a process: metrics for Prometheus, and one JSON object per log line."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any

import prometheus_client
from flask import Response, has_request_context
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from .middleware import request_id
from .store import Result, VisitCount

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})


class Metrics:
    """The metrics of one application in one process. Several workers write theirs to files that /metrics adds up."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._visits = prometheus_client.Counter("visits", "Visits that were committed.", registry=self._registry)
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
        lookups = prometheus_client.Counter(
            "cache_requests", "Look-ups in Redis, one per count that was served.", ["result"], registry=self._registry
        )
        # Finding a child by its labels costs more than counting with it.
        self._lookups = {result: lookups.labels(result.value) for result in Result}
        self._breakers = Gauge(
            "breaker_open",
            "Whether a worker has stopped querying the database or the cache: 1 if so.",
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

    def record_commit(self, visits: int, seconds: float) -> None:
        """Record a batch of visits."""
        self._visits.inc(visits)
        self._batches.observe(visits)
        self._commits.observe(seconds)

    def record_lookup(self, count: VisitCount) -> None:
        self._lookups[count.result].inc()

    def set_breaker(self, dependency: str, is_open: bool) -> None:
        self._breakers.labels(dependency).set(is_open)

    def record_response(self, method: str, route: str, status: str, seconds: float) -> None:
        """Record a request. Methods that a client makes up share one label."""
        labels = (method if method in _METHODS else "other", route, status)
        duration = self._durations_of.get(labels)
        if duration is None:
            duration = self._durations_of[labels] = self._durations.labels(*labels)
        duration.observe(seconds)

    def render(self) -> Response:
        """Return all metrics as text, summed over the workers if there are several."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(prometheus_client.generate_latest(registry), content_type=prometheus_client.CONTENT_TYPE_LATEST)


class JsonFormatter(logging.Formatter):
    """Formats a record as time, level, logger, process, message and, within a request, its request_id.

    A traceback is a member of the object and not more lines.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if has_request_context():
            line["request_id"] = request_id()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
