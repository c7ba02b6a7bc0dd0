"""What was measured, as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.figures import Comparison, Figure, Result


def table(results: Sequence[Result]) -> str:
    """All rows, each with its figures, its targets and its notes."""
    return "\n\n".join(_row(result) for result in results)


def as_json(results: Sequence[Result], about: dict[str, Any]) -> str:
    """All that the table says and each single round. `about` says where and how it was measured."""
    rows = [
        asdict(result)
        | {
            "figures": [asdict(each) | {"median": each.median, "spread": each.spread} for each in result.figures],
            "comparisons": [
                asdict(each) | {"median": each.median, "met": each.met, "verdict": each.verdict}
                for each in result.comparisons
            ],
        }
        for result in results
    ]
    return json.dumps({"schema": 1, "about": about, "rows": rows}, indent=2, ensure_ascii=False) + "\n"


def amount(figure: Figure) -> str:
    """The median with its unit."""
    if figure.unit == "/s":
        return f"{figure.median:,.0f}/s"
    if figure.unit in ("MB/s", "MB"):
        return f"{figure.median:,.1f} {figure.unit}"
    return f"{figure.median * 1000:,.1f} ms"


def compared(comparison: Comparison) -> str:
    """What was found, and what it had to be."""
    value = f"{comparison.median:.2f} {comparison.target.unit}"
    return f"{value} {comparison.name} ({comparison.target}): {comparison.verdict}"


def _row(result: Result) -> str:
    wide = max(len(figure.name) for figure in result.figures)
    lines = [f"{result.row}: {result.title}"]
    lines += [f"  {each.name:<{wide}}  {amount(each):>12}  ± {each.spread / 2:.0%}" for each in result.figures]
    lines += [f"  {'✓' if each.met else '✗'} {compared(each)}" for each in result.comparisons]
    lines += [f"  note: {note}" for note in result.notes]
    return "\n".join(lines)
