"""Split SQL into statements while streaming, and refuse everything else. Pure, on bytes.

The syntax is that of PostgreSQL with `standard_conforming_strings = on`.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator

from stack.frozen import dataclass

_WORD = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*"
_TOKEN = re.compile(
    rb"(?P<space>\s+)"
    rb"|(?P<line>--[^\r\n]*)"
    rb"|(?P<block>/\*)"
    rb"|(?P<escaped>[eE]')"
    rb"|(?P<string>')"
    rb'|(?P<quoted>")'
    rb"|(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)"
    rb"|(?P<word>" + _WORD + rb")"
    rb"|(?P<end>;)"
    rb"|(?P<open>\()"
    rb"|(?P<close>\))"
    rb"|(?P<meta>\\[^\s;]*)"
    rb"|(?P<other>[0-9][A-Za-z0-9_.$]*|\$[0-9]+|[^\s\w'\"$;()\\/\-\x80-\xff]+|.)",
    re.DOTALL,
)
_COMMENT_EDGE = re.compile(rb"/\*|\*/")
# The end of an E'…' string: a quote that neither a backslash nor a second quote escapes.
_ESCAPED_END = re.compile(rb"(?:[^'\\]++|\\.|'')*+'", re.DOTALL)
_QUOTED = rb'"(?:[^"]|"")+"'
_NAME = rb"(?:" + _QUOTED + rb"|" + _WORD + rb")"
_COPY_IN = re.compile(
    rb"COPY\s*" + _NAME + rb"(?:\s*\.\s*" + _NAME + rb")*\s*"
    rb"(?:\((?:" + _QUOTED + rb"|[^()\"])*\)\s*)?FROM\s+STDIN\b",
    re.IGNORECASE,
)
# No COPY statement is longer than this before its data.
_LONGEST_COPY = 2**18
_OF_TRANSACTIONS = {b"begin", b"start", b"commit", b"end", b"rollback", b"abort", b"prepare"}
WHY_WHOLE = "the whole file is one transaction already"
_PSQL = "psql commands are not run, because a file is data"


class Refused(Exception):
    """A file contains something that is not run: the line, what it is, and why."""

    def __init__(self, line: int, what: str, why: str) -> None:
        super().__init__(f"line {line}: {what}: {why}")


@dataclass(frozen=True)
class Piece:
    """A part of a file: the `begin`, `text` or `end` of a statement, the `data` of a COPY, or `lines` in between."""

    kind: str
    text: bytes = b""


def pieces(source: Iterable[bytes], why: str = WHY_WHOLE) -> Iterator[Piece]:
    """Read a file in pieces.

    Raises `Refused` for a psql command, for an end of file inside a statement, and for a statement that begins or ends
    a transaction; `why` is the reason given for the latter.
    """
    reader = _Reader(why)
    for number, block in enumerate(_blocks(source)):
        yield from reader.read(block.removeprefix(BOM_UTF8) if number == 0 else block)
    yield from reader.finish()


def _blocks(source: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks again, cut at line ends: only a long token reaches across two."""
    waiting: list[bytes] = []
    for chunk in source:
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield b"".join([*waiting, chunk[:cut]])
            waiting = []
        waiting.append(chunk[cut:])
    if rest := b"".join(waiting):
        yield rest


