"""Declare a volume that belongs to no component: each of those that use it says in which folder it finds it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Self

from stack.calls import check_call, check_name
from stack.errors import DeclarationError
from stack.frozen import dataclass

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Volume:
    """A volume that components share: `volumes={"/app/media": media}` on each of them.

    It belongs to the user that they run as, which is one and the same. `backup=False`: it is in no snapshot, like an
    index that can be made again. `from_image=True`: in a container it begins with what the image has in its folder, and
    with the owner of that, like installed packages below a folder that is mounted. `media.read_only` is the same for a
    component that only reads it.

    Raises `DeclarationError` for a wrong value.
    """

    name: str
    backup: bool = True
    from_image: bool = False
    writable: bool = True

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_name("Volume", self.name)
        for field in ("backup", "from_image", "writable"):
            if not isinstance(getattr(self, field), bool):
                raise DeclarationError(f"{self.name}/{field}", f"{getattr(self, field)!r} is neither True nor False")

    @property
    def read_only(self) -> Self:
        """The same volume for a component whose container can't write to it."""
        return replace(self, writable=False)
