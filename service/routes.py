"""What can be asked over HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, current_app, jsonify

from .badge import badge as draw_badge
from .counter import HOMEPAGE, Counter
from .health import Health
from .metrics import Metrics
from .negotiation import html_wanted, is_visit
from .page import page as draw_page
from .store import Answer, Result

bp = Blueprint("counter", __name__)

_OPENAPI = Path(__file__).with_name("openapi.yaml").read_bytes()

# Flask's own makes an encoder for every answer.
_encode = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True)
class Parts:
    """What the routes work with. An application has it as its extension `visit_counter`."""

    counter: Counter
    health: Health
    metrics: Metrics


@bp.get("/")
def homepage() -> Response:
    """Count a visit and show it: a page to a browser, JSON to a program."""
    counted = is_visit()
    answer = _visit(HOMEPAGE) if counted else _read(HOMEPAGE)
    response = _html(answer, counted) if html_wanted() else _json(answer)
    response.headers["Vary"] = "Accept"
    return response


@bp.get("/visits/<page>")
def read(page: str) -> Response:
    return _json(_read(page))


@bp.post("/visits/<page>")
def visit(page: str) -> Response:
    return _json(_visit(page))


@bp.get("/badge/<page>.svg")
def badge(page: str) -> Response:
    """A picture of the count; it counts nothing."""
    return draw_badge(_read(page))


@bp.get("/openapi.yaml")
def openapi() -> Response:
    """What can be asked, for programs."""
    return Response(_OPENAPI, mimetype="application/yaml")


@bp.get("/health")
def health() -> Response:
    """Readiness: 503 only if visits are refused."""
    report = _parts().health.report()
    response = jsonify(report.as_dict())
    response.status_code = 503 if report.status == "fail" else 200
    response.mimetype = "application/health+json"
    return response


@bp.get("/livez")
def livez() -> Response:
    """Liveness: this process answers, whatever the others do."""
    return jsonify(status="pass")


@bp.get("/metrics")
def metrics() -> Response:
    return _parts().metrics.render()


def _parts() -> Parts:
    return cast(Parts, current_app.extensions["visit_counter"])


def _visit(page: str) -> Answer:
    parts = _parts()
    answer = parts.counter.visit(page)
    parts.metrics.looked_up(answer)
    return answer


def _read(page: str) -> Answer:
    parts = _parts()
    answer = parts.counter.read(page)
    parts.metrics.looked_up(answer)
    return answer


def _html(answer: Answer, counted: bool) -> Response:
    return _with_cache_status(Response(draw_page(answer, counted=counted)), answer)


def _json(answer: Answer) -> Response:
    members: dict[str, object] = {"page": answer.page, "source": answer.source, "visits": answer.visits}
    if answer.stale:
        members["stale"] = True
    return _with_cache_status(Response(_encode(members), mimetype="application/json"), answer)


def _with_cache_status(response: Response, answer: Answer) -> Response:
    response.headers["Cache-Status"] = f"redis; {_cache_status(answer)}"
    return response


def _cache_status(answer: Answer) -> str:
    """How Redis took part, in the words of RFC 9211."""
    if answer.stale:
        return 'hit; detail="stale"'
    if answer.source == "cache":
        return "hit"
    status = {
        Result.HIT: "fwd=stale",
        Result.MISS: "fwd=miss",
        Result.ERROR: 'fwd=miss; detail="error"',
        Result.BYPASS: 'fwd=bypass; detail="breaker-open"',
    }[answer.result]
    return f"{status}; stored" if answer.stored else status
