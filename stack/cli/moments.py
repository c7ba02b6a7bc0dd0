"""Read moments and patterns from the command line."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from stack.errors import UsageError

_AGO = re.compile(r"(?=\d)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def moment(option: str, text: str, now: datetime) -> datetime:
    """Return the moment that a text means: `10m` or `1h30m` before now, or a time like `2026-01-02T15:04`.

    A time without a zone is one of this machine. Raises `UsageError`.
    """
    try:
        if found := _AGO.fullmatch(text):
            days, hours, minutes, seconds = (int(amount or 0) for amount in found.groups())
            return now - timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise UsageError(
            f"{option}: {text!r} is neither a duration nor a time",
            f"for example `{option} 10m`, `{option} 1h30m` or `{option} 2026-01-02T15:04`",
        ) from None


def regular_expression(option: str, text: str) -> re.Pattern[str]:
    """Return a pattern. Raises `UsageError`."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(
            f"{option}: {text!r} is not a regular expression: {error}",
            "write a backslash before a character that stands for itself, like `\\(`",
        ) from None
