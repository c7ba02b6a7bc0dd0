"""`dataclass(frozen=True)` as the standard library has it, and made in a third of the time.

A short command makes more than a hundred such classes, and the standard decorator compiles six functions for each of
them. Only `__init__` is compiled here; the other methods are closures over the names of the fields. What the standard
library does with such a class works here too: `replace`, `fields`, `asdict`, `match`, and a class of a user that
inherits from it with `dataclasses.dataclass`. There are no `InitVar`, slots or order, and annotations are strings.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from collections.abc import Callable, Mapping
    from dataclasses import MISSING, Field, FrozenInstanceError
    from operator import attrgetter
    from typing import Any, Literal

    class _Factory:
        """What stands in a signature for a value that is made for each object."""

        def __repr__(self) -> str:
            return "<factory>"

    # How `fields`, and a class that inherits, know a field and a frozen class: the standard library has no public way.
    _KIND = dataclasses._FIELD

    @dataclasses.dataclass(frozen=True)
    class _Frozen:
        """A class whose `__dataclass_params__` are those of all others."""

    _PARAMETERS = _Frozen.__dataclass_params__
    _FACTORY = _Factory()

    def dataclass(*, frozen: Literal[True]) -> Callable[[type], type]:
        """Make a frozen dataclass of a class; `frozen` tells that to readers and to type checkers."""
        return _frozen

    def _frozen(cls: type) -> type:
        known: dict[str, Field[Any]] = {}
        for base in cls.__mro__[:0:-1]:
            known |= getattr(base, "__dataclass_fields__", {})
        known |= _own_fields(cls)
        cls.__dataclass_fields__ = known
        cls.__dataclass_params__ = _PARAMETERS
        methods = _shared(cls, known)
        methods["__init__"] = _init(cls, known)
        methods["__match_args__"] = tuple(name for name, each in known.items() if not each.kw_only)
        for name, method in methods.items():
            if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
                setattr(cls, name, method)
        return cls

    def _own_fields(cls: type) -> dict[str, Field[Any]]:
        found: dict[str, Field[Any]] = {}
        keywords_only = False
        for name, kind in inspect.get_annotations(cls).items():
            if kind == "KW_ONLY":
                keywords_only = True
            elif not kind.startswith("ClassVar"):
                found[name] = each = _field(cls, name)
                each.name, each.type, each._field_type = name, kind, _KIND
                each.kw_only = keywords_only if each.kw_only is MISSING else each.kw_only
        return found

    def _field(cls: type, name: str) -> Field[Any]:
        given = getattr(cls, name, MISSING)
        if not isinstance(given, Field):
            return dataclasses.field(default=given)
        if given.default is MISSING:
            delattr(cls, name)
        else:
            setattr(cls, name, given.default)
        return given

    def _init(cls: type, known: Mapping[str, Field[Any]]) -> Callable[..., None]:
        names: dict[str, Any] = {"_set": object.__setattr__, "_FACTORY": _FACTORY}
        positional, keywords, body = ["self"], [], []
        for name, each in known.items():
            parameter = value = name
            if each.default_factory is not MISSING:
                names[f"_new_{name}"] = each.default_factory
                parameter, value = f"{name}=_FACTORY", f"_new_{name}() if {name} is _FACTORY else {name}"
            elif each.default is not MISSING:
                names[f"_default_{name}"] = each.default
                parameter = f"{name}=_default_{name}"
            (keywords if each.kw_only else positional).append(parameter)
            body.append(f"_set(self, {name!r}, {value})")
        if hasattr(cls, "__post_init__"):
            body.append("self.__post_init__()")
        if keywords:
            keywords.insert(0, "*")
        exec(f"def __init__({', '.join([*positional, *keywords])}): {'; '.join(body) or 'pass'}", names)  # noqa: S102
        init: Callable[..., None] = names.pop("__init__")
        init.__qualname__ = f"{cls.__qualname__}.__init__"
        init.__annotations__ = {**{name: each.type for name, each in known.items()}, "return": None}
        return init

    def _shared(cls: type, known: Mapping[str, Field[Any]]) -> dict[str, Callable[..., Any]]:
        compared = _values([name for name, each in known.items() if each.compare])
        shown = [name for name, each in known.items() if each.repr]

        def __repr__(self: object) -> str:
            return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

        def __eq__(self: object, other: object) -> bool:
            return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

        def __hash__(self: object) -> int:
            return hash(compared(self))

        def __setattr__(self: object, name: str, value: object) -> None:
            if type(self) is cls or name in known:
                raise FrozenInstanceError(f"cannot assign to field {name!r}")
            super(cls, self).__setattr__(name, value)

        def __delattr__(self: object, name: str) -> None:
            if type(self) is cls or name in known:
                raise FrozenInstanceError(f"cannot delete field {name!r}")
            super(cls, self).__delattr__(name)

        return {each.__name__: each for each in (__repr__, __eq__, __hash__, __setattr__, __delattr__)}

    def _values(names: list[str]) -> Callable[[object], object]:
        return attrgetter(*names) if names else lambda _: ()


__all__ = ["dataclass"]
