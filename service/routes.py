"""The routes of the HTTP API; `openapi.yaml` describes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from flask import Blueprint, Response, current_app, jsonify, request

from .counter import VisitCounter
from .health import Health
from .observability import Metrics
from .rendering import prefers_html, render_badge, render_json, render_page
from .store import HOMEPAGE, VisitCount

bp = Blueprint("counter", __name__)

_OPENAPI = Path(__file__).with_name("openapi.yaml").read_bytes()


@dataclass(frozen=True)
class AppState:
    """What the routes work with: the extension `visit_counter` of the application."""

    counter: VisitCounter
    health: Health
    metrics: Metrics


@bp.get("/")
def homepage() -> Response:
    """Count a visit and show it: a page to a browser, JSON to a program."""
    counted = _is_visit()
    count = _visit(HOMEPAGE) if counted else _read(HOMEPAGE)
    response = render_page(count, counted=counted) if prefers_html() else render_json(count)
    response.headers["Vary"] = "Accept"
    return response


@bp.get("/visits/<page>")
def read(page: str) -> Response:
    return render_json(_read(page))


@bp.post("/visits/<page>")
def visit(page: str) -> Response:
    return render_json(_visit(page))


@bp.get("/badge/<page>.svg")
def badge(page: str) -> Response:
    """Show the count as a picture, without counting."""
    return render_badge(_read(page))


@bp.get("/openapi.yaml")
def openapi() -> Response:
    """Describe the API to programs."""
    return Response(_OPENAPI, mimetype="application/yaml")


@bp.get("/health")
def health() -> Response:
    """Report readiness: 503 only if visits are refused."""
    report = _state().health.report()
    response = jsonify(report.as_dict())
    response.status_code = 503 if report.status == "fail" else 200
    response.mimetype = "application/health+json"
    return response


@bp.get("/livez")
def livez() -> Response:
    """Report liveness: this process answers, whatever PostgreSQL and Redis do."""
    return jsonify(status="pass")


@bp.get("/metrics")
def metrics() -> Response:
    return _state().metrics.render()


def _state() -> AppState:
    return cast(AppState, current_app.extensions["visit_counter"])


def _is_visit() -> bool:
    """Whether a user sees the response: neither a HEAD nor a browser's prefetch is a visit."""
    purpose = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or ""
    return request.method != "HEAD" and not purpose.startswith("prefetch")


def _visit(page: str) -> VisitCount:
    state = _state()
    count = state.counter.visit(page)
    state.metrics.record_lookup(count)
    return count


def _read(page: str) -> VisitCount:
    state = _state()
    count = state.counter.read(page)
    state.metrics.record_lookup(count)
    return count