class _Reader:
    """The position in a file. `inside` is the kind of long token that continues in the next block."""

    def __init__(self, why: str) -> None:
        self.why = why
        self.line = 1
        self.inside = ""
        self.delimiter = b""
        self.depth = 0
        self._reset()

    def _reset(self) -> None:
        self.started = False
        self.words: list[bytes] = []
        self.last_word = b""
        self.parentheses = 0
        self.bodies = 0
        self.text = b""
        self.first_line = self.line
        # A string on the line after an E'…' string continues it.
        self.continues = ""

    def read(self, block: bytes) -> Iterator[Piece]:
        if b"\0" in block:
            raise Refused(self.line + block.count(b"\n", 0, block.index(b"\0")), "a NUL byte", "text can't contain one")
        position = 0
        while position < len(block):
            if self.inside == "copy":
                position, piece = self._copied(block, position)
                yield piece
            elif self.inside:
                comment = self.inside == "comment"
                end = self._end_of_long(block, position)
                yield from self._passed(block[position:end], comment)
                position = end
            else:
                found = _TOKEN.match(block, position)
                assert found is not None  # noqa: S101 - the last alternative matches anything
                yield from self._token(found.lastgroup or "", found[0])
                position = found.end()

    def finish(self) -> Iterator[Piece]:
        if self.inside not in ("", "line-end") or self.parentheses > 0 or self.bodies > 0:
            raise Refused(self.first_line, "a statement", "the file ends in the middle of it")
        if self.started:
            yield from self._ended()
        if self.inside == "line-end":
            raise Refused(self.line, "COPY", "its data is missing")

    def _token(self, kind: str, text: bytes) -> Iterator[Piece]:
        if kind in ("space", "line", "block"):
            if kind == "block":
                self.inside, self.depth = "comment", 1
            if self.continues == "escaped" and b"\n" in text:
                self.continues = "escaped, on another line"
            yield from self._passed(text, comment=kind != "space")
            return
        if kind == "end" and self.parentheses <= 0 and self.bodies <= 0:
            yield from self._ended() if self.started else ()
            return
        if kind == "meta":
            yield from self._meta(text)
            return
        if not self.started:
            self.started, self.first_line = True, self.line
            yield Piece("begin")
        continued = self.continues == "escaped, on another line" and kind == "string"
        self.continues = ""
        match kind:
            case "word":
                self._word(text.lower())
            case "open":
                self.parentheses += 1
            case "close":
                self.parentheses -= 1
            case "escaped" | "string" | "quoted":
                self.inside = "escaped" if continued else kind
            case "dollar":
                self.inside, self.delimiter = kind, text
        yield from self._passed(text)

    def _word(self, word: bytes) -> None:
        if len(self.words) < 3:
            self.words.append(word)
            self._check_transaction()
        if word == b"off" and self.words[0] == b"set" and b"standard_conforming_strings" in self.words:
            raise Refused(self.line, "SET standard_conforming_strings = off", "files are read with it on")
        # The body of a function in SQL: `BEGIN ATOMIC …; …; END`, in which only CASE has an END of its own.
        if self.words[0] == b"create":
            if word == b"atomic" and self.last_word == b"begin":
                self.bodies = 1
            elif self.bodies and word in (b"case", b"end"):
                self.bodies += 1 if word == b"case" else -1
        self.last_word = word

    def _check_transaction(self) -> None:
        first, *following = self.words
        if first not in _OF_TRANSACTIONS or (first in (b"start", b"prepare") and following != [b"transaction"]):
            return
        # ROLLBACK TO shows only in the second or third word: it is checked at the end of the statement.
        if first != b"rollback":
            raise self._transaction()

    def _transaction(self) -> Refused:
        what = b" ".join(self.words).decode(errors="replace").upper()
        return Refused(self.first_line, what, f"{self.why}; remove it")

    def _meta(self, text: bytes) -> Iterator[Piece]:
        command = text.decode(errors="replace")
        if text in (rb"\restrict", rb"\unrestrict") and not self.started:
            # pg_dump writes these around its statements, to refuse what is refused here.
            self.inside = "restrict"
            return iter(())
        raise Refused(self.line, command[:40], f"{_PSQL}; remove it")

    def _ended(self) -> Iterator[Piece]:
        if self.words[:1] == [b"rollback"] and b"to" not in self.words:
            raise self._transaction()
        copies = self.words[:1] == [b"copy"] and _COPY_IN.match(self.text)
        yield Piece("end")
        self._reset()
        if copies:
            self.inside = "line-end"

    def _passed(self, text: bytes, comment: bool = False) -> Iterator[Piece]:
        lines = text.count(b"\n")
        self.line += lines
        if self.started:
            if self.words[:1] == [b"copy"] and len(self.text) < _LONGEST_COPY:
                self.text += b" " if comment else text
            yield Piece("text", text)
        elif lines:
            yield Piece("lines", b"\n" * lines)

    def _end_of_long(self, block: bytes, position: int) -> int:
        """Return the end of the long token and leave it, or the end of the block."""
        match self.inside:
            case "comment":
                return self._end_of_comment(block, position)
            case "escaped":
                if found := _ESCAPED_END.match(block, position):
                    self.inside, self.continues = "", "escaped"
                    return found.end()
                return len(block)
            case "restrict" | "line-end":
                return self._end_of_line(block, position)
        delimiter = {"string": b"'", "quoted": b'"'}.get(self.inside, self.delimiter)
        end = block.find(delimiter, position)
        if end < 0:
            return len(block)
        # The second quote of a doubled one opens the string again.
        self.inside = ""
        return end + len(delimiter)

    def _end_of_comment(self, block: bytes, position: int) -> int:
        for edge in _COMMENT_EDGE.finditer(block, position):
            self.depth += 1 if edge[0] == b"/*" else -1
            if self.depth == 0:
                self.inside = ""
                return edge.end()
        return len(block)

    def _end_of_line(self, block: bytes, position: int) -> int:
        end = block.find(b"\n", position)
        end = len(block) if end < 0 else end + 1
        if self.inside == "line-end":
            if block[position:end].split(b"--")[0].strip():
                raise Refused(self.line, "COPY", "its data must begin on the next line, but a statement follows")
            self.inside = "copy" if block[position:end].endswith(b"\n") else "line-end"
        else:
            self.inside = ""
        return end

    def _copied(self, block: bytes, position: int) -> tuple[int, Piece]:
        end, found = len(block), position
        while (found := block.find(rb"\.", found)) >= 0:
            after = block.find(b"\n", found)
            after = len(block) if after < 0 else after + 1
            if (found == position or block[found - 1 : found] == b"\n") and block[found:after].strip() == rb"\.":
                self.inside, end = "", after
                break
            found += 2
        data = block[position:end]
        self.line += data.count(b"\n")
        # Without a line end the following text would be data too.
        return end, Piece("data", data if data.endswith(b"\n") else data + b"\n")
