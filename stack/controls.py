"""Spell the characters that act on a terminal instead of being seen. Pure."""

from __future__ import annotations

import re

# C1, DEL, and what changes the direction of the text around it. JSON leaves these as they are.
BEYOND_ASCII = "\x7f-\x9f\u202a-\u202e\u2066-\u2069"
# All but newline and tab.
_CONTROL = f"[\x00-\x08\x0b-\x1f{BEYOND_ASCII}]"
_COLOUR = r"\x1b\[[\d;]*m"
# Exactly what `Style` writes, and no other colour or link.
_OWN = r"\x1b\[(?:[012]|3[1236]|1;(?:4|31|36))m|\x1b\]8;;(?:https?://[!-~]*)?\x1b\\"
_FOREIGN = re.compile(f"\r(?=\n)|{_COLOUR}|(?P<control>{_CONTROL})")
_STYLED = re.compile(f"(?P<own>{_OWN})|{_FOREIGN.pattern}")


def escaped(text: str, styled: bool = False) -> str:
    """Write each control character as an escape, but newlines and tabs; leave out colours.

    With `styled` the colours and links of `Style` stay, for text that already has them.
    """
    return (_STYLED if styled else _FOREIGN).sub(_replacement, text)


def _replacement(found: re.Match[str]) -> str:
    kept = found.groupdict().get("own")
    control = found["control"] or ""
    return kept or control.encode("unicode_escape").decode()
