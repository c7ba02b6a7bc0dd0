"""Format text for people: colours, width, tables, paths. Pure."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from stack.frozen import dataclass

BOLD, DIM = "1", "2"
RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN = "31", "32", "33", "34", "35", "36"

# A command to type is never broken across lines.
_COMMAND = re.compile(r"`[^`\n]+`")
_NO_BREAK = "\xa0"
# Marks where a long word may be broken.
_JOINT = "\u2060"
# No column becomes narrower than this.
_NARROWEST = 4


@dataclass(frozen=True)
class Style:
    """The output's properties: `colour`, and `width` in columns (None in a file or a pipe: unlimited).

    `home` is written as `~`. `links`: the terminal supports OSC 8 hyperlinks. `seconds`: since the command began.
    `complete` adds the options that were typed to the commands in a text.
    """

    colour: bool = False
    width: int | None = None
    home: str = ""
    links: bool = False
    seconds: float | None = None
    complete: Callable[[str], str] = str

    def paint(self, text: str, colour: str | None) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colour and colour else text

    def url(self, url: str) -> str:
        """Emphasise a URL."""
        shown = self.paint(url, "1;4")
        return f"\x1b]8;;{url}\x1b\\{shown}\x1b]8;;\x1b\\" if self.links else shown

    def path(self, path: Path | str) -> str:
        """Abbreviate the home folder to `~`, so that the path can still be pasted into a shell."""
        text = str(path)
        if self.home.strip("/") and (text == self.home or text.startswith(f"{self.home}/")):
            return f"~{text[len(self.home) :]}"
        return text

    def paths(self, text: str) -> str:
        """Abbreviate the home folder in every path of a text."""
        return re.sub(rf"(?<![\w./~-]){re.escape(self.home)}(?=/)", "~", text) if self.home.strip("/") else text

    def took(self, seconds: float) -> str:
        """Format the duration of the whole command if it is known, else `seconds`."""
        return f"{self.seconds if self.seconds is not None else seconds:.1f} s"

    def wrapped(self, text: str, first: str = "", indent: str | None = None) -> str:
        """Wrap text at blanks, never inside a word or a `command`. The first line begins with `first`.

        The others begin with `indent`; its default is as wide as `first`.
        """
        blank, text = " " * width_of(first) if indent is None else indent, self.complete(text)
        before, *lines = [first + line if not number else blank + line for number, line in enumerate(text.split("\n"))]
        return "\n".join([self._broken(before, blank), *(self._broken(line, blank) for line in lines)])

    def _broken(self, line: str, indent: str) -> str:
        if self.width is None or width_of(line) <= self.width:
            return line
        kept = _COMMAND.sub(lambda found: found[0].replace(" ", _NO_BREAK), line)
        # textwrap drops leading blanks.
        front = line[: len(line) - len(line.lstrip())]
        room = max(20, self.width) - width_of(indent)
        kept = " ".join(_split(word, room) for word in kept.lstrip().split(" "))
        parts = textwrap.wrap(
            kept, max(20, self.width), initial_indent=front, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
        # A break that was not used loses its blank; the indent of a line is kept.
        joined = re.sub(rf"(?<=\S) {_JOINT}", "", "\n".join(parts))
        return joined.replace(_JOINT, "").replace(_NO_BREAK, " ")


def _split(word: str, room: int) -> str:
    """Let a path wider than a line break after a `/`; a command is never broken."""
    if width_of(word) <= room or _NO_BREAK in word or "`" in word:
        return word
    lines = [""]
    for part in re.split(r"(?<=/)", word):
        if lines[-1] and width_of(lines[-1] + part) > room - 2:
            lines.append("")
        lines[-1] += part
    return f" {_JOINT}".join(lines)


PLAIN = Style()


@dataclass(frozen=True)
class Column:
    """A column of a table. `right` aligns numbers. `least`: it may shrink to this width if space is short.

    `keeps`: which end of a shortened entry is kept; for paths, the end. `spare`: it is left out before an entry of
    another column is shortened, the one with the highest number first.
    """

    head: str
    right: bool = False
    least: int | None = None
    keeps: Literal["start", "end"] = "start"
    spare: int = 0


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    style: Style = PLAIN,
    colour: Callable[[str, str], str | None] = lambda head, entry: None,
    rule: bool = False,
) -> str:
    """Format a table within the width of the style, without trailing blanks.

    `colour` gives the colour of an entry under a head. `rule` draws a line between heads and entries.
    """
    columns, rows = _without_spare(columns, rows, style.width)
    widths = _fitted(columns, rows, style.width)
    heads = [column.head for column in columns]

    def line_of(row: Sequence[str], colours: Iterable[str | None]) -> str:
        cells = _cells(columns, row, widths)
        return "  ".join(_painted(cell, style, each) for cell, each in zip(cells, colours, strict=True)).rstrip()

    bodies = [line_of(row, [colour(head, entry) for head, entry in zip(heads, row, strict=True)]) for row in rows]
    ruled = ["  ".join(style.paint("─" * width, DIM) for width in widths)] if rule else []
    return "\n".join([line_of(heads, [BOLD] * len(heads)), *ruled, *bodies])


def _painted(cell: str, style: Style, colour: str | None) -> str:
    """Colour an entry, but not the blanks around it."""
    entry = cell.strip()
    return cell.replace(entry, style.paint(entry, colour), 1) if entry else cell


def _cells(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        padded(cut(cell, width, column.keeps), width, column.right, last=number == len(columns))
        for number, (column, cell, width) in enumerate(zip(columns, row, widths, strict=True), 1)
    ]


def _fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Compute column widths: the widest entry; if too wide, shrink columns with `least`, then the widest."""
    widths = _natural(columns, rows)
    if width is None:
        return widths
    over = _total(widths) - width
    for each in reversed(range(len(columns))):
        least = columns[each].least
        if least is not None and over > 0:
            given = min(over, max(0, widths[each] - least))
            widths[each] -= given
            over -= given
    while over > 0 and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
        over -= 1
    return widths


def _without_spare(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """Leave out spare columns until the others fit."""
    least = [
        natural if column.least is None else min(natural, column.least)
        for column, natural in zip(columns, _natural(columns, rows), strict=True)
    ]
    kept = [*range(len(columns))]
    for each in sorted(kept, key=lambda number: columns[number].spare, reverse=True):
        if columns[each].spare and width is not None and _total([least[number] for number in kept]) > width:
            kept.remove(each)
    return [columns[each] for each in kept], [[row[each] for each in kept] for row in rows]


def _natural(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the width of the widest entry of each column."""
    heads = [column.head for column in columns]
    return [max(width_of(line[each]) for line in (heads, *rows)) for each in range(len(columns))]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def padded(text: str, width: int, right: bool = False, last: bool = False) -> str:
    blanks = " " * max(0, width - width_of(text))
    return blanks + text if right else text if last else text + blanks


def cut(text: str, width: int, keeps: Literal["start", "end"] = "start") -> str:
    """Shorten plain text to a width, with `…` in place of the rest."""
    if width_of(text) <= width:
        return text
    letters: Iterable[str] = text if keeps == "start" else reversed(text)
    room, kept = max(0, width - 1), ""
    for letter in letters:
        room -= width_of(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept}…" if keeps == "start" else f"…{kept[::-1]}"


def width_of(text: str) -> int:
    """Return the number of columns that plain text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
