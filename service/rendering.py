"""Render a count for its reader: an HTML page for browsers, JSON for programs, an SVG badge for other sites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from flask import Response, render_template, request
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from .store import Result, VisitCount

_OFFERS = ("application/json", "text/html")

# Flask's own function makes an encoder for every response.
_encode = json.JSONEncoder(separators=(",", ":")).encode

# Short: a badge is requested often and its count changes; a proxy can still serve most of the requests.
_BADGE_MAX_AGE = 10
_DIGIT_WIDTH, _COMMA_WIDTH = 7, 4
_LABEL_WIDTH = 44
_BADGE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="visits: {count}">
<title>visits: {count}</title>
<rect width="{width}" height="20" rx="4" fill="#3b4048"/>
<path d="M{label} 0h{right}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4h-{right}z" fill="#1558c0"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{label_middle}" y="14">visits</text><text x="{count_middle}" y="14">{count}</text>
</g>
</svg>
"""


@dataclass(frozen=True)
class Leg:
    """The line from the app to one server: `used`, `asked` (it had nothing), `failed` or `idle`, and its label."""

    state: str
    word: str = ""

    @property
    def health(self) -> str:
        """The status of the server that follows, in the words of /health."""
        return {"used": "pass", "asked": "pass", "failed": "fail"}.get(self.state, "unknown")


@dataclass(frozen=True)
class DataPath:
    """Where a count came from: the two legs, and a sentence that describes them."""

    source: str
    cache: Leg
    database: Leg
    text: str

    @property
    def health(self) -> str:
        """The status of the app that follows: without PostgreSQL it answers and counts nothing."""
        return "warn" if self.database.state == "failed" else "pass"


_CACHE = {
    Result.HIT: (Leg("used", "hit"), "Redis had the count"),
    Result.MISS: (Leg("asked", "miss"), "Redis did not have the count; PostgreSQL gave it"),
    Result.ERROR: (Leg("failed", "no answer"), "Redis did not answer; PostgreSQL gave the count"),
    Result.BYPASS: (Leg("failed", "not asked"), "Redis just failed and was not asked; PostgreSQL gave the count"),
}


def prefers_html() -> bool:
    """Whether the client prefers a page, as browsers do; a program that names no type gets JSON."""
    return _prefers_html(request.headers.get("Accept", ""))


@lru_cache(maxsize=256)
def _prefers_html(accept: str) -> bool:
    return parse_accept_header(accept, MIMEAccept).best_match(_OFFERS) == "text/html"


def render_json(count: VisitCount) -> Response:
    members: dict[str, object] = {"page": count.page, "source": count.source, "visits": count.visits}
    if count.stale:
        members["stale"] = True
    return _with_cache_status(Response(_encode(members), mimetype="application/json"), count)


def render_page(count: VisitCount, *, counted: bool) -> Response:
    """Render the page of a count. Not `counted`: it was only read, as for a browser that prefetches."""
    said = f"Yours is number {count.visits:,}, committed in PostgreSQL." if counted else "This view was not counted."
    trouble = "PostgreSQL cannot be reached: the number may be behind." if count.stale else ""
    html = _render_template(count.visits, _data_path(count, counted), said, trouble)
    return _with_cache_status(Response(html), count)


def render_problem_page(problem: Mapping[str, object]) -> str:
    """Render the page of a visit that was refused or has no known outcome. `problem` has the members of RFC 9457."""
    known = problem.get("last_known")
    cache, redis = (Leg("idle"), "could not tell") if known is None else (Leg("used", "hit"), "had a copy of")
    path = DataPath("none", cache, Leg("failed", "no answer"), f"PostgreSQL did not answer; Redis {redis} the count.")
    return _render_template(known, path, "", f"{problem['title']}. {problem['detail']}")


def render_badge(count: VisitCount) -> Response:
    """Render the badge of a count, which any site may embed; 304 if the client has it already."""
    response = Response(_draw_badge(count.visits), mimetype="image/svg+xml")
    response.set_etag(sha256(response.get_data()).hexdigest()[:16])
    response.headers["Cache-Control"] = f"public, max-age={_BADGE_MAX_AGE}"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.make_conditional(request)
    return response


def _draw_badge(visits: int) -> str:
    text = f"{visits:,}"
    commas = text.count(",")
    right = (len(text) - commas) * _DIGIT_WIDTH + commas * _COMMA_WIDTH + 12
    return _BADGE.format(
        count=text, width=_LABEL_WIDTH + right, label=_LABEL_WIDTH, right=right - 4,
        label_middle=_LABEL_WIDTH / 2, count_middle=_LABEL_WIDTH + right / 2,
    )  # fmt: skip


def _data_path(count: VisitCount, counted: bool) -> DataPath:
    if count.stale:
        text = "Redis had a copy of the count; PostgreSQL did not answer."
        return DataPath("cache", Leg("used", "hit"), Leg("failed", "no answer"), text)
    cache, text = _CACHE[count.result]
    if count.result is Result.HIT and count.source == "database":
        cache, text = Leg("asked", "old"), "Redis had an old count; PostgreSQL gave it"
    if counted:
        return DataPath(count.source, cache, Leg("used", "commit"), f"{text}. The visit was committed in PostgreSQL.")
    database = Leg("used", "read") if count.source == "database" else Leg("idle")
    return DataPath(count.source, cache, database, f"{text}.")


def _render_template(visits: object, path: DataPath, said: str, trouble: str) -> str:
    return render_template("page.html", visits=visits, path=path, said=said, trouble=trouble, old=bool(trouble))


def _with_cache_status(response: Response, count: VisitCount) -> Response:
    response.headers["Cache-Status"] = f"redis; {_cache_status(count)}"
    return response


def _cache_status(count: VisitCount) -> str:
    """Describe how Redis took part, in the terms of RFC 9211."""
    if count.stale:
        return 'hit; detail="stale"'
    if count.source == "cache":
        return "hit"
    status = {
        Result.HIT: "fwd=stale",
        Result.MISS: "fwd=miss",
        Result.ERROR: 'fwd=miss; detail="error"',
        Result.BYPASS: 'fwd=bypass; detail="breaker-open"',
    }[count.result]
    return f"{status}; stored" if count.stored else status
