"""Declare a volume that belongs to no component: each of those that use it says in which folder it finds it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from stack.calls import check_call, check_name
from stack.errors import DeclarationError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Volume:
    """A volume that components share: `volumes={"/app/media": media}` on each of them.

    It belongs to the user that they run as, which is one and the same. `backup=False`: it is in no snapshot, like an
    index that can be made again.

    Raises `DeclarationError` for a wrong value.
    """

    name: str
    backup: bool = True

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_name("Volume", self.name)
        if not isinstance(self.backup, bool):
            raise DeclarationError(f"{self.name}/backup", f"{self.backup!r} is neither True nor False")
