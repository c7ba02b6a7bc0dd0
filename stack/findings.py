"""What an examination of the machine or of an instance found: values."""

from __future__ import annotations

from typing import Literal

from stack.errors import StackError
from stack.frozen import dataclass

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`.

    `check`: what was looked at.
    `level`: how it is.
    `message`: what was found.
    `fix`: what to type or do; empty if nothing is wrong.
    """

    check: str
    level: Level
    message: str
    fix: str = ""


def ok(check: str, message: str) -> Finding:
    return Finding(check, "ok", message)


def failed(check: str, error: StackError) -> Finding:
    return Finding(check, "fail", error.message, error.hint)


def disk(check: str, free: int, where: str) -> Finding:
    """How much room there is, in bytes."""
    message = f"{free / 2**30:.1f} GiB free in {where}"
    if free < 2**28:
        return Finding(check, "fail", message, "make room: PostgreSQL stops when a disk is full")
    if free < 2**31:
        return Finding(check, "warn", message, "make room before it is full: images, builds and data need it")
    return ok(check, message)
