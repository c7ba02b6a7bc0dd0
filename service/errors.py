"""Turn what can go wrong with a request into a response: problem details as in RFC 9457."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from .counter import InvalidPage
from .middleware import request_id
from .rendering import prefers_html, render_problem_page
from .store import DatabaseUnavailable, OutcomeUnknown

RETRY_AFTER = 1  # seconds: about the time after which a restarted PostgreSQL is in use again


def init_app(app: Flask) -> None:
    """Respond to every error of `app` with a problem; to those of `/` with a page if the client is a browser."""
    app.register_error_handler(DatabaseUnavailable, database_unavailable)
    app.register_error_handler(OutcomeUnknown, outcome_unknown)
    app.register_error_handler(InvalidPage, invalid_page)
    app.register_error_handler(HTTPException, http_error)


def database_unavailable(error: DatabaseUnavailable) -> Response:
    """Say when to retry: nothing was counted, so that is safe."""
    response = problem(
        503,
        "The database is unavailable",
        "PostgreSQL cannot be reached. Nothing was counted; try again.",
        kind="database-unavailable",
        last_known=error.last_known,
    )
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def outcome_unknown(error: OutcomeUnknown) -> Response:
    """Send no Retry-After: a client that repeated the request by itself could count the visit twice."""
    return problem(
        503,
        "The visit may or may not have been counted",
        "The connection to PostgreSQL was lost while the visit was being committed. It was not retried.",
        kind="outcome-unknown",
        last_known=error.last_known,
    )


def invalid_page(error: InvalidPage) -> Response:
    return problem(400, "Not a page name", str(error), kind="invalid-page")


def http_error(error: HTTPException) -> Response:
    status = error.code or 500
    response = problem(status, error.name, error.description or error.name)
    for name, value in error.get_headers():
        if name != "Content-Type":
            response.headers[name] = value
    return response


def problem(
    status: int, title: str, detail: str, *, kind: str | None = None, last_known: int | None = None
) -> Response:
    """Return a response with the members of RFC 9457 and, if Redis has the count, `last_known`."""
    members: dict[str, object] = {
        "type": f"urn:problem-type:{kind}" if kind else "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "request_id": request_id(),
    }
    if last_known is not None:
        members["last_known"] = last_known
    if status == 503 and request.path == "/" and prefers_html():
        return Response(render_problem_page(members), status)
    response = jsonify(members)
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response
