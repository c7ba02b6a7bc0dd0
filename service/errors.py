"""What can go wrong with a request, and how it is told: problem details as RFC 9457 has them."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from .counter import InvalidPage
from .middleware import request_id
from .negotiation import html_wanted
from .page import problem_page
from .store import DatabaseUnavailable, OutcomeUnknown

RETRY_AFTER = 1  # seconds: about the time in which a restarted PostgreSQL is found again


def init_app(app: Flask) -> None:
    """Answer every error of `app` with a problem; those of `/` with a page for a browser."""
    app.register_error_handler(DatabaseUnavailable, database_unavailable)
    app.register_error_handler(OutcomeUnknown, outcome_unknown)
    app.register_error_handler(InvalidPage, invalid_page)
    app.register_error_handler(HTTPException, http_error)


def database_unavailable(error: DatabaseUnavailable) -> Response:
    """Nothing was counted and asking again is safe, so the answer says when."""
    response = problem(
        503,
        "The database is unavailable",
        "PostgreSQL cannot be asked now. Nothing was counted; try again.",
        kind="database-unavailable",
        last_known=error.last_known,
    )
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def outcome_unknown(error: OutcomeUnknown) -> Response:
    """No Retry-After: a client that repeated the request by itself could count the visit twice."""
    return problem(
        503,
        "The visit may or may not have been counted",
        "The connection to PostgreSQL was lost while the visit was being committed. It is not repeated.",
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
    """A response with the members of RFC 9457, and `last_known`, the count Redis has, where there is one."""
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
    if status == 503 and request.path == "/" and html_wanted():
        return Response(problem_page(members), status)
    response = jsonify(members)
    response.status_code = status
    response.mimetype = "application/problem+json"
    return response
