"""Spell the characters that act on a terminal instead of being seen. Pure."""

from __future__ import annotations

import re

# C1, DEL, and what changes the direction of the text around it. JSON leaves these as they are.
BEYOND_ASCII = "\x7f-\x9f\u202a-\u202e\u2066-\u2069"
# All but newline and tab.
_CONTROL = f"[\x00-\x08\x0b-\x1f{BEYOND_ASCII}]"
_COLOUR = r"\x1b\[[\d;]*m"
# Exactly what `Style` writes, and no other colour or link.
_OWN = r"\x1b\[(?:[012]|3[1-6]|1;(?:4|31|36))m|\x1b\]8;;(?:https?://[!-~]*)?\x1b\\"
_FOREIGN = re.compile(f"\r(?=\n)|{_COLOUR}|(?P<control>{_CONTROL})")
_STYLED = re.compile(f"(?P<own>{_OWN})|{_FOREIGN.pattern}")


def visible(text: str, lines: bool = False, styled: bool = False) -> str:
    """Write each character that would act on a terminal instead of being seen as an escape.

    By default `text` is a name that came with data, and everything that can't be seen is one. With `lines` newlines
    and tabs stay and colours are left out, for text of several lines; with `styled` the colours and links of `Style`
    stay too, for text that already has them.
    """
    if lines or styled:
        return (_STYLED if styled else _FOREIGN).sub(_replacement, text)
    return "".join(each if each.isprintable() else _spelt(each) for each in text)


def _replacement(found: re.Match[str]) -> str:
    kept = found.groupdict().get("own")
    return kept or _spelt(found["control"] or "")


def _spelt(characters: str) -> str:
    return characters.encode("unicode_escape").decode()
