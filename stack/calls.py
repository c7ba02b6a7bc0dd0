"""Tell a wrong call of what a stack file declares in the words of a declaration: which fields there are, and names."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping, Sequence

from stack.errors import DeclarationError
from stack.refused import FIELDS

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


def check_call(kind: type, arguments: Sequence[object], named: Mapping[str, object]) -> None:
    """Raise `DeclarationError` for arguments that `kind` does not take, or that are missing."""
    if not arguments and not named:
        return  # as `copy` makes one
    of_instance = inspect.signature(kind.__init__)  # type: ignore[misc]
    signature = of_instance.replace(parameters=[*of_instance.parameters.values()][1:])
    name = arguments[0] if arguments else named.get("name", kind.__name__)
    for field in named:
        if field not in signature.parameters:
            raise _unknown(kind, name, field, list(signature.parameters))
    try:
        signature.bind(*arguments, **named)
    except TypeError as error:
        raise DeclarationError(str(name), f"{kind.__name__}(…): {error}", f"write {_call(kind, signature)}") from None


def check_name(path: str, value: object) -> str:
    """Return the name of a stack, of a component or of a part of one. `path` is where it stands in the declaration."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise DeclarationError(path, f"{value!r} is not a name (a-z, 0-9 and -, at most 31, a letter first)")
    return value


def sequence(path: str, value: object) -> tuple[object, ...]:
    """Return the members of a list. Raises `DeclarationError` for what is none; `path` is where it stands."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise DeclarationError(path, f"{value!r} is not a list")
    return tuple(value)


def _unknown(kind: type, name: object, field: str, fields: Sequence[str]) -> DeclarationError:
    refused = FIELDS.get(field)
    if refused is not None:
        return DeclarationError(f"{name}/{field}", refused.problem, refused.instead)
    close = difflib.get_close_matches(field, fields, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    return DeclarationError(
        f"{name}/{field}", f"{kind.__name__} has no such field{meant}", f"it has: {', '.join(fields)}"
    )


def _call(kind: type, signature: inspect.Signature) -> str:
    """`WebApp(NAME, SOURCE)`: what a call can't be without."""
    needed = [each.name.upper() for each in signature.parameters.values() if each.default is each.empty]
    return f"{kind.__name__}({', '.join(needed)})"
