"""A count as a small picture, to be shown in other people's pages."""

from __future__ import annotations

from hashlib import sha256

from flask import Response, request

from .store import Answer

# Short: a badge is looked at often and the count moves; a proxy may still save most of the requests.
_MAX_AGE = 10
_DIGIT, _COMMA = 7, 4
_LABEL = 44

_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="visits: {count}">
<title>visits: {count}</title>
<rect width="{width}" height="20" rx="4" fill="#3b4048"/>
<path d="M{label} 0h{right}a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4h-{right}z" fill="#1558c0"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{label_middle}" y="14">visits</text><text x="{count_middle}" y="14">{count}</text>
</g>
</svg>
"""


def badge(answer: Answer) -> Response:
    """The badge of a count: 304 where the client has it already. Any page may show it."""
    response = Response(draw(answer.visits), mimetype="image/svg+xml")
    response.set_etag(sha256(response.get_data()).hexdigest()[:16])
    response.headers["Cache-Control"] = f"public, max-age={_MAX_AGE}"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.make_conditional(request)
    return response


def draw(count: int) -> str:
    text = f"{count:,}"
    commas = text.count(",")
    right = (len(text) - commas) * _DIGIT + commas * _COMMA + 12
    return _SVG.format(
        count=text, width=_LABEL + right, label=_LABEL, right=right - 4,
        label_middle=_LABEL / 2, count_middle=_LABEL + right / 2,
    )  # fmt: skip
