"""Format what `diff` found for people: a line for each part of a schema and each row that differs."""

from __future__ import annotations

from collections.abc import Iterator

from stack.controls import visible
from stack.report import count
from stack.results.differences import (
    Change,
    ComponentDifference,
    ContentDifference,
    DiffResult,
    ItemDifference,
    SchemaDifference,
)
from stack.style import BOLD, GREEN, RED, YELLOW, Style, cut

_MARKS: dict[Change, tuple[str, str]] = {"added": ("+", GREEN), "removed": ("-", RED), "changed": ("~", YELLOW)}
# A definition or value of more letters is shortened; --json has all of it.
_MOST = 80


def diff_lines(result: DiffResult, style: Style) -> Iterator[str]:
    """Yield the lines: what is compared, then each component that differs."""
    if result.same:
        yield style.wrapped(f"{result.before} and {result.after} hold the same data")
    else:
        yield style.wrapped(f"from {result.before} to {result.after}:")
    for name, each in result.components.items():
        yield ""
        yield style.paint(name, BOLD)
        yield from _component(result, each, style)


def _component(result: DiffResult, found: ComponentDifference, style: Style) -> Iterator[str]:
    if found.only is not None:
        there = result.before if found.only == "before" else result.after
        yield f"  only {there} has data of it"
    for part in found.schema:
        yield _painted(part.change, f"{part.kind} {_in_database(part.database, part.name, found)}{_how(part)}", style)
    for content in found.contents:
        yield from _content(content, found, style)
    for notice in found.notices:
        yield style.wrapped(notice, "  note: ", "    ")


def _in_database(database: str, name: str, found: ComponentDifference) -> str:
    """Return a name with that of its database, if there are differences in several."""
    several = len({each.database for each in found.schema} | {each.group for each in found.contents}) > 1
    return visible(f"{database}: {name}" if several and name != database else name)


def _how(part: SchemaDifference) -> str:
    if part.change == "changed":
        return f": {_short(part.before or '')} → {_short(part.after or '')}"
    definition = part.after if part.change == "added" else part.before
    return f": {_short(definition)}" if definition else ""


def _content(content: ContentDifference, found: ComponentDifference, style: Style) -> Iterator[str]:
    amounts: list[tuple[Change, int]] = [
        ("added", content.added), ("removed", content.removed), ("changed", content.changed),
    ]  # fmt: skip
    told = ", ".join(f"{count(amount, content.kind)} {change}" for change, amount in amounts if amount)
    if content.kind == "key":
        where = f"database {content.group}"
    else:
        where = _in_database(content.group, content.name, found) if content.name else visible(content.group)
    yield f"  {where}: {told}" if where else f"  {told}"
    for item in content.items:
        yield "  " + _painted(item.change, _item(item, content.kind), style)
    left = sum(amount for _, amount in amounts) - len(content.items)
    if content.items and left > 0:
        yield f"    … {left} more; `--limit` shows them"


def _item(item: ItemDifference, kind: str) -> str:
    key = ", ".join(f"{name}={value}" if kind == "row" else value for name, value in item.key.items())
    was, now = item.before or {}, item.after or {}
    if item.change == "changed":
        parts = [
            f"{visible(each)}: {_value(was[each])} → {_value(now[each])}" if each in was else visible(each)
            for each in item.columns
        ]
    else:
        parts = [f"{visible(name)}={_value(value)}" for name, value in {**was, **now}.items() if name not in item.key]
    return ": ".join(filter(None, [visible(key), ", ".join(parts)]))


def _value(value: str | None) -> str:
    return "NULL" if value is None else cut(visible(value), _MOST)


def _short(definition: str) -> str:
    return cut(visible(" ".join(definition.split())), _MOST)


def _painted(change: Change, text: str, style: Style) -> str:
    mark, colour = _MARKS[change]
    return style.paint(style.wrapped(text, f"  {mark} ", "      "), colour)
