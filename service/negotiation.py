"""What a request asks for, read from its headers."""

from __future__ import annotations

from functools import lru_cache

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

_OFFERS = ("application/json", "text/html")


def html_wanted() -> bool:
    """Whether the client prefers a page, as browsers do; a program that names nothing gets JSON."""
    return _prefers_html(request.headers.get("Accept", ""))


def is_visit() -> bool:
    """Whether somebody is looking: neither a HEAD nor what a browser fetches ahead of its user."""
    purpose = request.headers.get("Sec-Purpose") or request.headers.get("Purpose") or ""
    return request.method != "HEAD" and not purpose.startswith("prefetch")


@lru_cache(maxsize=256)
def _prefers_html(accept: str) -> bool:
    return parse_accept_header(accept, MIMEAccept).best_match(_OFFERS) == "text/html"
