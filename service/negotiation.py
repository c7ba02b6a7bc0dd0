"""What a request asks for, read from its headers."""

from __future__ import annotations

from flask import request

_OFFERS = ("application/json", "text/html")


def html_wanted() -> bool:
    """Whether the client prefers a page, as browsers do; a program that names nothing gets JSON."""
    return request.accept_mimetypes.best_match(_OFFERS) == "text/html"


def is_visit() -> bool:
    """Whether somebody is looking: neither a HEAD nor what a browser fetches ahead of its user."""
    purpose = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or ""
    return request.method != "HEAD" and not purpose.startswith("prefetch")
