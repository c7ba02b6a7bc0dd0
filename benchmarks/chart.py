"""The figures as bars: one SVG that reads in the light and in the dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.figures import Figure, Result
from benchmarks.report import amount, compared

_WIDTH = 760
_LABEL = 200  # where the bars begin
_BAR = 430  # how long the longest is
_LINE = 20

_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .bar { fill: #2f6fbb } .late { fill: #9a6700 }
.met { fill: #1a7f37 } .missed { fill: #b42318 } .spread { stroke: #1f2328; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #4c8ddb } .late { fill: #d29922 }
  .met { fill: #3fb950 } .missed { fill: #f85149 } .spread { stroke: #e6edf3 }
}
"""


def chart(results: Sequence[Result], caption: str) -> str:
    """The text of the SVG. The caption says where and how it was measured."""
    drawn: list[str] = []
    y = 10
    for result in results:
        y += _LINE
        drawn.append(_text(10, y, f"{result.row}: {result.title}", "title"))
        for figures in _groups(result):
            longest = max(max(figure.values) for figure in figures)
            for figure in figures:
                y += _LINE
                drawn.append(_bar(y, figure, longest))
        for comparison in result.comparisons:
            y += _LINE
            drawn.append(_text(_LABEL, y, compared(comparison), "met" if comparison.met else "missed"))
        y += _LINE // 2
    y += _LINE
    drawn.append(_text(10, y, caption))
    height = y + _LINE
    words = "; ".join(compared(comparison) for result in results for comparison in result.comparisons)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(words or "figures of a benchmark")}">\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def _groups(result: Result) -> list[list[Figure]]:
    """Those of one unit share a scale."""
    groups = [[figure for figure in result.figures if figure.unit == unit] for unit in ("/s", "MB/s", "s")]
    return [group for group in groups if group]


def _bar(y: int, figure: Figure, longest: float) -> str:
    scale = _BAR / longest
    low, high = (_LABEL + scale * value for value in (min(figure.values), max(figure.values)))
    length = scale * figure.median
    kind = "late" if figure.unit == "s" else "bar"
    return "\n".join(
        [
            _text(10, y, figure.name),
            f'<rect class="{kind}" x="{_LABEL}" y="{y - 11}" width="{length:.1f}" height="13" rx="2"/>',
            f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" y1="{y - 4.5}" y2="{y - 4.5}"/>',
            _text(max(high, _LABEL + length) + 8, y, amount(figure)),
        ]
    )


def _text(x: float, y: float, words: str, kind: str = "") -> str:
    return f'<text x="{x:.0f}" y="{y}" class="{kind}">{escape(words)}</text>'
